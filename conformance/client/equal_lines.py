"""Count the lines at the start of a buffer that are equally long: thousands of them are then read as one piece."""


def count_equal_lines(buffer: bytes | bytearray, length: int, end: bytes, most: int) -> int:
    """Return how many lines of so many bytes, each with this end, the buffer begins with; at most `most`, or 0.

    0 also if one of those that are looked at has another length or end: only reading them one by one shows which.
    """
    step = length + len(end)
    count = min(most, len(buffer) // step)
    block = bytes(buffer[: count * step])
    ends = [block[length + place :: step] == bytes([byte]) * count for place, byte in enumerate(end)]
    return count if all(ends) and block.count(b"\n") == count else 0

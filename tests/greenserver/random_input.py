"""Random input of a client from a seed: valid commands, nearly valid ones, and noise."""

import random

NAMES = (
    *("text.txt", "one", "empty", "binary.dat", "large.bin", "n" * 255, "n" * 256),
    *("nothing", ".hidden", "folder", "fifo", "link-out", "link-in", "dangling", "..", ".", "TEXT.TXT"),
    *("../secret", "/etc/passwd", "folder/inner", "my%20file.txt", "*", "\\", "text.txt/"),
)
NUMBERS = (
    *("0", "1", "3", "40", "41", "42", "773", "1199999", "1200000", "00", "007", "18446744073709551616", "9" * 300),
    *("-1", "+1", "1_0", "1.0", "0x1", "1e3", "", " 1", "a", "-0"),
)
COMMANDS = (
    "get_metadata",
    "get_slice",
    "get_file_listing",
    "help",
    "quit",
    "Quit",
    "GET_SLICE",
    "put",
    "get_slice2",
    "",
)
NOISE = (b"\0", b"\t", b"\r", b" ", b"\xff", b"\xd9\xa1", b"\x7f", b"  ", b"\r\r")


def random_input(seed: int) -> bytes:
    """Return the input of one connection; the same for the same seed."""
    rng = random.Random(seed)
    return b"".join(_line(rng) for _ in range(rng.randint(1, 8)))


def _line(rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.3:
        line = f"get_metadata {rng.choice(NAMES)}"
    elif kind < 0.7:
        name = rng.choice(NAMES)
        offset, size = _numbers(rng)
        line = f"get_slice {name} {offset} {size}{rng.choice(('', '', '', ' raw', ' raw', ' RAW', ' x'))}"
    elif kind < 0.8:
        line = rng.choice(("get_file_listing", "help"))
    else:
        words = rng.choices((*COMMANDS, *NAMES[:9], *NUMBERS[:9]), k=rng.randint(0, 5))
        line = " ".join([rng.choice(COMMANDS), *words])
    data = line.encode()
    if rng.random() < 0.05:
        position = rng.randint(0, len(data))
        data = data[:position] + rng.choice(NOISE) + data[position:]
    return data + rng.choices((b"\r\n", b"\n", b"\r", b""), (96, 2, 1, 1))[0]


def _numbers(rng: random.Random) -> tuple[str, str]:
    if rng.random() < 0.3:
        return rng.choice(NUMBERS), rng.choice(NUMBERS)
    return str(rng.randint(0, 60)), str(rng.randint(0, 40))

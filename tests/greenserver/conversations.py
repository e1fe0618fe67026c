"""Makes up conversations from a seed: good commands, nearly good ones, and noise."""

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


def make_up(seed: int) -> bytes:
    """Return what the client of a conversation says; the same for the same seed."""
    chance = random.Random(seed)
    return b"".join(_line(chance) for _ in range(chance.randint(1, 8)))


def _line(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.3:
        line = f"get_metadata {chance.choice(NAMES)}"
    elif kind < 0.7:
        name = chance.choice(NAMES)
        offset, size = _numbers(chance)
        line = f"get_slice {name} {offset} {size}{chance.choice(('', '', '', ' raw', ' raw', ' RAW', ' x'))}"
    elif kind < 0.8:
        line = chance.choice(("get_file_listing", "help"))
    else:
        words = chance.choices((*COMMANDS, *NAMES[:9], *NUMBERS[:9]), k=chance.randint(0, 5))
        line = " ".join([chance.choice(COMMANDS), *words])
    data = line.encode()
    if chance.random() < 0.05:
        place = chance.randint(0, len(data))
        data = data[:place] + chance.choice(NOISE) + data[place:]
    return data + chance.choices((b"\r\n", b"\n", b"\r", b""), (96, 2, 1, 1))[0]


def _numbers(chance: random.Random) -> tuple[str, str]:
    if chance.random() < 0.3:
        return chance.choice(NUMBERS), chance.choice(NUMBERS)
    return str(chance.randint(0, 60)), str(chance.randint(0, 40))

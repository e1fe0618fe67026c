"""Count the open descriptors of this process, with or without /proc."""

import os
from typing import Final

_LISTED: Final = "/proc/self/fd"
_PROBED: Final = 1024


def count_open() -> int:
    """Return the number of open descriptors; without /proc, of those among the first 1024."""
    try:
        return len(os.listdir(_LISTED))  # noqa: PTH208  (only the count of names matters)
    except OSError:
        return sum(map(is_open, range(_PROBED)))


def is_open(descriptor: int) -> bool:
    """Return whether a descriptor is open."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True

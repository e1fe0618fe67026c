"""Keeps the C library from giving memory back to the system that the next chunk takes again."""

import ctypes
from typing import Final

from greenserver.config.limits import KEPT_BLOCK_BYTES, KEPT_BYTES

_TRIM_THRESHOLD: Final = -1  # the numbers of malloc.h
_MMAP_THRESHOLD: Final = -3


def keep_large_blocks() -> bool:
    """Have this process keep what it frees, within bounds; return whether its C library can be told so: glibc can.

    Left alone, glibc finds its own bounds, and how they suit the chunks of a slice hangs on what was freed before.
    """
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    return tell is not None and bool(tell(_MMAP_THRESHOLD, KEPT_BLOCK_BYTES) and tell(_TRIM_THRESHOLD, KEPT_BYTES))

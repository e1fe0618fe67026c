"""Make glibc keep freed chunks instead of returning them to the system."""

from typing import Final

from greenserver.config.limits import KEPT_BLOCK_BYTES, KEPT_BYTES
from greenserver.io import c_library

_TRIM_THRESHOLD: Final = -1  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_MMAP_THRESHOLD: Final = -3


def keep_large_blocks() -> bool:
    """Make this process keep freed memory, within bounds; return whether the C library supports that, as glibc does.

    By default glibc adjusts its thresholds to what was freed before, and they may not suit the chunks of a slice:
    https://man7.org/linux/man-pages/man3/mallopt.3.html.
    """
    mallopt = c_library.find("mallopt")
    return mallopt is not None and bool(
        mallopt(_MMAP_THRESHOLD, KEPT_BLOCK_BYTES) and mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
    )

"""Make glibc keep freed chunks instead of returning them to the system, and reserve little address space."""

import threading
from typing import Final

from greenserver.config.limits import KEPT_BLOCK_BYTES, KEPT_BYTES, THREAD_STACK_BYTES
from greenserver.io import c_library

_TRIM_THRESHOLD: Final = -1  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX of malloc.h
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8

_THREAD_EXIT: Final = "libgcc_s.so.1"  # what glibc loads when the first thread ends, and aborts if it cannot


def configure() -> bool:
    """Set how this process allocates memory; return whether the C library supports all of it, as glibc does.

    Freed memory is kept, within bounds: by default glibc adjusts its thresholds to what was freed before, and they may
    not suit the chunks of a slice. All threads share one arena: each further one reserves 64 MiB of address space, and
    while the interpreter's lock is held no two threads allocate at once.
    https://man7.org/linux/man-pages/man3/mallopt.3.html

    Call it before any thread is started: each reserves a stack of its own.
    """
    threading.stack_size(THREAD_STACK_BYTES)
    c_library.load(_THREAD_EXIT)
    mallopt = c_library.find("mallopt")
    return mallopt is not None and all(
        [
            mallopt(_MMAP_THRESHOLD, KEPT_BLOCK_BYTES),
            mallopt(_TRIM_THRESHOLD, KEPT_BYTES),
            mallopt(_ARENA_MAX, 1),
        ]
    )

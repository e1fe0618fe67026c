"""Functions and flags of the C library that not every interpreter and system has."""

import contextlib
import os
from collections.abc import Callable
from typing import Any, Final

Function = Callable[..., int]


def _import_ctypes() -> Any:  # noqa: ANN401  (a module or None)
    try:
        import ctypes  # noqa: PLC0415  (may be missing)
    except ImportError:  # an interpreter that was built without libffi
        return None
    return ctypes


_ctypes: Final = _import_ctypes()


def find(name: str, *, keeps_gil: bool = False) -> Function | None:
    """Return a function of the C library, or None if it has no such function, or none can be called.

    With `keeps_gil`, a call does not let other threads run: for calls that never block, and take less time than that.
    """
    if _ctypes is None:
        return None
    try:
        library = (_ctypes.PyDLL if keeps_gil else _ctypes.CDLL)(None, use_errno=True)
    except OSError:  # an interpreter that is linked statically
        return None
    found: Function | None = getattr(library, name, None)
    return found


def load(library: str) -> None:
    """Load a library of the C library's that it may need later, when there may be no memory for it."""
    if _ctypes is not None:
        with contextlib.suppress(OSError):  # another C library, which does without
            _ctypes.CDLL(library)


def error_number() -> int:
    """Return the error number of the last call that failed in this thread."""
    number: int = _ctypes.get_errno()
    return number


SYSCALL: Final = find("syscall", keeps_gil=True)
"""System calls that Python has no function for (syscall(2))."""

NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
"""The flag with which `os.preadv` and `os.pwritev` do not block; None with a C library that has no preadv2(2).

https://man7.org/linux/man-pages/man2/readv.2.html. Kernels and file systems may refuse it, too.
"""

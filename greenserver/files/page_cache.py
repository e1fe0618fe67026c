"""Tells whether a file can be looked up and read without waiting for a disk, and reads it then."""

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

_OPENAT2: Final = 437
_RESOLVE_CACHED: Final = 0x20
_UNSUPPORTED: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.E2BIG})
_MEMORY_FILE_SYSTEMS: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})
# Not those of a network or of a program (FUSE): whom they ask may hang a moment later.
_DISK_FILE_SYSTEMS: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "overlay"})
_MOUNTS: Final = Path("/proc/self/mountinfo")


class _OpenHow(ctypes.Structure):
    """``struct open_how`` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


# O_PATH opens nothing, not even a FIFO: it only looks the name up.
_LOOK_UP: Final = ctypes.byref(_OpenHow(os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, 0, _RESOLVE_CACHED))
_LOOK_UP_BYTES: Final = ctypes.sizeof(_OpenHow)
# PyDLL keeps the interpreter's lock, for what never waits: giving it up would cost more than the call.
_syscall: Final = ctypes.PyDLL(None, use_errno=True).syscall


class WouldBlockError(Exception):
    """What was asked for is not in memory, or nobody can tell: ask again where waiting disturbs nobody."""


def is_name_cached(directory: int, name: str) -> bool:
    """Tell whether the kernel knows what a name in a directory stands for without asking the disk.

    False on a kernel that cannot say (Linux before 5.12, or openat2 forbidden).
    """
    descriptor: int = _syscall(_OPENAT2, directory, name.encode(), _LOOK_UP, _LOOK_UP_BYTES)
    if descriptor >= 0:
        os.close(descriptor)
        return True
    return ctypes.get_errno() not in _UNSUPPORTED | {errno.EAGAIN}


def read_cached(descriptor: int, buffer: memoryview, offset: int) -> None:
    """Fill a buffer from an offset of a file on, all of which must be in memory.

    Raises WouldBlockError if not all are, or the file ends before them; OSError if it cannot be read.
    """
    try:
        got = os.preadv(descriptor, [buffer], offset, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EOPNOTSUPP}:
            raise WouldBlockError from error
        raise
    if got < len(buffer):
        raise WouldBlockError


def is_all_in_memory(file_system: str) -> bool:
    """Tell whether a kind of file system has no disk; such a one refuses to say what is cached."""
    return file_system in _MEMORY_FILE_SYSTEMS


def keeps_names(file_system: str) -> bool:
    """Tell whether a kind of file system asks nobody again about a name that the kernel knows."""
    return file_system in _DISK_FILE_SYSTEMS


def file_system_of(descriptor: int) -> str:
    """Return the kind of file system that a file lies on; nothing if that is not known."""
    device = os.fstat(descriptor).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = [line.split() for line in _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    return next((mount[mount.index("-") + 1] for mount in mounts if mount[2] == number), "")

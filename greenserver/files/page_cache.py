"""Find out what the kernel has in memory: names in the dentry cache, and file systems without a disk."""

import errno
import os
import struct
from pathlib import Path
from typing import Final

from greenserver.io import c_library

_OPENAT2: Final = 437  # the number of the system call
_RESOLVE_CACHED: Final = 0x20  # linux/openat2.h
_UNSUPPORTED: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.E2BIG})
_MEMORY_FILE_SYSTEMS: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})
# Without network file systems and FUSE: they ask a server or a process, which may hang, even about a cached name.
_DISK_FILE_SYSTEMS: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "overlay"})
_MOUNTS: Final = Path("/proc/self/mountinfo")

# ``struct open_how`` of openat2(2): https://man7.org/linux/man-pages/man2/openat2.2.html.
# O_PATH only looks the name up, and opens nothing, not even a FIFO: https://man7.org/linux/man-pages/man2/open.2.html.
_LOOK_UP: Final = struct.pack("=QQQ", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, 0, _RESOLVE_CACHED)


def is_name_cached(directory: int, name: str) -> bool:
    """Return whether the kernel can look up a name in a directory without I/O (RESOLVE_CACHED of openat2(2)).

    Return False where that is unknown: Linux before 5.12, openat2 forbidden, or no way to call it.
    """
    if c_library.SYSCALL is None:
        return False
    descriptor = c_library.SYSCALL(_OPENAT2, directory, name.encode(), _LOOK_UP, len(_LOOK_UP))
    if descriptor >= 0:
        os.close(descriptor)
        return True
    return c_library.error_number() not in _UNSUPPORTED | {errno.EAGAIN}


def is_all_in_memory(file_system: str) -> bool:
    """Return whether a type of file system has no disk; such file systems do not report what is cached."""
    return file_system in _MEMORY_FILE_SYSTEMS


def keeps_names(file_system: str) -> bool:
    """Return whether a type of file system never revalidates a cached name."""
    return file_system in _DISK_FILE_SYSTEMS


def file_system_of(descriptor: int) -> str:
    """Return the type of the file system of a file, from /proc/self/mountinfo; "" if unknown."""
    device = os.fstat(descriptor).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = [line.split() for line in _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    return next((mount[mount.index("-") + 1] for mount in mounts if mount[2] == number), "")

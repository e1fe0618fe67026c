"""The system calls that sandboxes are made of, by ctypes: Python has them from 3.12 on, or not at all.

Imported by the guard, which has no site-packages and starts before every server.
"""

import ctypes
import os
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
_MNT_DETACH = 2
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_MOST_CAPABILITIES = 64
_SYS_MOUNT_SETATTR = 442
"""The same number on every architecture, as all system calls from 424 on (but for alpha)."""
_AT_RECURSIVE = 0x8000
_AT_FDCWD = -100
_MOUNT_ATTR_RDONLY = 1
_MOUNT_ATTR_NOSUID = 2
_libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> int:
    """Return the result of a call of the C library; raise OSError."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(number: int, *arguments: object) -> int:
    """Make a system call; return what it returns, -1 for an error."""
    return int(_libc.syscall(ctypes.c_long(number), *arguments))


def unshare(flags: int) -> None:
    """Leave namespaces for new ones (unshare(2)); raise OSError."""
    checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount (mount(2)); raise OSError."""
    words = [os.fsencode(word) if word else None for word in (source, target, kind)]
    data = os.fsencode(options) if options else None
    checked(_libc.mount(*words, ctypes.c_ulong(flags), data), f"mount {target}")


def make_read_only(target: str) -> None:
    """Make a mount and all below it read-only (mount_setattr(2), Linux 5.12); raise OSError."""
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID, 0, 0, 0)
    path = ctypes.c_char_p(os.fsencode(target))
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    result = syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, path, _AT_RECURSIVE, ctypes.byref(attributes), size)
    checked(result, f"mount_setattr {target}")


def enter_root(directory: str, old: str) -> None:
    """Make a mount the root directory, and put the old one at `old`, a directory in it; raise OSError."""
    checked(_libc.pivot_root(os.fsencode(directory), os.fsencode(old)), "pivot_root")


def unmount(target: str) -> None:
    """Detach a mount (umount2(2)); raise OSError."""
    checked(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"umount {target}")


def drop_privileges(user: int, group: int) -> None:
    """Become a user, if that is another one, and lose every capability with the next program, for ever.

    Raises OSError.
    """
    for capability in range(_MOST_CAPABILITIES):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for those that this kernel lacks
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if user != os.geteuid():
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    forbid_new_privileges()


def forbid_new_privileges() -> None:
    """Let no program give more rights than its caller has (PR_SET_NO_NEW_PRIVS in prctl(2)); raise OSError."""
    checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def is_linux() -> bool:
    """Return whether this is Linux."""
    return sys.platform == "linux"

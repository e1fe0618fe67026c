"""Build the namespaces that a server is confined to: users, files, network, processes; see namespaces(7).

The guard enters new namespaces, and its child, which is process 1 there, builds a root directory that has only what
the server needs. Nothing of it survives the last process.
"""

import contextlib
import fcntl
import os
import signal
import socket
import struct
from typing import TYPE_CHECKING, Any

from conformance.target.sandbox import kernel

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMESPACES = kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC
NOBODY = 65534
"""The user and group that a suite of root starts servers as; their usual ids."""
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_IFREQ = struct.Struct("16sH14x")
_STAGE = "/tmp"  # noqa: S108  (a mount point, in a mount namespace of our own)
_INODES = 1 << 16
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}


def server_user(folder: str) -> tuple[int, int]:
    """Return the user and group that a server runs as: the suite's; for root, the owner of its folder, or nobody."""
    if os.geteuid():
        return os.geteuid(), os.getegid()
    facts = os.stat(folder)
    return (facts.st_uid, facts.st_gid or NOBODY) if facts.st_uid else (NOBODY, NOBODY)


def enter(user: int, group: int) -> None:
    """Enter new namespaces, in which some users and groups exist, and the loopback interface; raise OSError.

    The ids are the same inside and outside. Processes of the caller are in the new process namespace from the next
    on; the first of them is process 1.
    """
    guard, own = os.getpid(), (os.geteuid(), os.getegid())
    ready, go = os.pipe()
    mapper = os.fork()
    if mapper == 0:
        status = 1
        try:
            os.close(go)
            if os.read(ready, 1):
                map_ids(guard, {own[0], user}, {own[1], group}, forbids_groups=own[0] != 0)
                status = 0
        finally:
            os._exit(status)
    os.close(ready)
    try:
        kernel.unshare(_NAMESPACES | kernel.CLONE_NEWUTS)
        os.write(go, b"1")
    finally:
        os.close(go)
        _, status = os.waitpid(mapper, 0)
    if status:
        message = "the ids of users cannot be mapped"
        raise OSError(message)
    start_loopback()


def map_ids(process: "int | str", users: "set[int]", groups: "set[int]", *, forbids_groups: bool) -> None:
    """Let users and groups exist in the user namespace of a process; see user_namespaces(7)."""
    if forbids_groups:
        _write(f"/proc/{process}/setgroups", "deny")
    for name, ids in (("uid_map", users), ("gid_map", groups)):
        _write(f"/proc/{process}/{name}", "".join(f"{number} {number} 1\n" for number in sorted(ids)))


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def start_loopback() -> None:
    """Start the loopback interface of this network; raise OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = fcntl.ioctl(sock, _SIOCGIFFLAGS, _IFREQ.pack(b"lo", 0))
        name, flags = _IFREQ.unpack(request)
        fcntl.ioctl(sock, _SIOCSIFFLAGS, _IFREQ.pack(name, flags | _IFF_UP))


def build_root(request: "dict[str, Any]") -> "dict[str, bool]":
    """Build a root directory with only what the server needs, and enter it; raise OSError.

    Returns which of the parts that may be missing are there. `request` is what `Sandbox.request` returns.
    """
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    size = request["limits"]["written_bytes"]
    options = f"size={size},nr_inodes={_INODES},mode=755"
    kernel.mount("tmpfs", _STAGE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
    for name in ("old", "new", "upper", "work"):
        os.mkdir(f"{_STAGE}/{name}")
    kernel.enter_root(_STAGE, f"{_STAGE}/old")
    os.chdir("/")
    kernel.mount("/new", "/new", flags=kernel.MS_BIND | kernel.MS_REC)
    _make_writable()
    folder, served, home = request["folder"], request["served"], request["home"]
    has_overlay = False
    for path in sorted({*request["readable"], home, folder, *([served] if served else [])}):
        if path == folder and folder != served:
            has_overlay = _show_folder(folder, request["user"], request["group"])
        elif path == home:
            _show_empty(home)
        else:
            _show(path)
    for link, text in request["links"].items():
        _make_above(f"/new{link}")
        os.symlink(text, f"/new{link}")
    for path in request["devices"]:
        _show(path, is_read_only=False)
    has_processes = _mount_processes()
    kernel.unmount("/old")
    os.chdir("/new")
    kernel.enter_root(".", ".")
    kernel.unmount(".")
    os.chdir(folder)
    return {"folder-writable": has_overlay, "proc": has_processes}


def _make_writable() -> None:
    """Make the directories that every program may write to; together they are as large as the file system in memory."""
    for path in ("/home", "/new/tmp", "/new/var/tmp", "/new/dev/shm"):
        os.makedirs(path)
        os.chmod(path, 0o1777)  # noqa: S103  (as /tmp is)
    for name, text in _LINKS.items():
        os.symlink(text, f"/new/dev/{name}")


def _show_empty(home: str) -> None:
    """Show an empty directory that can be written to in the place of the home."""
    os.makedirs(f"/new{home}", exist_ok=True)
    kernel.mount("/home", f"/new{home}", flags=kernel.MS_BIND)


def _make_above(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)


def _show(path: str, *, is_read_only: bool = True) -> None:
    """Show a path of the old root directory in the new one."""
    target = f"/new{path}"
    if os.path.isdir(f"/old{path}"):
        os.makedirs(target, exist_ok=True)
    elif os.path.exists(f"/old{path}"):
        _make_above(target)
        if not os.path.exists(target):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    else:
        return
    kernel.mount(f"/old{path}", target, flags=kernel.MS_BIND | kernel.MS_REC)
    if is_read_only:
        kernel.make_read_only(target)


def _show_folder(folder: str, user: int, group: int) -> bool:
    """Show the server's own folder, so that it may change it, but only what it sees; return whether it may.

    An overlay keeps the changes in memory (Linux 5.11 for users without privileges); elsewhere it is read-only.
    """
    target = f"/new{folder}"
    os.makedirs(target, exist_ok=True)
    os.symlink(f"/old{folder}", "/lower")  # whose path has no character that the options would need escaped
    os.chown("/upper", user, group)
    options = "lowerdir=/lower,upperdir=/upper,workdir=/work"
    for extra in (",userxattr", ""):
        with contextlib.suppress(OSError):
            kernel.mount("overlay", target, "overlay", kernel.MS_NOSUID | kernel.MS_NODEV, options + extra)
            return True
    _show(folder)
    return False


def _mount_processes() -> bool:
    """Mount /proc of the new process namespace; return whether the system allows it (many containers do not)."""
    os.makedirs("/new/proc", exist_ok=True)
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    try:
        kernel.mount("proc", "/new/proc", "proc", flags)
    except OSError:
        return False
    return True


def reap_until(server: int, at_end: "Callable[[], None]") -> int:
    """Be process 1: wait for every process, until the server exits; return its exit status.

    `at_end` is called when it has exited, and what it has started is still there.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # which process 1 never receives from its own namespace
    while True:
        process, status = os.waitpid(-1, 0)
        if process == server:
            at_end()
            return os.waitstatus_to_exitcode(status) & 0xFF

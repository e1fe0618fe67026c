"""The file of a unix socket: made when it is free or left over, and removed by the server that made it alone."""

import contextlib
import fcntl
import os
import signal
import socket
import stat
from _socket import socket as RawSocket  # noqa: N812  (the C class: signal handlers, too, can wait for it under gevent)
from _socket import socketpair
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Final, NamedTuple

from greenserver.config import limits

_LOCK_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.01
_REMOVE_SECONDS: Final = 2.0
_DESCRIPTORS: Final = 1 << 16  # where the limit is a billion and the C library closes them one by one
_NOT_FOR_THE_REMOVER: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class _Made(NamedTuple):
    """A file that this process made. Nothing else has its device and inode while its socket is open."""

    path: Path
    process: int
    device: int
    inode: int


_made: dict[int, _Made] = {}
"""By the number of the socket itself, which no other has while it is open (the inode of fstat(2))."""

_removers: dict[int, RawSocket] = {}
"""What leads to a child process with the privileges that this one has dropped, by the process that started it."""


def open_socket(path: Path) -> socket.socket:
    """Return a socket that listens on a path, in place of a stale one.

    Raise OSError if a server listens there, or something else has the name.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _alone_in(path.parent):  # between its bind and its listen a socket looks abandoned to others
            _remove_abandoned(path)
            listener.bind(str(path))
            found = path.lstat()
            _made[_number(listener)] = _Made(path.absolute(), os.getpid(), found.st_dev, found.st_ino)
            listener.listen(limits.BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def remove(listener: socket.socket) -> None:
    """Remove the file of a listener that is still open, if this process made it and it is still there.

    The file that another server has put in its place stays, as it does while another process shares the listener.
    """
    made = _made.get(_number(listener))
    if made is None or made.process != os.getpid():
        return
    del _made[_number(listener)]
    try:
        _unlink(made)
    except PermissionError:
        _order_removal()


def keep_removable() -> None:
    """Start a child that can remove the files of this process later: call this before privileges are dropped.

    It does so on request, and when this process has ended, however that came.

    Raise OSError if the system is out of processes or descriptors.
    """
    mine = [made for made in _made.values() if made.process == os.getpid()]
    if not mine:
        return
    here, there = socketpair()
    if not os.fork():
        try:
            _remove_when_told(mine, there)
        finally:
            os._exit(0)
    there.close()
    here.settimeout(_REMOVE_SECONDS)
    _removers[os.getpid()] = here


def _number(listener: socket.socket) -> int:
    return os.fstat(listener.fileno()).st_ino


def _remove_when_told(mine: list[_Made], parent: RawSocket) -> None:
    """Wait for the end of the parent or of what it sends, and remove files. Hold nothing else that is open."""
    signal.set_wakeup_fd(-1)
    for number in _NOT_FOR_THE_REMOVER:  # a terminal or a manager sends them to all processes
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    os.closerange(3, parent.fileno())
    os.closerange(parent.fileno() + 1, min(os.sysconf("SC_OPEN_MAX"), _DESCRIPTORS))
    # While a file is open its inode is not used again, although the socket itself may be closed by then.
    with contextlib.suppress(OSError):
        for made in mine:
            os.open(made.path, os.O_PATH | os.O_NOFOLLOW)
    parent.recv(1)
    for made in mine:
        with contextlib.suppress(OSError):
            _unlink(made)


def _order_removal() -> None:
    remover = _removers.pop(os.getpid(), None)
    if remover is None:
        return
    with contextlib.suppress(OSError):
        remover.shutdown(socket.SHUT_WR)
        remover.recv(1)  # it ends when the file is gone
    remover.close()


def _unlink(made: _Made) -> None:
    """Raise PermissionError if this process may not remove the file."""
    with contextlib.suppress(FileNotFoundError):
        found = made.path.lstat()
        if (found.st_dev, found.st_ino) == (made.device, made.inode):
            made.path.unlink()


def _remove_abandoned(path: Path) -> None:
    """Remove the socket file of a server that no longer runs; keep one whose server listens, however busy it is."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            pass  # it listens, and its accept queue is full (EAGAIN); or this process may not ask


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Keep other servers from opening a socket in a directory meanwhile, as far as that can be done in time."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # it is not there, or it can be written to and not be read
        yield
        return
    try:
        last = monotonic() + _LOCK_SECONDS
        while not _lock(descriptor) and monotonic() < last:
            sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

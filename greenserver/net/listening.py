"""Where clients come from: parses an address, opens the listener, accepts."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from greenserver.config import limits
from greenserver.config.addresses import HIGHEST_PORT, UNIX_PREFIX, describe, strip_brackets
from greenserver.io.wait import READ, ShutdownEvent, poll
from greenserver.telemetry.throttle import ThrottledWarning

_no_room = ThrottledWarning(
    "accept failed; retrying", "accept failed for a while"
)  # of the system: one for all servers in it

_made: set[tuple[str, int]] = set()
"""Files of unix sockets that are this process's to remove: path, and process id, lest a fork remove them too."""

_CLIENT_GONE = frozenset({errno.EAGAIN, errno.ECONNABORTED, errno.EINTR, errno.EPROTO})


def open_listener(address: str, port: int) -> socket.socket:
    """Listen, without blocking, on a host name, an IPv4 or IPv6 address (``::`` takes both), or unix:PATH.

    Raises OSError with a message for people if that cannot be done.
    """
    address = strip_brackets(address)
    try:
        if address.startswith(UNIX_PREFIX):
            listener = _open_unix(Path(address.removeprefix(UNIX_PREFIX)))
        else:
            listener = _open_tcp(address, port)
    except (OSError, UnicodeError, OverflowError) as error:
        message = f"cannot listen on {describe(address, port)}: {_reason(error)}"
        raise OSError(message) from error
    listener.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
    return listener


def close_listener(listener: socket.socket) -> None:
    """Stop listening, and take a unix socket's file away."""
    if listener.fileno() < 0:
        return
    name = listener.getsockname()
    listener.close()
    if isinstance(name, str) and (name, os.getpid()) in _made:
        _made.discard((name, os.getpid()))
        with contextlib.suppress(OSError):
            Path(name).unlink()


def describe_peer(address: object) -> str:
    """Return the address of a client as `socket.accept` gives it, as people write it."""
    return describe(str(address[0]), int(address[1])) if isinstance(address, tuple) else "unix"


def accept(listener: socket.socket) -> tuple[socket.socket, str] | None:
    """Take the client that waits, and its address; None if it has gone again.

    Raises OSError if the system has no descriptor or memory for a client: pause before the next try.
    """
    try:
        client, address = listener.accept()
    except OSError as error:
        if is_client_gone(error):
            return None
        report_no_room(error)
        raise
    report_room()
    return client, describe_peer(address)


def accept_until(stop: ShutdownEvent, listener: socket.socket) -> Iterator[tuple[socket.socket, str]]:
    """Yield clients as they come, until the switch is turned."""
    while not stop.is_set:
        if listener.fileno() not in poll(listener.fileno(), READ, limits.IDLE_SECONDS, stop):
            continue
        try:
            accepted = accept(listener)
        except OSError:
            stop.wait(limits.ACCEPT_PAUSE_SECONDS)
            continue
        if accepted is not None:
            yield accepted


def is_client_gone(error: OSError) -> bool:
    """Tell whether accepting failed because of the client, not for lack of room."""
    return error.errno in _CLIENT_GONE


def report_no_room(error: Exception) -> None:
    """Log, once an episode, that a client had to be left waiting."""
    _no_room.happens(reason=getattr(error, "strerror", None) or str(error))


def report_room() -> None:
    """Take note that a client was accepted."""
    _no_room.is_not_seen()


def _reason(error: Exception) -> str:
    """Return why listening failed, without the address, which `socket.create_server` would repeat."""
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    return str(getattr(error, "strerror", None) or error)


def _open_tcp(host: str, port: int) -> socket.socket:
    if not 0 <= port <= HIGHEST_PORT:  # the system would take it for another one
        message = f"a port is a number from 0 to {HIGHEST_PORT}"
        raise OverflowError(message)
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(
        address[:2], family=family, backlog=limits.BACKLOG, dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6()
    )


def _open_unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listener.bind(str(path))
        _made.add((str(path), os.getpid()))
        listener.listen(limits.BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket file of a server that is no more; one that answers is left alone."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()

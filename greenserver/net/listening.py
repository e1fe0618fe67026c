"""Open and close listening sockets, and accept from them."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from greenserver.config import limits
from greenserver.config.addresses import HIGHEST_PORT, UNIX_PREFIX, describe, strip_brackets
from greenserver.io.wait import READ, ShutdownEvent, poll
from greenserver.net import socket_file
from greenserver.net.accept_queue import LOOK_SECONDS
from greenserver.telemetry.throttle import ThrottledWarning

_failing = ThrottledWarning(
    "accept failed; retrying", "accept failed for a while"
)  # descriptors and memory are the process's or the system's: one warning for all servers in it

ACCEPT_ERRORS: Final = (OSError, MemoryError)

_CLIENT_GONE = frozenset({errno.EAGAIN, errno.ECONNABORTED, errno.EINTR, errno.EPROTO})


def open_listener(address: str, port: int) -> socket.socket:
    """Open a non-blocking listener on a host name, an IPv4 or IPv6 address (``::`` is both), or unix:PATH.

    Raise OSError, with a message for the operator, if it cannot listen there.
    """
    address = strip_brackets(address)
    try:
        if address.startswith(UNIX_PREFIX):
            listener = socket_file.open_socket(Path(address.removeprefix(UNIX_PREFIX)))
        else:
            listener = _open_tcp(address, port)
    except (OSError, UnicodeError, OverflowError) as error:
        message = f"cannot listen on {describe(address, port)}: {_reason(error)}{_remedy(error, address)}"
        raise OSError(message) from error
    listener.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
    return listener


def close_listener(listener: socket.socket) -> None:
    """Close a listener, and remove the file of a unix socket that this process made."""
    if listener.fileno() >= 0:
        socket_file.remove(listener)
        listener.close()


def describe_peer(address: object) -> str:
    """Format the address of a socket or its peer: HOST:PORT, or "unix"."""
    if not isinstance(address, tuple):
        return "unix"
    host, port, *more = address
    scope = more[1] if more else 0  # of a link-local IPv6 address: the number of an interface
    return describe(f"{host}%{_interface(scope)}" if scope and "%" not in host else host, port)


def _interface(number: int) -> str:
    try:
        return socket.if_indextoname(number)
    except OSError:  # it is gone
        return str(number)


def always() -> bool:
    """Return True: there is always room."""
    return True


def accept(listener: socket.socket, has_room: Callable[[], bool] = always) -> tuple[socket.socket, str] | None:
    """Accept a client, and return its socket and address; None if it disconnected or none is queued.

    Raise one of `ACCEPT_ERRORS` if there is no descriptor or memory for it; pause before the next call.
    """
    try:
        require_room(has_room)
        client, address = listener.accept()
    except ACCEPT_ERRORS as error:
        if is_client_gone(error):
            return None
        report_failed_accept(error)
        raise
    report_accepted()
    return client, describe_peer(address)


def require_room(has_room: Callable[[], bool]) -> None:
    """Raise OSError, as accept(2) does, if there is no memory for another client: it waits in the accept queue."""
    if not has_room():
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


def accept_until(
    stop: ShutdownEvent,
    listener: socket.socket,
    has_queued: Callable[[], bool],
    has_room: Callable[[], bool] = always,
) -> Iterator[tuple[socket.socket, str]]:
    """Accept and yield clients until the shutdown event is set, and then as long as `has_queued` says so."""
    while not stop.is_set or has_queued():
        try:
            if stop.is_set:
                ready = poll(listener.fileno(), READ, LOOK_SECONDS)
            else:
                ready = poll(listener.fileno(), READ, limits.IDLE_SECONDS, stop)
            if listener.fileno() not in ready:
                continue
            accepted = accept(listener, has_room)
        except ACCEPT_ERRORS:
            with contextlib.suppress(MemoryError):
                stop.wait(limits.ACCEPT_PAUSE_SECONDS)
            continue
        if accepted is not None:
            yield accepted


def is_client_gone(error: Exception) -> bool:
    """Return whether accept failed because of the client, not for lack of descriptors or memory.

    accept(2) passes on network errors of the new connection: https://man7.org/linux/man-pages/man2/accept.2.html.
    """
    return isinstance(error, OSError) and error.errno in _CLIENT_GONE


def report_failed_accept(error: Exception) -> None:
    """Log a failed accept, rate-limited."""
    _failing.happens(reason=getattr(error, "strerror", None) or str(error) or os.strerror(errno.ENOMEM))


def report_accepted() -> None:
    """Record a successful accept, which ends the warning."""
    _failing.is_not_seen()


def _reason(error: Exception) -> str:
    """Return why listening failed, without the address, which `socket.create_server` adds."""
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)
    return str(getattr(error, "strerror", None) or error)


_REMEDIES: Final = {
    errno.EACCES: "; ports below 1024 are for root: start as root with --user NAME, or choose a higher port",
    errno.EADDRINUSE: "; stop the program that listens there (ss -ltnp shows which), or choose another port",
    errno.EADDRNOTAVAIL: "; choose an address of this machine (ip address lists them), or :: for all",
}
_UNIX_REMEDIES: Final = {
    errno.EADDRINUSE: "; stop the server that listens there, or choose a path that is free",
}


def _remedy(error: Exception, address: str) -> str:
    """Return what an operator can do about a failure, or ""."""
    number = getattr(error, "errno", None) or 0
    if address.startswith(UNIX_PREFIX):
        return _UNIX_REMEDIES.get(number, "")
    if isinstance(error, socket.gaierror):
        return "; give an address or a name of this machine, such as 127.0.0.1, or :: for all"
    if number == errno.EINVAL and address.lower().startswith("fe80:"):
        return f"; name the interface of a link-local address, such as {address}%eth0"
    return _REMEDIES.get(number, "")


def _open_tcp(host: str, port: int) -> socket.socket:
    if not 0 <= port <= HIGHEST_PORT:  # the system may truncate it to another port
        message = f"a port is a number from 0 to {HIGHEST_PORT}"
        raise OverflowError(message)
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    is_any = address[0] == "::"
    return socket.create_server(
        address,  # with the scope of a link-local IPv6 address
        family=family,
        backlog=limits.BACKLOG,
        dualstack_ipv6=is_any and socket.has_dualstack_ipv6(),
    )

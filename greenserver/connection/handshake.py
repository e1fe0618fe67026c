"""Open and close a connection: socket options, PROXY header, TLS handshake, lingering close."""

import contextlib
import socket
from time import monotonic
from typing import TYPE_CHECKING, Final

from greenserver.config import limits
from greenserver.connection.flow_control import TooSlowError
from greenserver.connection.proxy_protocol import HeaderError, read_header
from greenserver.io.wait import FOREVER, READ, Steps, Wait
from greenserver.protocol.status import Status

if TYPE_CHECKING:
    import ssl

    from greenserver.connection.serving_config import ServingConfig
    from greenserver.connection.tls import SecureChannel

_PROXY: Final = "proxy"
_TLS: Final = "tls"
_HANDSHAKE: Final = "handshake"


class HandshakeError(Exception):
    """The PROXY header or the TLS handshake failed; `kind` is "proxy" or "tls"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def prepare(sock: socket.socket) -> None:
    """Make a socket non-blocking, turn off Nagle's algorithm, and bound what the kernel holds unsent.

    TCP_NODELAY: https://man7.org/linux/man-pages/man7/tcp.7.html. TCP_NOTSENT_LOWAT: `tcp_notsent_lowat` in
    https://docs.kernel.org/networking/ip-sysctl.html.
    """
    sock.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
    if sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # the client may have disconnected
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, limits.UNSENT_BYTES)


def establish(
    sock: socket.socket, peer: str, config: "ServingConfig"
) -> "Steps[tuple[str, bytes, SecureChannel | None]]":
    """Read the PROXY header and do the TLS handshake, if the configuration requires them.

    Return the client's name, the bytes received after the header, and the TLS channel, which has taken these bytes.

    When the connection is asked to end meanwhile, they have `LINGER_QUIET_SECONDS` left.

    Raise HandshakeError if one fails, TooSlowError if they take too long.
    """
    steps, outcome, last = _establish(sock, peer, config), None, FOREVER
    while True:
        try:
            wait = steps.send(outcome)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # what `_establish` returned
        if config.group.is_draining:
            last = min(last, monotonic() + limits.LINGER_QUIET_SECONDS)
            outcome = yield Wait(wait.events, min(wait.deadline, last))
        else:
            outcome = yield Wait(wait.events, wait.deadline, ends_on_drain=True)


def _establish(
    sock: socket.socket, peer: str, config: "ServingConfig"
) -> "Steps[tuple[str, bytes, SecureChannel | None]]":
    deadline = monotonic() + config.limits.handshake_seconds
    client, early, channel = peer, b"", None
    if config.proxy_from:
        try:
            client, early = yield from read_header(sock, peer, config.proxy_from, deadline)
        except HeaderError as error:
            raise HandshakeError(_PROXY, str(error)) from error
    if config.tls is not None:
        channel = secure(sock, config.tls, early)
        yield from shake_hands(channel, deadline)
    return client, early, channel


def secure(sock: socket.socket, context: "ssl.SSLContext", early: bytes) -> "SecureChannel":
    """Return a TLS channel on a socket; `early` are the bytes already received from it."""
    from greenserver.connection.tls import SecureChannel  # noqa: PLC0415  (a server without TLS starts faster)

    return SecureChannel(sock, context, early)


def shake_hands(channel: "SecureChannel", deadline: float) -> Steps[None]:
    """Do the TLS handshake.

    Raise HandshakeError if it fails, TooSlowError past the deadline.
    """
    import ssl  # noqa: PLC0415  (as in `secure`)

    while True:
        try:
            events = channel.shake_hands()
        except ssl.SSLError as error:
            raise HandshakeError(_TLS, error.reason or str(error)) from error
        if not events:
            return
        if monotonic() > deadline or not (yield Wait(events, deadline)):
            raise TooSlowError(_HANDSHAKE)


def reject_plain_text(sock: socket.socket) -> None:
    """Send INTERNAL_SERVER_ERROR without waiting."""
    with contextlib.suppress(OSError):
        sock.send(Status.INTERNAL_SERVER_ERROR.line)
        sock.recv(limits.RECEIVE_BYTES)  # closing with unread input sends a reset, see `linger`


def linger(sock: socket.socket, seconds: float) -> Steps[None]:
    """Shut down sending, then discard input until EOF, for at most `seconds`.

    Closing a socket with unread input sends a reset, which can destroy the last reply before the client reads it
    (https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1).
    """
    with contextlib.suppress(OSError):  # the client may have disconnected already
        sock.shutdown(socket.SHUT_WR)
    last = monotonic() + seconds
    while (yield Wait(READ, min(last, monotonic() + limits.LINGER_QUIET_SECONDS))):
        with contextlib.suppress(BlockingIOError):
            if not sock.recv(limits.RECEIVE_BYTES) or monotonic() > last:
                return

"""How a client arrives, through a proxy that says for whom it speaks and through TLS, and how it is parted from."""

import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from greenserver.config import limits
from greenserver.config.addresses import describe
from greenserver.connection.flow_control import TooSlowError
from greenserver.connection.proxy_protocol import Header, HeaderError, parse
from greenserver.io.wait import READ, Steps, Wait
from greenserver.net.limiter import address_of
from greenserver.protocol.status import Status

if TYPE_CHECKING:
    import ssl

    from greenserver.connection.tls import SecureChannel

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PROXY: Final = "proxy"
TLS: Final = "tls"
_HANDSHAKE: Final = "handshake"


class HandshakeError(Exception):
    """A client did not arrive as it must; `kind` is "proxy" or "tls"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def prepare(sock: socket.socket) -> None:
    """Make a client's socket non-blocking and quick, and let the kernel hold little for who stops reading."""
    sock.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
    if sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # a client that is gone again
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, limits.UNSENT_BYTES)


def read_proxy_header(
    sock: socket.socket, peer: str, proxies: Sequence[Network], deadline: float
) -> Steps[tuple[str, bytes]]:
    """Read a PROXY protocol header, and return whom it names, and what was read beyond it.

    Raises HandshakeError if the peer is none of the proxies, or sends no header; TooSlowError past the deadline.
    """
    address = address_of(peer)
    if address is not None and not any(address in network for network in proxies):
        raise HandshakeError(PROXY, "the peer is not among the trusted proxies")
    data = b""
    while (header := _parse(data)) is None:
        if not (yield Wait(READ, deadline)):
            raise TooSlowError(_HANDSHAKE)
        try:
            more = sock.recv(limits.HEADER_BYTES)
        except BlockingIOError:
            continue
        if not more:
            raise HandshakeError(PROXY, "the peer closed before its header was complete")
        data += more
    return peer if header.source is None else describe(*header.source), data[header.length :]


def secure(sock: socket.socket, context: "ssl.SSLContext", early: bytes) -> "SecureChannel":
    """Return what speaks TLS on a socket from which some bytes were read already."""
    from greenserver.connection.tls import SecureChannel  # noqa: PLC0415  (whoever speaks no TLS shall not wait for it at the start)

    return SecureChannel(sock, context, early)


def shake_hands(channel: "SecureChannel", deadline: float) -> Steps[None]:
    """Agree on TLS.

    Raises HandshakeError if that fails, TooSlowError past the deadline.
    """
    import ssl  # noqa: PLC0415  (the same)

    while True:
        try:
            events = channel.shake_hands()
        except ssl.SSLError as error:
            raise HandshakeError(TLS, error.reason or str(error)) from error
        if not events:
            return
        if monotonic() > deadline or not (yield Wait(events, deadline)):
            raise TooSlowError(_HANDSHAKE)


def reject_plain_text(sock: socket.socket) -> None:
    """Say in passing that there is no room."""
    with contextlib.suppress(OSError):
        sock.send(Status.INTERNAL_SERVER_ERROR.line)
        sock.recv(limits.RECEIVE_BYTES)  # unread input would turn the close into a reset


def linger(sock: socket.socket, seconds: float, channel: "SecureChannel | None" = None) -> Steps[None]:
    """End our half of the stream, then drop input until the client ends its own, for at most so long.

    Closing with unread input would send a reset, which can destroy the last reply on its way.
    """
    if channel is not None:
        channel.say_goodbye()
    with contextlib.suppress(OSError):  # the client may have gone
        sock.shutdown(socket.SHUT_WR)
    last = monotonic() + seconds
    while (yield Wait(READ, min(last, monotonic() + limits.LINGER_QUIET_SECONDS))):
        with contextlib.suppress(BlockingIOError):
            if not sock.recv(limits.RECEIVE_BYTES) or monotonic() > last:
                return


def _parse(data: bytes) -> Header | None:
    try:
        return parse(data)
    except HeaderError as error:
        raise HandshakeError(PROXY, str(error)) from error

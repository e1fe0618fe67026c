"""How a client arrives: through a proxy that says for whom it speaks, and through TLS."""

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from time import monotonic
from typing import Final

from greenserver import limits
from greenserver.addresses import describe
from greenserver.gate import address_of
from greenserver.pacing import TooSlowError
from greenserver.proxy_protocol import Header, HeaderError, parse
from greenserver.tls import SecureChannel
from greenserver.waiting import READ, Steps, Wait

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PROXY: Final = "proxy"
TLS: Final = "tls"
_HANDSHAKE: Final = "handshake"


class TurnedAwayError(Exception):
    """A client did not arrive as it must; `kind` is "proxy" or "tls"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def introduce(sock: socket.socket, peer: str, proxies: Sequence[Network], deadline: float) -> Steps[tuple[str, bytes]]:
    """Read a PROXY protocol header, and return whom it names, and what was read beyond it.

    Raises TurnedAwayError if the peer is none of the proxies, or sends no header; TooSlowError past the deadline.
    """
    address = address_of(peer)
    if address is not None and not any(address in network for network in proxies):
        raise TurnedAwayError(PROXY, "the peer is not among the trusted proxies")
    data = b""
    while (header := _parse(data)) is None:
        if not (yield Wait(READ, deadline)):
            raise TooSlowError(_HANDSHAKE)
        try:
            more = sock.recv(limits.HEADER_BYTES)
        except BlockingIOError:
            continue
        if not more:
            raise TurnedAwayError(PROXY, "the peer closed before its header was complete")
        data += more
    return peer if header.source is None else describe(*header.source), data[header.length :]


def shake_hands(channel: SecureChannel, deadline: float) -> Steps[None]:
    """Agree on TLS.

    Raises TurnedAwayError if that fails, TooSlowError past the deadline.
    """
    while True:
        try:
            events = channel.shake_hands()
        except ssl.SSLError as error:
            raise TurnedAwayError(TLS, error.reason or str(error)) from error
        if not events:
            return
        if monotonic() > deadline or not (yield Wait(events, deadline)):
            raise TooSlowError(_HANDSHAKE)


def _parse(data: bytes) -> Header | None:
    try:
        return parse(data)
    except HeaderError as error:
        raise TurnedAwayError(PROXY, str(error)) from error

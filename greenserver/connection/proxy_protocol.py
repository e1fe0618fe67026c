"""Read and parse PROXY protocol headers, versions 1 and 2.

Specification: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, sections 2.1 (v1) and 2.2 (v2).
"""

import ipaddress
import socket
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from greenserver.config import limits
from greenserver.config.addresses import describe
from greenserver.connection.flow_control import TooSlowError
from greenserver.io.wait import READ, Steps, Wait
from greenserver.telemetry.client_names import address_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SIGNATURE_1: Final = b"PROXY "
_LINE_BYTES_1: Final = 107  # maximum length of a v1 header, CR LF included (section 2.1)
_SIGNATURE_2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_PREFIX_2: Final = struct.Struct("!12sBBH")
_LOCAL: Final = 0x20
_PROXIED: Final = 0x21
_PORTS: Final = struct.Struct("!HH")
_ADDRESS_BYTES: Final = {0x11: 4, 0x21: 16}  # TCP over IPv4 and over IPv6
_OTHER_FAMILIES: Final = frozenset({0x00, 0x12, 0x22, 0x31, 0x32})  # unspecified, datagrams, unix sockets


class Header(NamedTuple):
    """A parsed PROXY protocol header."""

    length: int
    """In bytes; the client's data follows."""
    source: tuple[str, int] | None
    """The client's address and port; None for LOCAL, UNKNOWN, and families other than TCP over IPv4 or IPv6."""


class HeaderError(ValueError):
    """The connection does not begin with a valid PROXY protocol header from a trusted proxy."""


def read_header(
    sock: socket.socket, peer: str, proxies: Sequence[Network], deadline: float
) -> Steps[tuple[str, bytes]]:
    """Read a header from a socket; return the client that it names, and the bytes received after it.

    Raise HeaderError if the peer is not a trusted proxy or sends no valid header, TooSlowError past the deadline.
    """
    address = address_of(peer)
    if address is not None and not any(address in network for network in proxies):
        message = "the peer is not among the trusted proxies"
        raise HeaderError(message)
    data = b""
    while (header := parse(data)) is None:
        if not (yield Wait(READ, deadline)):
            raise TooSlowError("handshake")  # noqa: EM101  (the name of a timeout)
        try:
            more = sock.recv(limits.HEADER_BYTES)
        except BlockingIOError:
            continue
        if not more:
            message = "the peer closed before its header was complete"
            raise HeaderError(message)
        data += more
    return peer if header.source is None else describe(*header.source), data[header.length :]


def parse(data: bytes) -> Header | None:
    """Return the header at the start of the data; None if it is incomplete.

    Raise HeaderError as soon as the data cannot be the start of a header.
    """
    if _begins(data, _SIGNATURE_1):
        return _parse_line(data)
    if _begins(data, _SIGNATURE_2):
        return _parse_binary(data)
    message = "no PROXY protocol header"
    raise HeaderError(message)


def _begins(data: bytes, signature: bytes) -> bool:
    return data[: len(signature)] == signature[: len(data)]


def _parse_line(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, _LINE_BYTES_1)
    if end < 0:
        if len(data) >= _LINE_BYTES_1:
            message = "the header line is too long"
            raise HeaderError(message)
        return None
    length = end + 2
    _, family, *fields = data[:end].split(b" ")
    if family == b"UNKNOWN":  # the receiver must ignore the rest of the line (section 2.1)
        return Header(length, None)
    try:
        source, destination, *ports = (field.decode("ascii") for field in fields)
        address = _address(family, source)
        _address(family, destination)
        source_port, _ = (_port(port) for port in ports)
    except ValueError as error:
        message = "the header line is malformed"
        raise HeaderError(message) from error
    return Header(length, (str(address), source_port))


def _address(family: bytes, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if family not in {b"TCP4", b"TCP6"} or "%" in text:  # Python takes a scope of any characters; the protocol has none
        raise ValueError(text)
    return ipaddress.IPv4Address(text) if family == b"TCP4" else ipaddress.IPv6Address(text)


def _port(text: str) -> int:
    if not text.isdigit() or (text[0] == "0" and text != "0") or int(text) > 0xFFFF:  # noqa: PLR2004  (16 bits)
        raise ValueError(text)
    return int(text)


def _parse_binary(data: bytes) -> Header | None:
    if len(data) < _PREFIX_2.size:
        return None
    _, command, family, rest_bytes = _PREFIX_2.unpack_from(data)
    length = _PREFIX_2.size + rest_bytes
    if command not in {_LOCAL, _PROXIED} or length > limits.HEADER_BYTES:
        message = "the binary header has an unknown version or command, or is too long"
        raise HeaderError(message)
    address_bytes = _ADDRESS_BYTES.get(family, 0)
    is_known = bool(address_bytes) or family in _OTHER_FAMILIES
    if command == _PROXIED and (not is_known or (address_bytes and rest_bytes < 2 * address_bytes + _PORTS.size)):
        message = "the binary header has an unknown family, or is too short for its addresses"
        raise HeaderError(message)
    if len(data) < length:
        return None
    if command == _LOCAL or not address_bytes:
        return Header(length, None)
    start = _PREFIX_2.size
    address = ipaddress.ip_address(data[start : start + address_bytes])
    port, _ = _PORTS.unpack_from(data, start + 2 * address_bytes)
    return Header(length, (str(address), port))

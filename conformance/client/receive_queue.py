"""Observe the other end of a local TCP connection, on Linux: its state and receive queue; see sock_diag(7)."""

import contextlib
import errno
import socket
import struct
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

from conformance.client.netlink import HEADER, NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY
from conformance.client.network_namespace import OpenSocket, opener_of

_NLM_F_REQUEST: Final = 1
_SECONDS: Final = 0.2
_REQUEST: Final = struct.Struct("=BBBxI2s2s16s16sI8s")
"""inet_diag_req_v2: family, protocol, extensions, states; and the socket's id: ports, hosts, interface, cookie."""
_NLMSG_ERROR: Final = 2
_STATE_AT: Final = HEADER.size + 1
"""Offset of the socket's state (idiag_state) in the reply."""
_ESTABLISHED: Final = 1
"""TCP_ESTABLISHED of tcp_states.h."""
_CLOSE_WAIT: Final = 8
_QUEUE_AT: Final = HEADER.size + 56
"""Offset of the receive queue's length (idiag_rqueue) in the reply."""
_LOCAL: Final = ("127.", "::1")


class Peer(NamedTuple):
    """The other end of a connection."""

    is_open: bool
    """Whether it can still send: neither closed nor shut down."""
    unread_bytes: int
    """How many bytes it has received and not read; 0 if it is closed."""


CLOSED: Final = Peer(is_open=False, unread_bytes=0)


def peer(connection: socket.socket) -> Peer | None:
    """Return the state of the other end; None where that cannot be observed."""
    if sys.platform != "linux" or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    try:
        own, other = connection.getsockname(), connection.getpeername()
    except OSError:  # ENOTCONN: it has sent a reset
        return CLOSED
    with contextlib.suppress(OSError, ValueError, struct.error):
        if not str(other[0]).startswith(_LOCAL):
            return None
        data = _look_up(opener_of(connection), connection.family, other, own)
        kind = HEADER.unpack_from(data)[1]
        if kind == SOCK_DIAG_BY_FAMILY:
            unread = int(struct.unpack_from("=I", data, _QUEUE_AT)[0])
            return Peer(data[_STATE_AT] in {_ESTABLISHED, _CLOSE_WAIT}, unread)
        if kind == _NLMSG_ERROR and struct.unpack_from("=i", data, HEADER.size)[0] == -errno.ENOENT:
            return CLOSED
    return None


def _look_up(open_socket: OpenSocket, family: int, source: Sequence[object], destination: Sequence[object]) -> bytes:
    """Return the kernel's reply about the socket with these addresses; raise OSError or ValueError."""
    hosts = [ip_address(str(address[0])).packed.ljust(16, b"\0") for address in (source, destination)]
    ports = [int(str(address[1])).to_bytes(2, "big") for address in (source, destination)]
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF, *ports, *hosts, 0, b"\xff" * 8)
    with open_socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as sock:
        sock.settimeout(_SECONDS)
        size = HEADER.size + len(request)
        sock.send(HEADER.pack(size, SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0) + request)
        return sock.recv(1 << 12)

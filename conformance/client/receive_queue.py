"""Read the receive queue of the other end of a local TCP connection, on Linux; see sock_diag(7)."""

import contextlib
import socket
import struct
import sys
from ipaddress import ip_address
from typing import Final

from conformance.client.netlink import HEADER, NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY

_NLM_F_REQUEST: Final = 1
_SECONDS: Final = 0.2
_REQUEST: Final = struct.Struct("=BBBxI2s2s16s16sI8s")
"""inet_diag_req_v2: family, protocol, extensions, states; and the socket's id: ports, hosts, interface, cookie."""
_QUEUE_AT: Final = HEADER.size + 56
"""Offset of the receive queue's length (idiag_rqueue) in the reply."""
_LOCAL: Final = ("127.", "::1")


def unread_bytes(connection: socket.socket) -> int | None:
    """Return how many bytes the other end has received and not read; None where that cannot be observed."""
    if sys.platform != "linux" or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    with contextlib.suppress(OSError, ValueError, struct.error):
        own, other = connection.getsockname(), connection.getpeername()
        if not str(other[0]).startswith(_LOCAL):
            return None
        hosts = [ip_address(host).packed.ljust(16, b"\0") for host in (other[0], own[0])]
        ports = [int(port).to_bytes(2, "big") for port in (other[1], own[1])]
        request = _REQUEST.pack(connection.family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF, *ports, *hosts, 0, b"\xff" * 8)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as sock:
            sock.settimeout(_SECONDS)
            size = HEADER.size + len(request)
            sock.send(HEADER.pack(size, SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0) + request)
            data = sock.recv(1 << 12)
        if HEADER.unpack_from(data)[1] == SOCK_DIAG_BY_FAMILY:
            return int(struct.unpack_from("=I", data, _QUEUE_AT)[0])
    return None

"""Find the listening sockets of this machine, without connecting to them (Linux only).

Netlink comes first (sock_diag(7)): it reports the listening sockets of a single port, with their backlog, in well under
a millisecond even if thousands of sockets are in TIME_WAIT. Where it is denied, `/proc/PID/net` is read (proc(5)),
which has the length of the accept queue, but not the backlog. Other systems than Linux report nothing.
"""

import contextlib
import errno
import os
import secrets
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv6Address, ip_address
from operator import itemgetter
from pathlib import Path
from typing import Final

from conformance.client.address import Address
from conformance.client.netlink import HEADER, NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY
from conformance.client.network_namespace import OpenSocket

_PORTS: Final = range(10_000, 32_768)
"""Ports for servers: below Linux's default ephemeral ports (net.ipv4.ip_local_port_range in ip(7))."""
_PORT_TRIES: Final = 100
_ANY_HOST: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  (bound briefly, never listened on)
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_NLM_F_REQUEST_DUMP: Final = 0x301
_TCP_LISTEN: Final = 10
_NETLINK_SECONDS: Final = 1.0
_RECEIVE_BYTES: Final = 1 << 16
_MOST_DATAGRAMS: Final = 1000
_ATTRIBUTE: Final = struct.Struct("=HH")
"""rtattr: length, type."""
_ALIGNED: Final = ~3
"""A mask: messages and attributes begin at multiples of four bytes."""

_INET_REQUEST: Final = struct.Struct("=BBxxI2s46x")
"""inet_diag_req_v2: family, protocol, states, and only the source port of the socket's id."""
_INET_REPLY: Final = struct.Struct("=B3x2s2x16s28x4xII4xI")
"""inet_diag_msg: family, source port, source address, receive queue, send queue, inode."""
_INET_DIAG_SKV6ONLY: Final = 11
_UNIX_REQUEST: Final = struct.Struct("=BxxxIII8x")
"""unix_diag_req: family, states, inode, attributes to report (udiag_show)."""
_UNIX_SHOW: Final = 1 | 2 | 16
"""UDIAG_SHOW_NAME, UDIAG_SHOW_VFS, UDIAG_SHOW_RQLEN."""
_UNIX_REPLY: Final = struct.Struct("=4xI8x")
"""unix_diag_msg: inode."""
_UNIX_DIAG_NAME: Final = 0
_UNIX_DIAG_VFS: Final = 1
_UNIX_DIAG_RQLEN: Final = 4
_PAIR: Final = struct.Struct("=II")
_MINOR_BITS: Final = 20
"""The kernel's internal dev_t is major << 20 | minor."""
_ACCEPTS_CONNECTIONS: Final = 0x10000
"""__SO_ACCEPTCON, a flag in /proc/net/unix: the socket listens."""


@dataclass(frozen=True)
class Listener:
    """A listening socket: TCP with `host` and `port`, or a Unix socket with the `path` that it was bound to."""

    inode: int
    host: str = ""
    port: int = 0
    path: str = ""
    queue_length: int | None = None
    """The length of the accept queue."""
    backlog: int | None = None
    """The backlog given to listen(2), capped by net.core.somaxconn; None if netlink is not available."""
    is_v6_only: bool = False
    file: tuple[int, int] = (0, 0)
    """Inode and device of the socket's file, with the kernel's device number."""

    def __str__(self) -> str:
        return str(Address(self.host, self.port, self.path))

    def accepts(self, address: Address, hosts: frozenset[str]) -> bool:
        """Return whether it accepts connections to an address whose host has the IP addresses `hosts`."""
        if address.path:
            return bool(self.path) and (self.path == address.path or self.file == _file_of(address.path))
        if self.path or self.port != address.port:
            return False
        if self.host == "0.0.0.0":  # noqa: S104  (a comparison)
            return any(":" not in host for host in hosts)
        if self.host == "::":
            return not self.is_v6_only or any(":" in host for host in hosts)
        return self.host in hosts


def listeners(address: Address, process: int | None = None, open_socket: OpenSocket = socket.socket) -> list[Listener]:
    """Return the sockets that accept connections to an address.

    `open_socket` opens netlink sockets in a network namespace; /proc is read in that of `process`.
    """
    hosts = resolve(address)
    found = unix_listeners(process, open_socket) if address.path else tcp_listeners(address.port, process, open_socket)
    return [listener for listener in found if listener.accepts(address, hosts)]


def tcp_listeners(port: int = 0, process: int | None = None, open_socket: OpenSocket = socket.socket) -> list[Listener]:
    """Return the TCP sockets that listen on a port, at any host; 0 means any port."""
    found: list[Listener] = []
    for family, name in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        request = _tcp_request(family, port)
        try:
            found += map(_inet_listener, _dump(request, open_socket))
        except OSError:
            found += _read_tcp(Path(f"/proc/{process or 'self'}/net/{name}"))
    return [listener for listener in found if port in {0, listener.port}]


def is_open(listener: Listener, open_socket: OpenSocket = socket.socket) -> bool:
    """Return whether a TCP socket still listens, by one request for its port.

    False where one request does not tell: of Unix sockets, of IPv6 sockets with an IPv4 address, and without netlink.
    """
    if listener.path:
        return False
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    try:
        replies = _dump(_tcp_request(family, listener.port), open_socket)
    except OSError:
        return False
    return listener.inode in map(itemgetter(-1), map(_INET_REPLY.unpack_from, replies))


def unix_listeners(process: int | None = None, open_socket: OpenSocket = socket.socket) -> list[Listener]:
    """Return the listening Unix sockets that have a name."""
    request = _UNIX_REQUEST.pack(socket.AF_UNIX, 1 << _TCP_LISTEN, 0, _UNIX_SHOW)
    try:
        found = list(map(_unix_listener, _dump(request, open_socket)))
    except OSError:
        found = list(_read_unix(Path(f"/proc/{process or 'self'}/net/unix")))
    return [listener for listener in found if listener.path]


@cache
def resolve(address: Address) -> frozenset[str]:
    """Return the IP addresses of an address's host; empty if it has none."""
    try:
        found = socket.getaddrinfo(address.host, None, type=socket.SOCK_STREAM) if address.host else []
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(str(found_address[0]).partition("%")[0] for *_, found_address in found)


def is_local(address: Address) -> bool:
    """Return whether an address belongs to this machine, by binding a socket to its host."""
    if address.path:
        return True
    for host in resolve(address):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((host, 0))
            return True
    return False


def is_loopback(address: Address) -> bool:
    """Return whether an address is one of this machine's loopback interface, by TCP."""
    hosts = resolve(address)
    return bool(hosts) and all(ip_address(host).is_loopback for host in hosts)


def can_bind(port: int, hosts: frozenset[str]) -> bool:
    """Return whether a server without SO_REUSEADDR can bind a port: no socket uses it, not even in TIME_WAIT.

    Hosts of an address family that this machine lacks are skipped.
    """
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            continue
        with sock:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return False
    return True


def free_port() -> int:
    """Return a port that no socket uses, at any host of either family, outside the ephemeral range if possible."""
    for _ in range(_PORT_TRIES):
        port = secrets.choice(_PORTS)
        if can_bind(port, _ANY_HOST):
            return port
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _file_of(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116  (the path is a string)
    except OSError:
        return (-1, -1)
    return status.st_ino & 0xFFFFFFFF, os.major(status.st_dev) << _MINOR_BITS | os.minor(status.st_dev)


def _tcp_request(family: int, port: int) -> bytes:
    """Return a request for the sockets that listen on a port; 0 means any port."""
    return _INET_REQUEST.pack(family, socket.IPPROTO_TCP, 1 << _TCP_LISTEN, port.to_bytes(2, "big"))


def _dump(request: bytes, open_socket: OpenSocket) -> list[bytes]:
    """Send a dump request, and return the replies; raise OSError."""
    if sys.platform != "linux":
        message = "no netlink"
        raise OSError(message)
    found: list[bytes] = []
    with open_socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as sock:
        sock.settimeout(_NETLINK_SECONDS)
        size = HEADER.size + len(request)
        sock.send(HEADER.pack(size, SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 0, 0) + request)
        for _ in range(_MOST_DATAGRAMS):
            data = sock.recv(_RECEIVE_BYTES)
            while len(data) >= HEADER.size:
                length, kind, *_ = HEADER.unpack_from(data)
                if kind == _NLMSG_DONE:
                    return found
                if kind == _NLMSG_ERROR:
                    number = -struct.unpack_from("=i", data, HEADER.size)[0]
                    raise OSError(number, os.strerror(number))
                found.append(data[HEADER.size : length])
                data = data[max(length, HEADER.size) + 3 & _ALIGNED :]
    return found


def _attributes(data: bytes) -> dict[int, bytes]:
    """Return the attributes (rtattr) at the end of a reply."""
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        found[kind] = data[_ATTRIBUTE.size : length]
        data = data[max(length, _ATTRIBUTE.size) + 3 & _ALIGNED :]
    return found


def _inet_listener(reply: bytes) -> Listener:
    """Return the listening socket that an inet_diag_msg describes.

    For a listening socket, idiag_rqueue is the length of the accept queue, and idiag_wqueue the backlog (sock_diag(7)).
    """
    family, port, packed, queue_length, backlog, inode = _INET_REPLY.unpack_from(reply)
    is_v4 = family == socket.AF_INET
    return Listener(
        inode=inode,
        host=socket.inet_ntop(family, packed[:4]) if is_v4 else _plain(socket.inet_ntop(family, packed)),
        port=int.from_bytes(port, "big"),
        queue_length=queue_length,
        backlog=backlog,
        is_v6_only=not is_v4 and _attributes(reply[_INET_REPLY.size :]).get(_INET_DIAG_SKV6ONLY) == b"\x01",
    )


def _plain(host: str) -> str:
    """Return an IP address with an IPv4-mapped one as IPv4: Java binds ::ffff:127.0.0.1 for 127.0.0.1."""
    address = ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _unix_listener(reply: bytes) -> Listener:
    (inode,) = _UNIX_REPLY.unpack_from(reply)
    attributes = _attributes(reply[_UNIX_REPLY.size :])
    queue_length, backlog = None, None
    if _UNIX_DIAG_RQLEN in attributes:
        queue_length, backlog = _PAIR.unpack(attributes[_UNIX_DIAG_RQLEN])
    return Listener(
        inode=inode,
        path=os.fsdecode(attributes.get(_UNIX_DIAG_NAME, b"").rstrip(b"\0")),
        queue_length=queue_length,
        backlog=backlog,
        file=_PAIR.unpack(attributes[_UNIX_DIAG_VFS]) if _UNIX_DIAG_VFS in attributes else (0, 0),
    )


def _rows(table: Path) -> Iterator[list[str]]:
    """Yield the rows of a table in /proc/net, split at whitespace; nothing if it is unreadable."""
    with contextlib.suppress(OSError), table.open(encoding="utf-8", errors="surrogateescape") as file:
        next(file, "")
        for line in file:
            yield line.rstrip("\n").split(maxsplit=11)


def _read_tcp(table: Path) -> Iterator[Listener]:
    for _, local, _, state, queues, _, _, _, _, inode, *_ in _rows(table):
        if int(state, 16) == _TCP_LISTEN:
            host, _, port = local.partition(":")
            words = [int(host[start : start + 8], 16) for start in range(0, len(host), 8)]
            raw = struct.pack(f"={len(words)}I", *words)
            family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
            yield Listener(
                inode=int(inode),
                host=_plain(socket.inet_ntop(family, raw)),
                port=int(port, 16),
                queue_length=int(queues.partition(":")[2], 16),
            )


def _read_unix(table: Path) -> Iterator[Listener]:
    for _, _, _, flags, _, _, inode, *path in _rows(table):
        if int(flags, 16) & _ACCEPTS_CONNECTIONS and path:
            yield Listener(inode=int(inode), path=" ".join(path))

"""Parse addresses, and connect to them, directly or through a SOCKS proxy."""

import functools
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import urlsplit

from conformance.client.network_namespace import OpenSocket
from conformance.failures import UsageError
from conformance.language import Message

DEFAULT_PORT = 19500
_UNIX = "unix:"
_LARGEST_PORT = 65535


class AddressError(UsageError, ValueError):
    """An address is invalid or does not resolve; the message is one line."""


@dataclass(frozen=True)
class Address:
    """The address of a server: a host and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return _UNIX + self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def nc_words(self) -> str:
        """The arguments of nc(1) that connect to it."""
        return f"-U {self.path}" if self.path else f"{self.host} {self.port}"


def parse_address(text: str) -> Address:
    """Parse HOST, HOST:PORT, [V6]:PORT or unix:PATH; raise AddressError."""
    if text.startswith(_UNIX):
        if not text[len(_UNIX) :]:
            message = Message("unix: needs a path")
            raise AddressError(message)
        return Address(path=text[len(_UNIX) :])
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        if not closing or (rest and not rest.startswith(":")):
            message = Message(
                "{text}: an IPv6 address with a port looks like [::1]:{default_port}",
                text=text,
                default_port=DEFAULT_PORT,
            )
            raise AddressError(message)
        port = rest[1:]
    elif text.count(":") > 1:
        if not _is_v6(text):
            message = Message(
                "{text}: an IPv6 address with a port looks like [::1]:{default_port}",
                text=text,
                default_port=DEFAULT_PORT,
            )
            raise AddressError(message)
        host, port = text, ""
    else:
        host, colon, port = text.partition(":")
        port = port or colon  # a lone colon is not a valid port
    if not host or any(character.isspace() or character == "/" for character in host):
        message = Message("{text} is not an address: HOST:PORT, [V6]:PORT or unix:PATH", text=repr(text))
        raise AddressError(message)
    return Address(host, _port(port, text))


def _is_v6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _port(digits: str, text: str) -> int:
    if not digits:
        return DEFAULT_PORT
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:6]) <= _LARGEST_PORT):
        message = Message(
            "{text}: a port is a number from 1 to {largest_port}", text=repr(text), largest_port=_LARGEST_PORT
        )
        raise AddressError(message)
    return int(digits)


def check_proxy(url: str) -> str:
    """Return the URL of a proxy if it is valid; raise AddressError."""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in {"socks5", "socks5h"} and parts.hostname and parts.port
    except ValueError:
        is_right = False
    if not is_right:
        message = Message("{url} is not a proxy: socks5h://HOST:PORT", url=repr(url))
        raise AddressError(message)
    return url


def check_names(address: Address, proxy: str = "") -> None:
    """Raise AddressError if the host that this machine resolves (the proxy's, else the server's) does not resolve."""
    host = urlsplit(proxy).hostname if proxy else address.host
    try:
        if host:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        message = Message("{host}: {error}", host=host, error=getattr(error, "strerror", None) or error)
        raise AddressError(message) from error


def dial(
    address: Address,
    timeout_seconds: float,
    proxy: str = "",
    receive_buffer_bytes: int = 0,
    open_socket: OpenSocket = socket.socket,
) -> socket.socket:
    """Return a connected socket.

    `proxy` is a socks5h:// URL; the proxy resolves names, as Tor requires. `receive_buffer_bytes` sets SO_RCVBUF, which
    limits how far the kernel reads ahead. `open_socket` opens it, maybe in another network namespace. Raises OSError.
    """
    if address.path:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        return _connected(sock, address.path, timeout_seconds)
    if proxy:
        return _dial_through(proxy, address, timeout_seconds)
    failure: OSError | None = None
    for family, kind, protocol, _, destination in _resolved(address.host, address.port):
        sock = open_socket(family, kind, protocol)
        if receive_buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return _connected(sock, destination, timeout_seconds)
        except OSError as error:
            failure = error
    raise failure or OSError(Message("{host}: no address", host=address.host))


@functools.cache
def _resolved(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    """Resolve a host, and cache the result: a run connects some 2000 times."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _connected(sock: socket.socket, destination: str | tuple[Any, ...], timeout_seconds: float) -> socket.socket:
    try:
        sock.settimeout(timeout_seconds)
        sock.connect(destination)
    except BaseException:
        sock.close()
        raise
    return sock


def _dial_through(proxy: str, address: Address, timeout_seconds: float) -> socket.socket:
    """Connect through a proxy.

    With python-socks rather than PySocks: it is typed and maintained, returns a plain socket, and patches nothing.
    """
    from python_socks import ProxyError  # noqa: PLC0415  (loaded only if there is a proxy)
    from python_socks.sync import Proxy  # noqa: PLC0415

    try:
        plain = proxy.replace("socks5h://", "socks5://", 1)
        sock = Proxy.from_url(plain, rdns=True).connect(address.host, address.port, timeout=timeout_seconds)
    except ProxyError as error:
        message = Message("proxy error: {error}", error=error)
        raise ConnectionRefusedError(message) from error
    sock.settimeout(timeout_seconds)
    return sock

"""Connect to a server: directly or through SOCKS, with a PROXY protocol header, with TLS."""

import ipaddress
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from greenserver.client.address import Address
from greenserver.client.errors import ConnectionFailedError
from greenserver.client.options import Options

if TYPE_CHECKING:
    from python_socks.async_.asyncio import Proxy as AsyncProxy

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_PROXIED: Final = 0x21
_LOCAL: Final = 0x20
_FAMILIES: Final = {4: 0x11, 6: 0x21}


def dial(address: Address, options: Options) -> socket.socket:
    """Return a connected socket. Raise OSError, HftpError."""
    context = options.tls_context() if address.is_tls else None  # its files may be wrong
    sock = _connect(address, options)
    try:
        greet(sock, options)
        if context is None:
            return sock
        return context.wrap_socket(sock, server_hostname=address.host)
    except BaseException:
        sock.close()
        raise


def greet(sock: socket.socket, options: Options) -> None:
    """Say what comes before TLS and the first command: it is short, and fits into what the kernel buffers."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if options.proxy_protocol:
        sock.sendall(proxy_header(sock.getsockname(), sock.getpeername(), options.proxy_protocol))


def resolve(address: Address) -> list[tuple[Any, ...]]:
    """Return what `getaddrinfo` says. Raise ConnectionFailedError: another attempt would not help."""
    try:
        return socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise unresolved(address, error) from error


def unresolved(address: Address, error: Exception) -> ConnectionFailedError:
    """Return an error that says that a name is unknown."""
    return ConnectionFailedError(f"cannot resolve {address.host}: {getattr(error, 'strerror', None) or error}")


def _connect(address: Address, options: Options) -> socket.socket:
    if options.proxy and not address.path:
        from python_socks import ProxyError  # noqa: PLC0415  (loaded only if there is a proxy)
        from python_socks.sync import Proxy  # noqa: PLC0415

        try:
            url, is_remote = proxy_arguments(options.proxy)
            proxy: Proxy = Proxy.from_url(url, rdns=is_remote)
            return proxy.connect(address.host, address.port, timeout=options.timeout_seconds)
        except ProxyError as error:
            raise through_proxy(error) from error
    if address.path:
        places: list[tuple[Any, ...]] = [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", address.path)]
    else:
        places = resolve(address)
    failure = OSError("no address")
    for family, kind, protocol, _, place in places:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(options.timeout_seconds)
            sock.connect(place)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def proxy_arguments(url: str) -> tuple[str, bool]:
    """Return the URL of a proxy as python-socks wants it, and whether the proxy resolves names: socks5h, socks4a."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.rstrip('ah')}://{rest}", scheme.endswith(("a", "h"))


def through_proxy(error: Exception) -> OSError:
    """Return an error that says that a proxy did not connect."""
    return ConnectionRefusedError(f"the proxy: {' '.join(str(error).split())}")


async def dial_plain(address: Address, options: Options) -> socket.socket:
    """Return a connected socket that does not block, without TLS, as `dial` does. Raise OSError, HftpError."""
    import asyncio  # noqa: PLC0415  (not needed in threads)

    loop = asyncio.get_running_loop()
    if options.proxy and not address.path:
        from python_socks import ProxyError  # noqa: PLC0415  (loaded only if there is a proxy)
        from python_socks.async_.asyncio import Proxy  # noqa: PLC0415

        try:
            url, is_remote = proxy_arguments(options.proxy)
            proxy: AsyncProxy = Proxy.from_url(url, rdns=is_remote)
            return await proxy.connect(address.host, address.port)
        except ProxyError as error:
            raise through_proxy(error) from error
    if address.path:
        places: list[tuple[Any, ...]] = [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", address.path)]
    else:
        places = await loop.run_in_executor(None, resolve, address)
    failure = OSError("no address")
    for family, kind, protocol, _, place in places:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
        try:
            await loop.sock_connect(sock, place)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def proxy_header(source: Any, destination: Any, version: int) -> bytes:  # noqa: ANN401  (a socket's address is anything)
    r"""Return a PROXY protocol header: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, 2.1 and 2.2.

    >>> proxy_header(("192.0.2.1", 5000), ("192.0.2.2", 19500), 1)
    b'PROXY TCP4 192.0.2.1 192.0.2.2 5000 19500\r\n'
    >>> proxy_header("", "/run/hftp.sock", 1)
    b'PROXY UNKNOWN\r\n'
    """
    if isinstance(source, (str, bytes)):
        return b"PROXY UNKNOWN\r\n" if version == 1 else _SIGNATURE + struct.pack("!BBH", _LOCAL, 0, 0)
    hosts = [ipaddress.ip_address(place[0].partition("%")[0]) for place in (source, destination)]
    ports = source[1], destination[1]
    if version == 1:
        return f"PROXY TCP{hosts[0].version} {hosts[0]} {hosts[1]} {ports[0]} {ports[1]}\r\n".encode()
    addresses = b"".join(host.packed for host in hosts) + struct.pack("!HH", *ports)
    return _SIGNATURE + struct.pack("!BBH", _PROXIED, _FAMILIES[hosts[0].version], len(addresses)) + addresses

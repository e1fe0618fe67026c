"""Parse the addresses of servers: HOST:PORT, hftp://, hftps:// and unix:."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from greenserver.client.errors import AddressError
from greenserver.config.addresses import HIGHEST_PORT, UNIX_PREFIX, describe
from greenserver.config.limits import DEFAULT_PORT

_SCHEMES: Final = {"hftp": False, "hftps": True}
_EXAMPLES: Final = "HOST:PORT, hftp://HOST:PORT/NAME, hftps://HOST or unix:PATH"


@dataclass(frozen=True)
class Address:
    """Where a server is; a URL may also name a file."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    """Of a unix socket, instead of host and port."""
    is_tls: bool = False
    name: str = ""
    """The file that a URL names."""

    def __str__(self) -> str:
        if self.path:
            return UNIX_PREFIX + self.path
        return ("hftps://" if self.is_tls else "") + describe(self.host, self.port)


def parse_address(text: str) -> Address:
    """Return an address. Raise AddressError.

    >>> parse_address("hftps://example.org/hello.txt")
    Address(host='example.org', port=19500, path='', is_tls=True, name='hello.txt')
    >>> str(parse_address("::1"))
    '[::1]:19500'
    """
    if text.startswith(UNIX_PREFIX):
        path = text.removeprefix(UNIX_PREFIX)
        if not path or "\0" in path:
            message = f"{UNIX_PREFIX} needs the path of a socket"
            raise AddressError(message)
        return Address(path=path)
    if not text.isprintable():
        raise _wrong(text)
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "hftp", text
    elif scheme.lower() not in _SCHEMES:
        message = f"{scheme}:// is not understood: {_EXAMPLES}"
        raise AddressError(message)
    host, _, name = rest.partition("/")
    if not separator and ("/" in rest or not host):
        raise _wrong(text)
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"
    try:
        parts = urlsplit(f"//{host}")
        port = parts.port
    except ValueError as error:
        raise _wrong(text) from error
    if not _is_host(parts) or host.endswith(":") or port == 0:
        raise _wrong(text)
    address = (parts.hostname or "", DEFAULT_PORT if port is None else port)
    return Address(*address, is_tls=_SCHEMES[scheme.lower()], name=unquote(name))


def _is_host(parts: SplitResult) -> bool:
    host = parts.hostname
    is_alone = parts.username is None and not (parts.path or parts.query or parts.fragment)
    return bool(host and is_alone and host.isprintable() and " " not in host)


def _wrong(text: str) -> AddressError:
    return AddressError(f"{text!r} is not an address: {_EXAMPLES}; a port is a number from 1 to {HIGHEST_PORT}")

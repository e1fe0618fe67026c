"""The text form of listening addresses. Imports no sockets, so it can be used before the engine is known."""

from typing import Final

UNIX_PREFIX: Final = "unix:"
INHERITED_PREFIX: Final = "fd://"
HIGHEST_PORT: Final = 65535


def describe(host: str, port: int) -> str:
    """Return an address as text: HOST:PORT, [HOST]:PORT for IPv6, or unix:PATH."""
    if host.startswith(UNIX_PREFIX):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def strip_brackets(host: str) -> str:
    """Return a host without the brackets around an IPv6 address."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host

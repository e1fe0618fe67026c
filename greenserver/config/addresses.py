"""How people write where something listens; imports nothing, so that it can be known before the engine is."""

from typing import Final

UNIX_PREFIX: Final = "unix:"
INHERITED_PREFIX: Final = "fd://"
HIGHEST_PORT: Final = 65535


def describe(host: str, port: int) -> str:
    """Return an address as people write it."""
    if host.startswith(UNIX_PREFIX):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def strip_brackets(host: str) -> str:
    """Return an IPv6 address without the brackets that people put around it; anything else as it is."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host

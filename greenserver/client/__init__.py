"""An HFTP client: synchronous, asynchronous, and the command `hftp`.

Public names are imported on first use, so that the command imports no event loop.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenserver.client.async_client import AsyncClient
    from greenserver.client.client import Client
    from greenserver.client.errors import (
        AddressError,
        ChangedError,
        ConnectionFailedError,
        DifferentError,
        DisconnectedError,
        HftpError,
        LocalError,
        RefusedError,
        RemoteProtocolError,
        StalledError,
    )
    from greenserver.client.options import Options
    from greenserver.client.transfer import Downloaded

__all__ = [
    "AddressError",
    "AsyncClient",
    "ChangedError",
    "Client",
    "ConnectionFailedError",
    "DifferentError",
    "DisconnectedError",
    "Downloaded",
    "HftpError",
    "LocalError",
    "Options",
    "RefusedError",
    "RemoteProtocolError",
    "StalledError",
]

_HOMES = {
    "AsyncClient": "async_client",
    "Client": "client",
    "Downloaded": "transfer",
    "Options": "options",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module attribute can have any type)
    """Import a public name from its module on first use."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)

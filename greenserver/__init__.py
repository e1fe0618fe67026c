"""An HFTP server: one conversation logic under greenlets, threads, selectors or one client at a time.

The public names load when they are first used, so that ``python -m greenserver`` can monkey-patch
before anything imports a socket.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenserver.connection.connection import Connection
    from greenserver.files.store import FileStore
    from greenserver.protocol.dialects import DIALECTS, Dialect
    from greenserver.protocol.status import CommandError, Status
    from greenserver.server import Server

__version__ = "0.1.0"

__all__ = ["DIALECTS", "CommandError", "Connection", "Dialect", "FileStore", "Server", "Status", "__version__"]

_HOMES = {
    "Connection": "connection.connection",
    "DIALECTS": "protocol.dialects",
    "Dialect": "protocol.dialects",
    "FileStore": "files.store",
    "CommandError": "protocol.status",
    "Server": "server",
    "Status": "protocol.status",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module attribute may be of any type)
    """Import the module that holds a public name, and return it."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""An HFTP server: one connection logic on greenlets, threads, selectors, or for one client at a time.

Public names are imported on first use, so that ``python -m greenserver`` can monkey-patch before any
module imports sockets.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenserver.connection.connection import Connection
    from greenserver.files.store import FileStore
    from greenserver.protocol.dialects import DIALECTS
    from greenserver.protocol.parser import Dialect
    from greenserver.protocol.status import CommandError, Status
    from greenserver.server import Server

__version__ = "0.1.0"

__all__ = ["DIALECTS", "CommandError", "Connection", "Dialect", "FileStore", "Server", "Status", "__version__"]

_HOMES = {
    "Connection": "connection.connection",
    "DIALECTS": "protocol.dialects",
    "Dialect": "protocol.parser",
    "FileStore": "files.store",
    "CommandError": "protocol.status",
    "Server": "server",
    "Status": "protocol.status",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module attribute can have any type)
    """Import a public name from its module on first use."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

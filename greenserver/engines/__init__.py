"""Load an engine by name. Engines differ only in how they wait.

An engine module has one function, ``serve(listener, server, stop, granted)``: it accepts clients, lets the server
make a connection of each, runs the connections within the limits ``granted``, and returns when the shutdown event
``stop`` is set and the connections are closed. Whenever the event wakes without being set, connections may have been
asked to end: a reload has replaced their configuration.
"""

from collections.abc import Callable, Collection
from importlib import import_module
from socket import socket
from time import monotonic
from typing import Final, Protocol, cast

from greenserver.config.limits import DEFAULTS, SWEEP_SECONDS, Limits
from greenserver.connection.connection import Connection
from greenserver.io.wait import ShutdownEvent


class ConnectionFactory(Protocol):
    """What an engine needs of a server."""

    def connect(self, sock: socket, client: str, *, may_block: bool = True) -> Connection | None:
        """Make a connection of a client's socket and its address for the log; return None for a client to forget.

        Unless it `may_block`, the connection never blocks the engine's thread to read a file.
        """

    def has_queued(self) -> bool:
        """Return whether to go on accepting after a stop."""

    def has_room(self) -> bool:
        """Return whether there is memory for another client. If not, accept none, and ask again after a pause."""

    def drain(self) -> None:
        """Ask all connections to end after the reply in progress."""


class Serve(Protocol):
    """The interface of an engine."""

    def __call__(
        self, listener: socket, server: ConnectionFactory, stop: ShutdownEvent, granted: Limits = DEFAULTS
    ) -> None:
        """Serve until the shutdown event is set; the caller closes the listener, if it is still open."""


ENGINES: Final = ("gevent", "threads", "selectors", "sequential")
"""Names of engine modules, the default first."""

DEFAULT_ENGINE: Final = ENGINES[0]


def load(name: str) -> Serve:
    """Import an engine and return its `serve`."""
    return cast("Serve", import_module(f"{__name__}.{name}").serve)


def run_or_abort(connections: Collection[Connection], run: Callable[[float], object], grace_seconds: float) -> None:
    """Let connections that are asked to end do so within the grace period, then abort the rest.

    `connections` holds the open ones; ``run(seconds)`` runs them for at most `seconds`, or until none is left.
    """
    run(grace_seconds)
    for connection in tuple(connections):
        connection.abort()
    run(SWEEP_SECONDS)


def seconds_left(deadline: float) -> float:
    """Return the seconds until a deadline; 0 if it has passed."""
    return max(0.0, deadline - monotonic())

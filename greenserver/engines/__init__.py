"""Load an engine by name. Engines differ only in how they wait.

An engine module has one function, ``serve(listener, welcome, stop, granted)``: it accepts clients, makes a
connection of each with ``welcome``, runs the connections within the limits ``granted``, and returns when the
shutdown event ``stop`` is set and the connections are closed.
"""

from collections.abc import Callable, Collection
from importlib import import_module
from socket import socket
from time import monotonic
from typing import Final, Protocol, cast

from greenserver.config.limits import DEFAULTS, LINGER_QUIET_SECONDS, SWEEP_SECONDS, Limits
from greenserver.connection.connection import Connection
from greenserver.io.wait import ShutdownEvent

ConnectionFactory = Callable[[socket, str], Connection]
"""Makes a connection from a client's socket and its address for the log."""


class Serve(Protocol):
    """The interface of an engine."""

    def __call__(
        self, listener: socket, welcome: ConnectionFactory, stop: ShutdownEvent, granted: Limits = DEFAULTS
    ) -> None:
        """Serve until the shutdown event is set; the caller closes the listener, if it is still open."""


ENGINES: Final = ("gevent", "threads", "selectors", "sequential")
"""Names of engine modules, the default first."""

DEFAULT_ENGINE: Final = ENGINES[0]


def load(name: str) -> Serve:
    """Import an engine and return its `serve`."""
    return cast("Serve", import_module(f"{__name__}.{name}").serve)


def drain(conversations: Collection[Connection], run: Callable[[float], object], grace_seconds: float) -> None:
    """Stop all connections, let current replies finish within the grace period, then abort the rest.

    `conversations` holds the open connections; ``run(seconds)`` runs them for at most so many seconds, or until
    none is left.
    """
    for seconds in (min(LINGER_QUIET_SECONDS, grace_seconds), max(0.0, grace_seconds - LINGER_QUIET_SECONDS)):
        for conversation in tuple(conversations):
            conversation.stop()  # the second call closes those whose clients did not close
        run(seconds)
    for conversation in tuple(conversations):
        conversation.abort()
    run(SWEEP_SECONDS)


def seconds_left(deadline: float) -> float:
    """Return the seconds until a deadline; 0 if it has passed."""
    return max(0.0, deadline - monotonic())

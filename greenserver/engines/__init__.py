"""The engines by name: ways to wait, nothing more. Each loads when it is asked for.

An engine module has one function, ``serve(listener, welcome, stop, granted)``: it welcomes clients as they
come, runs their conversations within the limits that are granted, and returns when the switch has been turned
and the conversations are over.
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
"""Makes a conversation with a client, given its socket and its address for the log."""


class Serve(Protocol):
    """What an engine does."""

    def __call__(
        self, listener: socket, welcome: ConnectionFactory, stop: ShutdownEvent, granted: Limits = DEFAULTS
    ) -> None:
        """Serve until the switch is turned; leave the listener open."""


ENGINES: Final = ("gevent", "threads", "selectors", "sequential")
"""Each is the module of that name; the default comes first."""

DEFAULT_ENGINE: Final = ENGINES[0]


def load(name: str) -> Serve:
    """Import an engine."""
    return cast("Serve", import_module(f"{__name__}.{name}").serve)


def drain(conversations: Collection[Connection], run: Callable[[float], object], grace_seconds: float) -> None:
    """Let the replies under way finish, within limits.

    `conversations` holds those that go on; ``run(seconds)`` runs them for at most so long, or until none
    is left.
    """
    for seconds in (min(LINGER_QUIET_SECONDS, grace_seconds), max(0.0, grace_seconds - LINGER_QUIET_SECONDS)):
        for conversation in tuple(conversations):
            conversation.stop()  # the second time for those who do not end their half of the stream
        run(seconds)
    for conversation in tuple(conversations):
        conversation.abort()
    run(SWEEP_SECONDS)


def seconds_left(deadline: float) -> float:
    """Return how long it is until a moment; nothing if it has passed."""
    return max(0.0, deadline - monotonic())

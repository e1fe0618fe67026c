"""Monitor the health of the server (its process, its listening socket, a reply), and restart it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum
from time import monotonic, sleep
from typing import Final

from conformance.client.client import UNKNOWN, Client
from conformance.failures import Failure, Incomplete
from conformance.model.context import RunContext, ScenarioContext
from conformance.target.managed_server import ManagedServer, ServerStartError
from conformance.target.probe import Connect

RESTARTS: Final = 2000
"""Maximum number of restarts."""
BUSY_SECONDS: Final = 30.0
"""Maximum wait for a busy server, times --timeout-scale."""
SPIN_SECONDS: Final = 1.0
"""How long a server without clients has to use a CPU before it counts as spinning."""
_LOOK_SECONDS: Final = 0.1
_WORKING: Final = 0.15
"""Minimum CPU share of a server that works rather than waits, on a busy machine."""
_SPINNING: Final = 0.5
"""Minimum CPU share of a server that spins."""


class State(Enum):
    """The health of a server."""

    WELL = "well"
    ENDED = "ended"
    """Its process has exited, or no longer listens."""
    WEDGED = "wedged"
    """Its process runs, but a new client gets no reply."""
    WORN = "worn"
    """Its replies are not those of the beginning: it has run out of a resource."""
    SPINNING = "spinning"
    """It replies, but uses a CPU while no client is connected."""


class HealthMonitor:
    """Monitors one server; `run_context` is updated as facts about it are discovered."""

    def __init__(self, target: ManagedServer, run_context: RunContext, timeout_scale: float = 1.0) -> None:
        self.run_context = replace(run_context, await_idle=self.await_idle)
        self.dead = ""
        """Why the server was given up; empty while it is in use."""
        self._target = target
        self._scale = timeout_scale
        self._has_spun = False
        self.ends = 0
        """How often its process had exited unexpectedly."""
        self.is_as_at_first: Callable[[Connect], bool] = lambda _connect: True
        """Repeats a request of the beginning, and returns whether the reply is the same."""

    @property
    def is_up(self) -> bool:
        """Whether the server's process runs and listens; True where that is unknown."""
        return self._target.is_running and self._target.is_listening

    @property
    def can_restart(self) -> bool:
        """Whether the suite can start the server again."""
        return self._target.can_restart

    @property
    def starts(self) -> int:
        """The number of starts."""
        return self._target.starts

    def has_given_up(self) -> bool:
        """Return whether the server was given up."""
        return bool(self.dead)

    @contextlib.contextmanager
    def connecting(self, wait_factor: float = 1.0) -> Iterator[Connect]:
        """Yield a function that connects outside any scenario."""
        context = ScenarioContext(self.run_context, is_crowded=True, wait_factor=wait_factor)
        context.allow(BUSY_SECONDS)
        try:
            yield context.connect
        finally:
            context.close()

    def check(self, dwell_seconds: float = 0.0, wait_factor: float = 1.0) -> State:
        """Return the server's health, after a pause of `dwell_seconds` in which it may exit."""
        before = self._target.cpu_seconds() if dwell_seconds else None
        started = monotonic()
        sleep(dwell_seconds)
        if not self.is_up:
            return State.ENDED
        if not self._replies(wait_factor):
            return State.WEDGED if self.is_up else State.ENDED
        if before is not None and self._uses(_SPINNING, before, started) and self._spins():
            return State.SPINNING
        try:
            with self.connecting(wait_factor) as connect:
                return State.WELL if self.is_as_at_first(connect) else State.WORN
        except (Failure, Incomplete):
            return State.WORN

    def _replies(self, wait_factor: float) -> bool:
        """Return whether a new client gets a reply and can disconnect; wait for a busy server."""
        for _ in range(2):
            try:
                with self.connecting(wait_factor) as connect:
                    exchange(connect())
            except Failure:  # noqa: PERF203  (twice at most)
                if not self.is_up or not self.await_idle():
                    return False
            except Incomplete:
                return True  # a limit of this machine says nothing about the server
            else:
                return True
        return False

    def await_idle(self) -> bool:
        """Wait while the server is busy, for a limited time; return whether it was, where that can be observed."""
        seconds = SPIN_SECONDS / 4 if self._has_spun else BUSY_SECONDS * self._scale
        until = monotonic() + seconds
        was_working = False
        while self.is_up and monotonic() < until and self._uses_now(_WORKING):
            was_working = True
        return was_working

    def _uses_now(self, part: float) -> bool:
        before, started = self._target.cpu_seconds(), monotonic()
        sleep(_LOOK_SECONDS)
        return before is not None and self._uses(part, before, started)

    def _uses(self, part: float, before: float, since: float) -> bool:
        """Return whether the server's CPU share since a time exceeds `part`."""
        now = self._target.cpu_seconds()
        return now is not None and now - before > part * (monotonic() - since)

    def _spins(self) -> bool:
        """Return whether the server keeps using a CPU while no client is connected."""
        until = monotonic() + (SPIN_SECONDS / 4 if self._has_spun else SPIN_SECONDS)
        while monotonic() < until:
            if not self._uses_now(_SPINNING):
                return False
        self._has_spun = True
        return True

    def ensure_up(self) -> None:
        """Restart the server if its process has exited."""
        if not self.is_up:
            self.recover()

    def ensure_well(self) -> None:
        """Restart the server unless it is healthy."""
        if self.check() is not State.WELL:
            self.recover()

    def recover(self) -> bool:
        """Restart the server, or give it up; return whether it was restarted."""
        self.ends += not self._target.is_running
        if not self._target.can_restart or self._target.starts > RESTARTS:
            self.dead = "the server no longer serves clients"
            return False
        try:
            self._target.restart()
        except ServerStartError as error:
            self.dead = f"the server cannot be restarted: {error}"
            return False
        return True


def exchange(client: Client) -> None:
    """Send one command and quit; raise Failure if the command gets no reply."""
    client.send_line(UNKNOWN)
    client.status()
    client.send_line("quit")
    with contextlib.suppress(Failure):
        client.leave()

"""Monitor the health of the server (its process, its listening socket, a reply), and restart it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum
from typing import Final

from conformance.client.client import Client
from conformance.failures import Failure, Incomplete
from conformance.language import Message
from conformance.model.context import RunContext, ScenarioContext
from conformance.target.managed_server import ManagedServer, ServerStartError
from conformance.target.probe import Connect

RESTARTS: Final = 2000
"""Maximum number of restarts."""
BUSY_SECONDS: Final = 30.0
"""Maximum wait for a busy server, times --timeout-scale."""
SPIN_SECONDS: Final = 1.0
"""How long a server without clients has to use a CPU before it counts as spinning."""
PAUSE_SECONDS: Final = 0.05
"""Pause before a health check: the server may exit shortly after its last reply."""
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
    EXHAUSTED = "exhausted"
    """Its replies are not those of the beginning: it has run out of a resource."""
    SPINNING = "spinning"
    """It replies, but uses a CPU while no client is connected."""


class HealthMonitor:
    """Monitors one server, and keeps what is wrong with it as a whole.

    `run_context` is updated as facts about the server are discovered. `short_factor` returns the fraction of a full
    timeout, in seconds, that is enough for most replies.
    """

    def __init__(
        self,
        server: ManagedServer,
        run_context: RunContext,
        timeout_scale: float = 1.0,
        short_factor: Callable[[float], float] = lambda _seconds: 1.0,
    ) -> None:
        self.server = server
        self.run_context = replace(run_context, await_idle=self.await_idle)
        self.given_up = ""
        """Why the server was given up; empty while it is in use."""
        self.problems: list[str] = []
        """Problems of the server that no single scenario causes."""
        self.is_exhaustible = False
        """Whether scenarios that are harmless alone exhaust it together, so that it needs restarts between them."""
        self.ends = 0
        """How often its process had exited unexpectedly."""
        self.is_as_at_first: Callable[[Connect], bool] = lambda _connect: True
        """Repeats a request of the beginning, and returns whether the reply is the same."""
        self._scale = timeout_scale
        self._short_factor = short_factor
        self._has_spun = False

    def begin_nothing_after(self, time: float) -> None:
        """Let no scenario begin after a time of `monotonic`."""
        self.run_context = replace(self.run_context, until=time)

    def has_given_up(self) -> bool:
        """Return whether the server was given up."""
        return bool(self.given_up)

    @contextlib.contextmanager
    def connecting(self, wait_factor: float = 1.0) -> Iterator[Connect]:
        """Yield a function that connects outside any scenario."""
        context = ScenarioContext(self.run_context, is_crowded=True, wait_factor=wait_factor)
        context.allow(BUSY_SECONDS)
        try:
            with self.run_context.activity.waiting(Message("the server to answer")):
                yield context.connect
        finally:
            context.close()

    def check(self, pause_seconds: float = 0.0, wait_factor: float = 1.0) -> State:
        """Return the server's health, after a pause of `pause_seconds` in which it may exit."""
        before = self.server.cpu_seconds() if pause_seconds else None
        started = self.server.clock()
        self.server.clock.sleep(pause_seconds)
        if not self.server.is_listening:
            return State.ENDED
        if not self._replies(wait_factor):
            return State.WEDGED if self.server.is_listening else State.ENDED
        if before is not None and self._uses(_SPINNING, before, started) and self._spins():
            return State.SPINNING
        try:
            with self.connecting(wait_factor) as connect:
                return State.WELL if self.is_as_at_first(connect) else State.EXHAUSTED
        except (Failure, Incomplete):
            return State.EXHAUSTED

    def _replies(self, wait_factor: float) -> bool:
        """Return whether a new client gets a reply and can disconnect; wait for a busy server."""
        for _ in range(2):
            try:
                with self.connecting(wait_factor) as connect:
                    exchange(connect())
            except Failure:  # noqa: PERF203  (twice at most)
                if not self.server.is_listening or not self.await_idle():
                    return False
            except Incomplete:
                return True  # a limit of this machine says nothing about the server
            else:
                return True
        return False

    def await_idle(self) -> bool:
        """Wait while the server is busy, for a limited time; return whether it was, where that can be observed."""
        seconds = SPIN_SECONDS / 4 if self._has_spun else BUSY_SECONDS * self._scale
        until = self.server.clock() + seconds
        with self.run_context.activity.waiting(Message("the server, which is busy")):
            return self._await_idle(until)

    def _await_idle(self, until: float) -> bool:
        was_working = False
        while self.server.is_listening and self.server.clock() < until and self._uses_now(_WORKING):
            was_working = True
        return was_working

    def _uses_now(self, part: float) -> bool:
        before, started = self.server.cpu_seconds(), self.server.clock()
        self.server.clock.sleep(_LOOK_SECONDS)
        return before is not None and self._uses(part, before, started)

    def _uses(self, part: float, before: float, since: float) -> bool:
        """Return whether the server's CPU share since a time exceeds `part`."""
        now = self.server.cpu_seconds()
        return now is not None and now - before > part * (self.server.clock() - since)

    def _spins(self) -> bool:
        """Return whether the server keeps using a CPU while no client is connected."""
        until = self.server.clock() + (SPIN_SECONDS / 4 if self._has_spun else SPIN_SECONDS)
        while self.server.clock() < until:
            if not self._uses_now(_SPINNING):
                return False
        self._has_spun = True
        return True

    def note(self, problem: str) -> None:
        """Add a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    # --- Restarts --------------------------------------------------------------------------------

    def look(self) -> State:
        """Return the health of the server as it was, and restart it unless it is well."""
        if self.given_up:
            return State.WELL
        # If the server can be restarted, mistaking a slow one for a wedged one costs little.
        factor = self._short_factor(self.run_context.timeout_seconds) if self.server.can_restart else 1.0
        state = self.check(PAUSE_SECONDS, factor)
        if state is not State.WELL:
            self.recover()
        if state is State.SPINNING:
            self.note(
                Message("the server uses a CPU while no client is connected: it keeps reading from closed connections")
            )
        return state

    def restart_if_used(self) -> None:
        """Restart the server if it can be restarted and clients have connected since its start."""
        if not self.server.is_fresh and self.server.can_restart and not self.given_up:
            self.recover()

    def ensure_up(self) -> None:
        """Restart the server if its process has exited."""
        if not self.server.is_listening:
            self.recover()

    def ensure_well(self) -> None:
        """Restart the server unless it is healthy."""
        if self.check() is not State.WELL:
            self.recover()

    def recover(self) -> bool:
        """Restart the server, or give it up; return whether it was restarted."""
        self.ends += not self.server.is_running
        if not self.server.can_restart or self.server.starts > RESTARTS:
            self.given_up = Message("the server no longer serves clients")
            return False
        try:
            self.server.restart()
        except ServerStartError as error:
            self.given_up = Message("the server cannot be restarted: {error}", error=error)
            return False
        return True


def exchange(client: Client) -> None:
    """Send one command and quit; raise Failure if the command gets no reply."""
    client.send_line(client.words.unknown)
    client.status()
    client.send_line("quit")
    with contextlib.suppress(Failure):
        client.leave()

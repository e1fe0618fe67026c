"""Whether the server still serves: looks at its process, its listening socket and a reply, and starts it again."""

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
"""How often a server is started again, at most."""
BUSY_SECONDS: Final = 30.0
"""How long a server that is working is waited for, times --timeout-scale."""
SPIN_SECONDS: Final = 1.0
"""How long a server has to use a processor without any client before it is taken to spin."""
_LOOK_SECONDS: Final = 0.1
_WORKING: Final = 0.15
"""The part of a processor that a server uses at least when it is working on a busy machine, and not waiting."""
_SPINNING: Final = 0.5
"""The part that it uses when it never waits."""


class State(Enum):
    """How a server is."""

    WELL = "well"
    ENDED = "ended"
    """Its process has ended, or listens no longer."""
    WEDGED = "wedged"
    """Its process is there, and gives a new client no reply."""
    WORN = "worn"
    """It answers something else than it did at first: what it has used up is missing."""
    SPINNING = "spinning"
    """It replies, and uses a processor though no client is there."""


class HealthMonitor:
    """Watches one server; `run_context` are the run's, as far as they are known."""

    def __init__(self, target: ManagedServer, run_context: RunContext, timeout_scale: float = 1.0) -> None:
        self.run_context = replace(run_context, await_idle=self.await_idle)
        self.dead = ""
        """Why the server is not asked any more; empty as long as it is."""
        self._target = target
        self._scale = timeout_scale
        self._has_spun = False
        self.ends = 0
        """How often its process was found to have ended."""
        self.is_as_at_first: Callable[[Connect], bool] = lambda _connect: True
        """Asks for something that was asked for in the beginning, and tells whether the answer is the same."""

    @property
    def is_up(self) -> bool:
        """Whether the server's process runs and listens, as far as that is known."""
        return self._target.is_running and self._target.is_listening

    @property
    def can_restart(self) -> bool:
        """Whether the suite can start the server again."""
        return self._target.can_restart

    @property
    def starts(self) -> int:
        """How often the server was started."""
        return self._target.starts

    def has_given_up(self) -> bool:
        """Tell whether the server is not asked any more."""
        return bool(self.dead)

    @contextlib.contextmanager
    def connecting(self, wait_factor: float = 1.0) -> Iterator[Connect]:
        """Give a way to connect that belongs to no scenario."""
        context = ScenarioContext(self.run_context, is_crowded=True, wait_factor=wait_factor)
        context.allow(BUSY_SECONDS)
        try:
            yield context.connect
        finally:
            context.close()

    def check(self, dwell_seconds: float = 0.0, wait_factor: float = 1.0) -> State:
        """Return how the server is, after a rest of some seconds in which it may end."""
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
        """Tell whether a new client gets a reply and is let go; waits for a server that is working."""
        for _ in range(2):
            try:
                with self.connecting(wait_factor) as connect:
                    exchange(connect())
            except Failure:  # noqa: PERF203  (twice at most)
                if not self.is_up or not self.await_idle():
                    return False
            except Incomplete:
                return True  # this machine's fault, and no sign of the server's
            else:
                return True
        return False

    def await_idle(self) -> bool:
        """Wait while the server uses a processor, within bounds; tell whether it did, as far as that can be seen."""
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
        """Tell whether the server has used more than a part of a processor since a time."""
        now = self._target.cpu_seconds()
        return now is not None and now - before > part * (monotonic() - since)

    def _spins(self) -> bool:
        """Tell whether the server goes on using a processor, though no client is there."""
        until = monotonic() + (SPIN_SECONDS / 4 if self._has_spun else SPIN_SECONDS)
        while monotonic() < until:
            if not self._uses_now(_SPINNING):
                return False
        self._has_spun = True
        return True

    def ensure_up(self) -> None:
        """Start the server again if its process has ended."""
        if not self.is_up:
            self.recover()

    def ensure_well(self) -> None:
        """Start the server again unless it is well."""
        if self.check() is not State.WELL:
            self.recover()

    def recover(self) -> bool:
        """Start the server again if the suite can; else say that it is not asked any more."""
        self.ends += not self._target.is_running
        if not self._target.can_restart or self._target.starts > RESTARTS:
            self.dead = "the server serves nobody any more"
            return False
        try:
            self._target.restart()
        except ServerStartError as error:
            self.dead = f"the server does not start again: {error}"
            return False
        return True


def exchange(client: Client) -> None:
    """Have one command answered, and quit; raises Failure if there is no reply to the command."""
    client.send_line(UNKNOWN)
    client.status()
    client.send_line("quit")
    with contextlib.suppress(Failure):
        client.leave()

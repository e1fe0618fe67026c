"""What a scenario has at hand while it is played: connections, files, and what it sees."""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Final

from conformance.client.client import PARTING_SECONDS, UNKNOWN, Client, Status
from conformance.client.deviations import NO_DEVIATIONS, Deviation, Deviations
from conformance.client.peer import Dial
from conformance.client.recording import Recording
from conformance.failures import Failure, Kind, Unsupported
from conformance.fixtures.base import Fixture, Fixtures

SCENARIO_TIMEOUTS: Final = 10.0
"""A scenario may take this many times the patience of one wait."""

PAUSE_SECONDS: Final = 0.005
_QUEUE_SECONDS: Final = 0.001
_LONG_BACKLOG: Final = 128
WAVE: Final = 4
"""How many clients connect at once to a server whose backlog is not known: fewer than the smallest usual one, 5."""


@dataclass(frozen=True)
class RunContext:
    """What holds for a whole run."""

    dial: Dial
    fixtures: Fixtures
    dialect: str
    timeout_seconds: float
    """How long a single wait may be: a base and a multiple of the measured round trip, times --timeout-scale."""
    seed: int = 0
    clients: int = 200
    """How many clients make a crowd (--clients)."""
    is_concurrent: bool = True
    """Whether the server serves two clients at once."""
    round_trip_seconds: float = 0.0
    """How far away the server is, as far as that is known."""
    capacity: int = 0
    """How many clients the server serves at once if it refuses more; 0 if no limit was met."""
    refusal: str = ""
    """What the server says to a client that is one too many."""
    backlog: int | None = None
    """How many connections may wait to be accepted, if that is known."""
    queue_length: Callable[[], int | None] = lambda: None
    """Tells how many connections wait to be accepted now, if that is known."""
    await_idle: Callable[[], bool] = lambda: False
    """Waits while the server is working, as far as that can be seen; tells whether it was."""
    controls: dict[object, bool] = field(default_factory=dict, compare=False)
    """The control questions about causes that were asked, and whether they went as the cause has it."""
    deviations: Deviations = NO_DEVIATIONS
    """What the server always does otherwise; the clients of most scenarios expect it."""


class ScenarioContext:
    """One playing of one scenario.

    Without `is_crowded`, connecting closes the connection before: a server that serves one client at a time
    would never come to the next. With `judges_crowds`, a server that serves fewer clients than there are is at fault,
    and not merely unable to play the scenario. `wait_factor` shortens single waits, but not the time that there is in
    all.
    """

    def __init__(  # noqa: PLR0913  (one call, in playing)
        self,
        run_context: RunContext,
        *,
        is_crowded: bool,
        scenario_id: str = "",
        wait_factor: float = 1.0,
        deviations: Deviations | None = None,
        judges_crowds: bool = False,
    ) -> None:
        self.run_context = run_context
        self.fixtures = run_context.fixtures
        self.dialect = run_context.dialect
        self.timeout_seconds = run_context.timeout_seconds * wait_factor
        self.record = Recording()
        self.random = random.Random(f"{run_context.seed} {scenario_id}")  # noqa: S311  (no secret)
        self.seen: list[str] = []
        self.tolerated: set[Deviation] = set()
        """The known deviations that made a difference."""
        self.slowest_seconds = 0.0
        """The longest wait in which a server's bytes came."""
        self.deadline = monotonic() + run_context.timeout_seconds * max(1.0, wait_factor) * SCENARIO_TIMEOUTS
        self.leaves_open = False
        """Whether a client has left before the server had ended the connection, and without quit."""
        self._deviations = run_context.deviations if deviations is None else deviations
        self._is_crowded = is_crowded
        self._judges_crowds = judges_crowds
        self._clients: list[Client] = []
        self._numbers = itertools.count(1)  # drawn by threads too, and never twice

    @property
    def clients(self) -> int:
        """How many clients make a crowd."""
        return self.run_context.clients

    def fixture(self, key: str) -> Fixture:
        """Return a file that the server holds; raise Incomplete."""
        return self.fixtures.get(key)

    def allow(self, timeouts: float) -> None:
        """Give the scenario at least so many times the patience of one wait, from now on; for large transfers."""
        self.deadline = max(self.deadline, monotonic() + timeouts * self.run_context.timeout_seconds)
        for client in self._clients:
            client.deadline = self.deadline

    def connect(self, *, timeout_seconds: float | None = None, receive_buffer_bytes: int = 0) -> Client:
        """Return a new client; raise Failure if the server does not accept one, Unsupported if it serves fewer."""
        if not self._is_crowded:
            self.close()
        elif not self._judges_crowds and 0 < self.run_context.capacity <= sum(
            not client.is_over for client in self._clients
        ):
            message = f"the server serves {self.run_context.capacity} clients at once, and this needs more"
            raise Unsupported(message)
        self._await_room()
        client = Client(
            self.run_context.dial,
            self.record,
            next(self._numbers),
            timeout_seconds=self.timeout_seconds if timeout_seconds is None else timeout_seconds,
            deadline=self.deadline,
            receive_buffer_bytes=receive_buffer_bytes,
        )
        client.dialect = self.dialect
        client.deviations = self._deviations
        client.tolerated = self.tolerated
        self._clients.append(client)
        return client

    def _await_room(self) -> None:
        """Wait if so many connections wait to be accepted that the kernel would soon drop one for a second."""
        backlog = self.run_context.backlog
        if backlog is None or backlog >= _LONG_BACKLOG:
            return
        length = self.run_context.queue_length()
        if length is not None and length > backlog // 2:
            self.await_accepted()

    @property
    def wave(self) -> int:
        """How many clients can connect at the same moment without one of them being dropped by the kernel."""
        backlog = self.run_context.backlog
        return WAVE if backlog is None else max(1, backlog)

    def await_accepted(self) -> bool:
        """Wait until no connection waits to be accepted; where that cannot be seen, for a round trip.

        Return False if connections still wait after the patience of one wait.
        """
        until = min(self.deadline, monotonic() + self.timeout_seconds)
        while (length := self.run_context.queue_length()) and monotonic() < until:
            sleep(_QUEUE_SECONDS)
        if length is None:
            sleep(self.run_context.round_trip_seconds + PAUSE_SECONDS)
        return not length

    def connect_many(self, number: int) -> list[Client]:
        """Return so many new clients, connected in waves that fit the server's backlog; raise Failure."""
        clients: list[Client] = []
        while len(clients) < number:
            clients += [self.connect() for _ in range(min(self.wave, number - len(clients)))]
            self.await_accepted()
        return clients

    def probe(self) -> None:
        """Require that a new client gets a reply, in whatever form; the proof that the server has survived."""
        client = self.connect()
        client.send_line(UNKNOWN)
        try:
            self._status_of_probe(client)
        except Failure as failure:
            if failure.kind is not Kind.MALFORMED:  # a wrong form of a reply is judged elsewhere
                raise
        client.part()

    def _status_of_probe(self, client: Client) -> Status:
        """Read a status line; a server that is working is waited for, for busy is not dead."""
        try:
            return client.status(200, 201, 202)
        except Failure as failure:
            if failure.kind is not Kind.TIMEOUT or not self.run_context.await_idle():
                raise
        self.allow(SCENARIO_TIMEOUTS)
        client.expect_again()
        return client.status(200, 201, 202)

    def pause(self) -> None:
        """Let what was sent arrive as a packet of its own, most likely; no verdict may depend on it."""
        sleep(PAUSE_SECONDS)

    def observe(self, what: str) -> None:
        """Write down a behaviour that a report should tell."""
        self.seen.append(what)
        self.record.note(0, "note", what)

    def close(self) -> None:
        """Let all clients leave; politely, for that clients may vanish is judged by the scenarios about it."""
        leaving = []
        for client in self._clients:
            self.leaves_open |= client.has_left and not client.has_quit
            self.slowest_seconds = max(self.slowest_seconds, client.slowest_seconds)
            if client.send_quit():
                leaving.append(client)
        until = monotonic() + PARTING_SECONDS
        for client in leaving:
            left = max(0.001, until - monotonic())
            client.timeout_seconds = min(client.timeout_seconds, left)
            client.collect(lambda _data: False, seconds=left)
        for client in self._clients:
            client.close()
        self._clients.clear()


Play = Callable[[ScenarioContext], None]
"""Plays a scenario; raises Failure, Incomplete or Unsupported."""

"""The context that a scenario runs in: its connections, its files, and what it observes."""

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from time import monotonic, sleep
from typing import Final

from conformance.client.client import CLOSING_SECONDS, Client, Status
from conformance.client.deviations import NO_DEVIATIONS, Deviation, Deviations
from conformance.client.raw_connection import Clock, Dial
from conformance.client.recording import Recording
from conformance.client.tolerant import TolerantClient
from conformance.failures import Failure, Kind, Unsupported
from conformance.fixtures.base import Fixture, Fixtures
from conformance.fixtures.words import Words
from conformance.language import Message
from conformance.model.activity import Activity
from conformance.model.resources import Resources
from conformance.model.templates import References

SCENARIO_TIMEOUTS: Final = 10.0
"""Default time limit of a scenario, in multiples of one timeout."""

PAUSE_SECONDS: Final = 0.005
_CLOSED_PAUSES: Final = 20
"""Pauses after which a remote server has most likely closed."""
_QUEUE_SECONDS: Final = 0.001
_LONG_BACKLOG: Final = 128
WAVE: Final = 4
"""How many clients connect at once if the backlog is unknown: fewer than the smallest common backlog, 5."""


@dataclass(frozen=True)
class RunContext:
    """The facts of a whole run."""

    dial: Dial
    fixtures: Fixtures
    dialect: str
    timeout_seconds: float
    """The timeout of one wait: a base plus a multiple of the measured round trip, times --timeout-scale."""
    seed: int = 0
    clients: int = 200
    """The number of clients in a crowd (--clients)."""
    is_concurrent: bool = True
    """Whether the server serves two clients at once."""
    round_trip_seconds: float = 0.0
    """The measured round trip of a command; 0 if unknown."""
    capacity: int = 0
    """The server's limit of simultaneous clients; 0 if none was found."""
    refusal: str = ""
    """What the server sends to a client over the limit."""
    until: float = math.inf
    """The time of `monotonic` after which no scenario begins."""
    backlog: int | None = None
    """The backlog of the listening socket; None if unknown."""
    queue_length: Callable[[], int | None] = lambda: None
    """Returns the current length of the accept queue; None if unknown."""
    resources: Callable[[], Resources | None] = lambda: None
    """Returns what the server uses now; None if the suite has not started it, or cannot see it."""
    clock: Clock = monotonic
    """Measures all waits for the server; it stands still while the machine keeps the server from running."""
    await_idle: Callable[[], bool] = lambda: False
    """Waits while the server is busy, where that can be observed; returns whether it was."""
    listen: Callable[[], Callable[[float], str]] = lambda: lambda _seconds: ""
    """Begins to listen to what the server prints, and returns a function that returns what it has printed since, after
    a wait of some seconds until it begins."""
    activity: Activity = field(default_factory=Activity, compare=False)
    """Where a status line sees what is waited for."""
    new_recording: Callable[[], Recording] = Recording
    controls: dict[object, bool] = field(default_factory=dict, compare=False)
    """The results of the control requests so far, by request."""
    deviations: Deviations = NO_DEVIATIONS
    """The known deviations; the clients of most scenarios expect them."""

    @cached_property
    def words(self) -> Words:
        """The words of the run, from its seed."""
        return Words(self.seed)

    @cached_property
    def references(self) -> References:
        """What references to files and words stand for, in transcripts and elsewhere."""
        return References(self.fixtures, self.words)


class ScenarioContext:
    """The context of one run of a scenario.

    Without `is_crowded`, connecting closes the previous connection: a server that serves one client at a time would
    otherwise not accept the next. With `judges_crowds`, a limit of simultaneous clients is a failure; otherwise, a
    scenario that needs more clients is unsupported. `wait_factor` scales the timeouts. The whole run may take
    `timeouts` full ones, or the default if that is longer.
    """

    def __init__(  # noqa: PLR0913  (one call, in runner.play)
        self,
        run_context: RunContext,
        *,
        is_crowded: bool,
        scenario_id: str = "",
        wait_factor: float = 1.0,
        deviations: Deviations | None = None,
        judges_crowds: bool = False,
        timeouts: float = SCENARIO_TIMEOUTS,
    ) -> None:
        self.run_context = run_context
        self.fixtures = run_context.fixtures
        self.dialect = run_context.dialect
        self.words = run_context.words
        self.timeout_seconds = run_context.timeout_seconds * wait_factor
        self.record = run_context.new_recording()
        self.random = random.Random(f"{run_context.seed} {scenario_id}")  # noqa: S311  (no secret)
        self.seen: list[str] = []
        self.tolerated: set[Deviation] = set()
        """The known deviations that made a difference."""
        self.slowest_seconds = 0.0
        """The longest wait that ended with data."""
        self.clock = run_context.clock
        self.deadline = self.clock() + run_context.timeout_seconds * max(
            SCENARIO_TIMEOUTS * max(1.0, wait_factor), timeouts
        )
        self.leaves_open = False
        """Whether a client closed without quit before the server closed."""
        known = run_context.deviations if deviations is None else deviations
        self._make_client = partial(TolerantClient, known, self.tolerated) if known.rows else Client
        self._is_crowded = is_crowded
        self._judges_crowds = judges_crowds
        self._clients: list[Client] = []
        self._numbers = itertools.count(1)  # unique, also if threads draw them

    @property
    def clients(self) -> int:
        """The number of clients in a crowd."""
        return self.run_context.clients

    def fixture(self, key: str) -> Fixture:
        """Return a file that the server holds; raise Incomplete."""
        return self.fixtures.get(key)

    def filled(self, text: str) -> str:
        """Return a text with the names and sizes of files, and the words of the run, as in transcripts."""
        return self.run_context.references.filled(text)

    def allow(self, timeouts: float) -> None:
        """Extend the deadline to at least this many timeouts from now, for large transfers."""
        self.deadline = max(self.deadline, self.clock() + timeouts * self.run_context.timeout_seconds)
        for client in self._clients:
            client.deadline = self.deadline

    def connect(self, *, timeout_seconds: float | None = None, receive_buffer_bytes: int = 0) -> Client:
        """Connect a client; raise Failure if the server does not accept it, Unsupported if that exceeds its limit."""
        if not self._is_crowded:
            if self._clients:
                self.close()
        elif not self._judges_crowds and 0 < self.run_context.capacity <= sum(
            not client.is_over for client in self._clients
        ):
            message = Message(
                "the server serves {capacity} clients at once, but this scenario needs more",
                capacity=self.run_context.capacity,
            )
            raise Unsupported(message)
        backlog = self.run_context.backlog
        if backlog is not None and backlog < _LONG_BACKLOG:
            self._await_room(backlog)
        client = self._make_client(
            self.run_context.dial,
            self.record,
            next(self._numbers),
            timeout_seconds=self.timeout_seconds if timeout_seconds is None else timeout_seconds,
            deadline=self.deadline,
            receive_buffer_bytes=receive_buffer_bytes,
            clock=self.clock,
        )
        client.dialect = self.dialect
        client.words = self.words
        client.round_trip_seconds = self.run_context.round_trip_seconds
        self._clients.append(client)
        return client

    def _await_room(self, backlog: int) -> None:
        """Wait if the accept queue is over half full: if it is full, the kernel drops a SYN, which costs 1 s."""
        length = self.run_context.queue_length()
        if length is not None and length > backlog // 2:
            self.await_accepted()

    @property
    def wave(self) -> int:
        """How many clients can connect at once without the kernel dropping one of their SYNs."""
        backlog = self.run_context.backlog
        return WAVE if backlog is None else max(1, backlog)

    def await_accepted(self) -> bool:
        """Wait until the accept queue is empty; where that cannot be observed, for a round trip.

        Return False if it is not empty after one timeout.
        """
        until = min(self.deadline, self.clock() + self.timeout_seconds)
        while (length := self.run_context.queue_length()) and self.clock() < until:
            sleep(_QUEUE_SECONDS)
        if length is None:
            sleep(self.run_context.round_trip_seconds + PAUSE_SECONDS)
        return not length

    def connect_many(self, number: int) -> list[Client]:
        """Connect this many clients, in waves that fit the server's backlog; raise Failure."""
        clients: list[Client] = []
        while len(clients) < number:
            clients += [self.connect() for _ in range(min(self.wave, number - len(clients)))]
            self.await_accepted()
        return clients

    def probe(self) -> None:
        """Require that a new client gets a reply, in whatever form: the server is alive."""
        client = self.connect()
        client.send_line(self.words.unknown)
        try:
            self._status_of_probe(client)
        except Failure as failure:
            if failure.kind is not Kind.MALFORMED:  # other scenarios judge the form
                raise
        client.quit_and_close()

    def _status_of_probe(self, client: Client) -> Status:
        """Read a status line; after a timeout, wait for a busy server and read again."""
        try:
            return client.status(200, 201, 202)
        except Failure as failure:
            if failure.kind is not Kind.TIMEOUT or not self.run_context.await_idle():
                raise
        self.allow(SCENARIO_TIMEOUTS)
        client.expect_again()
        return client.status(200, 201, 202)

    @property
    def unread_bytes(self) -> int:
        """How many bytes are received and not read yet, on the connection that was read last."""
        return next((len(row.unread) for row in self._clients if row.number == self.record.reader), 0)

    def pause(self) -> None:
        """Pause briefly; no verdict may depend on it. `Client.await_read` waits until the server has read."""
        sleep(PAUSE_SECONDS)

    def await_closed(self, client: Client) -> None:
        """Wait until the server has closed a connection, whose replies are still to be read.

        Where that cannot be observed, wait until it most likely has.
        """
        client.await_closed(unknown_seconds=_CLOSED_PAUSES * PAUSE_SECONDS)

    def observe(self, what: str) -> None:
        """Record a behaviour for the reports."""
        self.seen.append(what)
        self.record.note(0, "note", what)

    def close(self) -> None:
        """Close all clients after sending quit: only some scenarios test that clients may vanish."""
        leaving = []
        for client in self._clients:
            self.leaves_open |= client.has_left and not client.has_quit
            self.slowest_seconds = max(self.slowest_seconds, client.slowest_seconds)
            if client.evidence_note and client.evidence_note not in self.seen:
                self.observe(client.evidence_note)
            if client.send_quit():
                leaving.append(client)
        until = self.clock() + CLOSING_SECONDS
        for client in leaving:
            left = max(0.001, until - self.clock())
            client.timeout_seconds = min(client.timeout_seconds, left)
            client.collect(lambda _data: False, seconds=left)
        for client in self._clients:
            client.close()
        self._clients.clear()


Play = Callable[[ScenarioContext], None]
"""Runs a scenario; raises Failure, Incomplete or Unsupported."""

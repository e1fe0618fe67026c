"""What a scenario has at hand while it is played: connections, files, and what it sees."""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Final

from conformance.client import UNKNOWN, Client, Status
from conformance.fixtures import Fixture, Fixtures
from conformance.peer import Dial
from conformance.record import Record

PLAY_SECONDS: Final = 10.0
"""A scenario may take this many times the patience of one wait."""

PAUSE_SECONDS: Final = 0.005


@dataclass(frozen=True)
class Circumstances:
    """What holds for a whole run."""

    dial: Dial
    fixtures: Fixtures
    dialect: str
    patience_seconds: float
    """How long a single wait may be: a base and a multiple of the measured round trip, times --timeout-scale."""
    seed: int = 0
    clients: int = 200
    """How many clients make a crowd (--clients)."""
    is_concurrent: bool = True
    """Whether the server serves two clients at once."""
    round_trip_seconds: float = 0.0
    """How far away the server is, as far as that is known."""


class Stage:
    """One playing of one scenario.

    Without `is_crowded`, connecting closes the connection before: a server that serves one client at a time
    would never come to the next.
    """

    def __init__(
        self, circumstances: Circumstances, *, is_crowded: bool, scenario_id: str = "", duration_factor: float = 1.0
    ) -> None:
        self.circumstances = circumstances
        self.fixtures = circumstances.fixtures
        self.dialect = circumstances.dialect
        self.patience_seconds = circumstances.patience_seconds * duration_factor
        self.record = Record()
        self.random = random.Random(f"{circumstances.seed} {scenario_id}")  # noqa: S311  (no secret)
        self.seen: list[str] = []
        self.deadline = monotonic() + self.patience_seconds * PLAY_SECONDS
        self._is_crowded = is_crowded
        self._clients: list[Client] = []
        self._numbers = itertools.count(1)  # drawn by threads too, and never twice

    @property
    def clients(self) -> int:
        """How many clients make a crowd."""
        return self.circumstances.clients

    def fixture(self, key: str) -> Fixture:
        """Return a file that the server holds; raise Incomplete."""
        return self.fixtures.get(key)

    def allow(self, patiences: float) -> None:
        """Give the scenario at least so many times the patience of one wait, from now on; for large transfers."""
        self.deadline = max(self.deadline, monotonic() + patiences * self.patience_seconds)
        for client in self._clients:
            client.deadline = self.deadline

    def connect(self, *, patience_seconds: float | None = None, receive_buffer_bytes: int = 0) -> Client:
        """Return a new client; raise Failure if the server does not accept one."""
        if not self._is_crowded:
            self.close()
        client = Client(
            self.circumstances.dial,
            self.record,
            next(self._numbers),
            patience_seconds=self.patience_seconds if patience_seconds is None else patience_seconds,
            deadline=self.deadline,
            receive_buffer_bytes=receive_buffer_bytes,
        )
        client.dialect = self.dialect
        self._clients.append(client)
        return client

    def probe(self) -> Status:
        """Require that a new client is served; the proof that the server has survived."""
        client = self.connect()
        client.say(UNKNOWN)
        status = client.status(200, 201, 202)
        client.finish()
        return status

    def pause(self) -> None:
        """Let what was sent arrive as a packet of its own, most likely; no verdict may depend on it."""
        sleep(PAUSE_SECONDS)

    def saw(self, what: str) -> None:
        """Write down a behaviour that a report should tell."""
        self.seen.append(what)
        self.record.note(0, "note", what)

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.close()
        self._clients.clear()


Play = Callable[[Stage], None]
"""Plays a scenario; raises Failure, Incomplete or Unsupported."""

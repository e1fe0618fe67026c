"""What the suite is waiting for at the moment, for a status line; written by the threads that wait, read by another."""

import contextlib
import threading
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from conformance.language import Message

if TYPE_CHECKING:
    from conformance.client.recording import Recording


class Wait(NamedTuple):
    """A wait that goes on."""

    seconds: float
    """How long it has lasted."""
    what: str
    """What is waited for, and by which scenario."""


class Activity:
    """The waits of one run; thread-safe, for whoever plays a scenario writes only its own entries."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: dict[object, tuple[float, str]] = {}
        self.playing: dict[Recording, str] = {}
        """The scenarios that are played, by the recordings that tell what their clients wait for."""
        self.played: set[str] = set()
        """The scenarios that have been played, though their results may not be final yet."""

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Wait for something while the context lasts."""
        key = object()
        with self._lock:
            self._waits[key] = monotonic(), what
        try:
            yield
        finally:
            with self._lock:
                del self._waits[key]

    def longest(self) -> Wait | None:
        """Return the wait that has lasted longest; None if there is none."""
        with self._lock:
            waits = [*self._waits.values()]
            for record, name in [*self.playing.items()]:
                if (wait := record.waiting) is not None:
                    waits.append((wait[0], Message("{name}: {what}", name=name, what=wait[1] or Message("the server"))))
        if not waits:
            return None
        since, what = min(waits)
        return Wait(monotonic() - since, what)

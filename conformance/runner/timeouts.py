"""How long the suite waits: shortly at first, in full before it counts, and by what the server has shown already.

A wait is informative once. What timed out shortly is played again alone, with a wait in full; once a time-out of the
same kind (the same requirement, failed in the same way) has been confirmed so, the short wait is enough for the next
ones, except for a sample. If one of the sample answers after all, the others of its kind are played in full, too.
"""

import threading
from bisect import insort
from dataclasses import dataclass
from typing import Final

BASE_SECONDS: Final = 2.0
"""How long a wait in full is for a server that is near."""
ROUND_TRIPS: Final = 20
"""How many round trips more it is for one that is far away."""
SHORT_SECONDS: Final = 0.3
"""How long a short wait is at least."""
REPLIES: Final = 4
"""How many times the slowest wait of nearly all scenarios so far a short wait is at least."""
_NEARLY_ALL: Final = 0.95
SAMPLE: Final = 5
"""One in so many time-outs of a kind that is known is waited for in full."""

TimeoutKind = tuple[str, str]
"""A requirement, and the kind of failure."""


def timeout_seconds(round_trip_seconds: float, scale: float) -> float:
    """Return how many seconds a wait in full takes."""
    return (BASE_SECONDS + ROUND_TRIPS * round_trip_seconds) * scale


@dataclass
class _Known:
    """What is known of one kind of time-out."""

    confirmed: int = 0
    refuted: int = 0
    seen: int = 0


class Timeouts:
    """What a run has learned of a server's silences."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._slowest: list[float] = []  # in order
        self._known: dict[TimeoutKind, _Known] = {}
        self._lock = threading.Lock()

    def answered(self, seconds: float) -> None:
        """Take note of the longest wait of a scenario that passed."""
        with self._lock:
            insort(self._slowest, seconds)

    def short_factor(self, patience: float) -> float:
        """Return how long a short wait is, as a part of one in full of `patience` seconds; 1 at most."""
        with self._lock:
            usual = self._slowest[int(_NEARLY_ALL * (len(self._slowest) - 1))] if self._slowest else 0.0
        return min(1.0, max(SHORT_SECONDS * self._scale, REPLIES * usual) / patience)

    def is_enough(self, kind: TimeoutKind) -> bool:
        """Tell whether a short wait of a kind counts; one in a few of those that are asked about does not."""
        with self._lock:
            known = self._known.setdefault(kind, _Known())
            if not known.confirmed or known.refuted:
                return False
            known.seen += 1
            return known.seen % SAMPLE != 0

    def confirm(self, kind: TimeoutKind) -> None:
        """Take note that nothing came in a wait in full either."""
        with self._lock:
            self._known.setdefault(kind, _Known()).confirmed += 1

    def refute(self, kind: TimeoutKind) -> bool:
        """Take note that something came in a wait in full; return whether short waits of the kind counted so far."""
        with self._lock:
            known = self._known.setdefault(kind, _Known())
            known.refuted += 1
            return bool(known.confirmed)

"""Adapt the timeouts of a run: short at first, full for a retry, short again for a kind of failure that is confirmed.

A scenario that fails by a short timeout is retried alone, with the full timeout. Once that confirms a kind of failure
(the same requirement, failed in the same way), a short timeout is enough for further ones, except for a sample. If one
of the sample gets a reply after all, all others of its kind are retried with the full timeout, too.
"""

import threading
from bisect import insort
from dataclasses import dataclass
from typing import Final

BASE_SECONDS: Final = 2.0
"""The full timeout for a server without latency."""
ROUND_TRIPS: Final = 20
"""How many measured round trips are added to it."""
SHORT_SECONDS: Final = 0.3
"""The minimum short timeout."""
REPLIES: Final = 4
"""A short timeout is at least this many times the 95th percentile of the slowest waits of scenarios so far."""
_NEARLY_ALL: Final = 0.95
SAMPLE: Final = 5
"""One in this many timeouts of a confirmed kind is retried in full."""

RUN_SECONDS: Final = 60.0
SCENARIO_SECONDS: Final = 4.0
"""A run lasts at most so long, plus so long for each scenario, times --timeout-scale if that is more than 1."""

TimeoutKind = tuple[str, str]
"""A requirement, and the kind of failure."""


def timeout_seconds(round_trip_seconds: float, scale: float) -> float:
    """Return the full timeout in seconds."""
    return (BASE_SECONDS + ROUND_TRIPS * round_trip_seconds) * scale


def run_seconds(scenarios: int, scale: float) -> float:
    """Return the default deadline of a run in seconds: many times what this number of scenarios usually takes."""
    return (RUN_SECONDS + SCENARIO_SECONDS * scenarios) * max(1.0, scale)


@dataclass
class _Known:
    """The counts of one kind of timeout."""

    confirmed: int = 0
    refuted: int = 0
    seen: int = 0


class Timeouts:
    """What a run has learned about a server's timeouts; thread-safe."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._slowest: list[float] = []  # sorted
        self._known: dict[TimeoutKind, _Known] = {}
        self._lock = threading.Lock()

    def full_seconds(self, round_trip_seconds: float) -> float:
        """Return the full timeout in seconds."""
        return timeout_seconds(round_trip_seconds, self._scale)

    def answered(self, seconds: float) -> None:
        """Record the longest wait of a scenario that passed."""
        with self._lock:
            insort(self._slowest, seconds)

    def short_factor(self, full_seconds: float) -> float:
        """Return the short timeout as a fraction, at most 1, of the full timeout of `full_seconds`."""
        with self._lock:
            usual = self._slowest[int(_NEARLY_ALL * (len(self._slowest) - 1))] if self._slowest else 0.0
        return min(1.0, max(SHORT_SECONDS * self._scale, REPLIES * usual) / full_seconds)

    def is_enough(self, kind: TimeoutKind) -> bool:
        """Return whether a short timeout of a kind is enough; False for the sample, one call in five."""
        with self._lock:
            known = self._known.setdefault(kind, _Known())
            if not known.confirmed or known.refuted:
                return False
            known.seen += 1
            return known.seen % SAMPLE != 0

    def confirm(self, kind: TimeoutKind) -> None:
        """Record that the full timeout expired, too."""
        with self._lock:
            self._known.setdefault(kind, _Known()).confirmed += 1

    def refute(self, kind: TimeoutKind) -> bool:
        """Record a reply within the full timeout; return whether the kind was confirmed so far."""
        with self._lock:
            known = self._known.setdefault(kind, _Known())
            known.refuted += 1
            return bool(known.confirmed)

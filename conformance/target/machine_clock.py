"""A clock that stands still while the machine keeps the server or the suite from running.

All waits for a server are measured by it, so a busy machine makes them longer, and a timeout is evidence only of time
in which the server could have replied. A thread sleeps briefly again and again (a heartbeat), and measures how late it
wakes: the suite's own lag. Each time it also asks for the run delay of the server's threads, where that is known.
"""

import threading
from collections.abc import Callable
from math import inf
from time import monotonic, sleep, thread_time
from typing import Final, NamedTuple

PULSE_SECONDS: Final = 0.02
"""How long the thread sleeps at least."""
TOLERATED_SECONDS: Final = 0.003
"""The most delay in a pulse on a machine that is not busy; it does not stop the clock."""
SLOWEST: Final = 0.1
"""The clock's slowest pace: no wait takes more than ten times as long."""
STOPPED_SECONDS: Final = 10.0
"""After so long without a pulse, the suite or the machine was stopped, and the clock stands until the next pulse."""
_LOOKING: Final = 0.01
"""The share of a processor's time that measuring the server's run delay may take; it decides how long to sleep."""


class _Reading(NamedTuple):
    """What the clock said at a time of `monotonic`, and when the next reading is due."""

    seconds: float
    at: float
    due: float


class MachineClock:
    """Returns a time in seconds, as `monotonic` does, without the time that the machine withheld.

    On a machine that is not busy, and while it is not started, it runs like `monotonic`. It never goes back. To read it
    costs a microsecond.
    """

    def __init__(self) -> None:
        now = monotonic()
        self._reading = _Reading(now, now, inf)
        self._latest = now
        self._delay: Callable[[], float] | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self) -> float:
        """Return the time."""
        seconds, at, due = self._reading
        now = monotonic()
        # If the thread itself is late, the machine withholds time just now.
        self._latest = max(self._latest, seconds + available_seconds(now - at, now - due))
        return self._latest

    def sleep(self, seconds: float) -> None:
        """Sleep until the clock has advanced by some seconds."""
        left, until = seconds, self() + seconds
        while left > 0:
            sleep(left)
            left = until - self()

    def watch(self, delay: Callable[[], float] | None) -> None:
        """Watch a server: `delay` returns its run delay in seconds since the last call; None if it is unknown."""
        self._delay = delay

    def start(self) -> None:
        """Start the thread, unless it runs; if the system refuses it, the clock runs like `monotonic`."""
        if self._thread is not None:
            return
        self._ended.clear()
        thread = threading.Thread(target=self._run, name="machine clock", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return
        self._thread = thread

    def close(self) -> None:
        """End the thread, if it runs."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        pause = PULSE_SECONDS
        try:
            self._advance(inf, 0.0, pause)
            while not self._ended.wait(pause):
                delay, began = self._delay, thread_time()
                delayed = delay() if delay is not None else 0.0
                cost = thread_time() - began
                expected, pause = pause + cost, max(PULSE_SECONDS, cost / _LOOKING)
                self._advance(expected, delayed, pause)
        finally:
            self._advance(inf, 0.0, inf)

    def _advance(self, expected: float, delayed: float, pause: float) -> None:
        """Advance by what was available since the last reading.

        The thread `expected` that to take so many seconds, the server was `delayed`, and the next reading is due after
        a `pause`.
        """
        seconds, at, _ = self._reading
        now = monotonic()
        withheld = max(now - at - expected, delayed)
        self._reading = _Reading(seconds + available_seconds(now - at, withheld), now, now + pause)


def available_seconds(passed: float, withheld: float) -> float:
    """Return how much of the time that passed between two readings was available to the server and the suite."""
    if withheld <= TOLERATED_SECONDS:
        return passed
    return max(passed - withheld, SLOWEST * min(passed, STOPPED_SECONDS))

"""Measure how long the threads of some processes were ready to run, and got no processor: their run delay.

It is the second field of /proc/PID/task/TID/schedstat, in nanoseconds, after the time on a processor; see
Documentation/scheduler/sched-stats.rst of the kernel. The field grows when a thread gets a processor, so the delay of a
thread that still waits for one is added to it.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Final

from conformance.target.process_tree import read

_NANOSECONDS: Final = 1e9


@dataclass
class _Thread:
    """What is known of a thread, in seconds."""

    used: float
    delayed: float
    counted: float
    """How much delay is counted so far, including that of the current wait."""
    waits_since: float | None = None
    """Since when it has been seen to wait for a processor."""


class RunDelay:
    """The run delay of processes, which may come and go; `processes` returns their ids.

    A thread that has ended counts up to the last look.
    """

    def __init__(self, processes: Callable[[], list[int]], proc: str = "/proc") -> None:
        self._processes = processes
        self._proc = proc
        self._processors = os.cpu_count() or 1
        self._threads: dict[str, _Thread] = {}
        self._looked: float | None = None

    def look(self) -> float:
        """Return the delay in seconds since the last look; 0 at the first one, and where it is unknown.

        Delays of several threads add up. What the threads take from each other does not count: the delay is at most
        what they left of the processors' time.
        """
        now = monotonic()
        found: dict[str, _Thread] = {}
        delayed = used = 0.0
        for path, figures in self._figures():
            known = self._threads.get(path)
            if known is None or figures < (known.used, known.delayed):  # a new thread, maybe with the id of another
                known = _Thread(0.0, 0.0, 0.0)
            thread = found[path] = _updated(path, known, figures, now)
            delayed += thread.counted - known.counted
            used += thread.used - known.used
        self._threads = found
        since, self._looked = self._looked, now
        return min(delayed, max(0.0, self._processors * (now - since) - used)) if since is not None else 0.0

    def _figures(self) -> Iterator[tuple[str, tuple[float, float]]]:
        """Yield the path of each thread, with its times on a processor and waiting for one."""
        for process in self._processes():
            try:
                threads = os.listdir(f"{self._proc}/{process}/task")  # noqa: PTH208  (names are wanted)
            except OSError:
                continue
            for thread in threads:
                path = f"{self._proc}/{process}/task/{thread}"
                words = read(f"{path}/schedstat").split()
                if words:
                    yield path, (int(words[0]) / _NANOSECONDS, int(words[1]) / _NANOSECONDS)


def _updated(path: str, known: _Thread, figures: tuple[float, float], now: float) -> _Thread:
    """Return what is known of a thread now. It waits for a processor if it is runnable, and its figures stand still."""
    used, delayed = figures
    waits_since = None
    if figures == (known.used, known.delayed) and _is_runnable(path):
        waits_since = now if known.waits_since is None else known.waits_since
    waiting = now - waits_since if waits_since is not None else 0.0
    return _Thread(used, delayed, max(known.counted, delayed + waiting), waits_since)


def _is_runnable(path: str) -> bool:
    return read(f"{path}/stat").rpartition(b")")[2].split()[:1] == [b"R"]

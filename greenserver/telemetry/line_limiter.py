"""Limit the lines of the log that each client causes, and log how many were left out."""

import _thread
import logging
import time
from threading import Lock
from typing import Final, NamedTuple

from greenserver.config import limits
from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)

OTHERS: Final = "others"
"""Stands for clients beyond the first `LOGGED_CLIENTS` of which lines were left out within a second."""


class _Bucket:
    """The lines that a client may cause, at a time of `time.monotonic`."""

    __slots__ = ("filled", "lines")

    def __init__(self, lines: float, filled: float) -> None:
        self.lines = lines
        self.filled = filled


class _LeftOut(NamedTuple):
    """How many lines of a client were left out, and the highest level among them."""

    lines: int = 0
    level: int = logging.NOTSET


class LineLimiter:
    """A token bucket per client, in bounded memory: the clients that were silent the longest are forgotten.

    While lines are left out, a thread or greenlet of its own logs their number once a second, also if the client is
    silent from then on. Any thread may call the limiter. It outlives a reload.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._buckets: dict[str, _Bucket] = {}
        """The one silent for longest first."""
        self._left_out: dict[str, _LeftOut] = {}
        self._is_reporting = False

    def allows(self, client: str, rate: int, level: int) -> bool:
        """Return whether a client may cause another line at a rate per second; if not, count the line."""
        now = time.monotonic()
        most = float(rate * limits.LOG_BURST_SECONDS)
        with self._lock:
            bucket = self._buckets.pop(client, None) or self._new_bucket(most, now)
            self._buckets[client] = bucket  # the last one: it is forgotten last
            bucket.lines = min(most, bucket.lines + (now - bucket.filled) * rate)
            bucket.filled = now
            if bucket.lines >= 1:
                bucket.lines -= 1
                return True
            self._leave_out(client, level)
            must_report, self._is_reporting = not self._is_reporting, True
        if must_report:
            self._start_reporting()
        return False

    def flush(self) -> None:
        """Log how many lines were left out since the last call, if any were."""
        with self._lock:
            left_out, self._left_out = self._left_out, {}
        for client, (lines, level) in left_out.items():
            report(_log, level, "log lines suppressed", client=client, count=lines)

    def _new_bucket(self, lines: float, now: float) -> _Bucket:
        if len(self._buckets) >= limits.LOGGED_CLIENTS:
            del self._buckets[next(iter(self._buckets))]
        return _Bucket(lines, now)

    def _leave_out(self, client: str, level: int) -> None:
        key = client if client in self._left_out or len(self._left_out) < limits.LOGGED_CLIENTS else OTHERS
        lines, highest = self._left_out.get(key, _LeftOut())
        self._left_out[key] = _LeftOut(lines + 1, max(level, highest))

    def _start_reporting(self) -> None:
        try:
            _thread.start_new_thread(self._report_while_any, ())  # a greenlet, if monkey-patched
        except (RuntimeError, MemoryError):
            self._is_reporting = False  # the next line that is left out tries again, and a stop flushes

    def _report_while_any(self) -> None:
        try:
            while self._is_any_left_out():
                time.sleep(limits.LOG_SUMMARY_SECONDS)
                self.flush()
        except MemoryError:
            self._is_reporting = False  # as above

    def _is_any_left_out(self) -> bool:
        with self._lock:
            self._is_reporting = bool(self._left_out)
            return self._is_reporting

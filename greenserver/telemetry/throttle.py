"""Throttle repeated warnings: log the first of a series, count the rest, and log the count when it is over."""

import logging
from time import monotonic

from greenserver.config import limits
from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)


class ThrottledWarning:
    """A warning that is logged once per series of events, and again, with their number, after the series."""

    def __init__(self, event: str, over: str) -> None:
        self._event = event
        self._over = over
        self._last = 0.0
        self._count = 0

    def happens(self, **facts: object) -> None:
        """Record an event, and log it if it is the first of a series."""
        now = monotonic()
        if self._count and now - self._last > limits.WARNING_SERIES_SECONDS:
            self._sum_up()
        if not self._count:
            report(_log, logging.WARNING, self._event, error=None, **facts)
        self._last = now
        self._count += 1

    def is_not_seen(self) -> None:
        """Record that the event does not occur now. End the series after `WARNING_SERIES_SECONDS` without one."""
        if self._count and monotonic() - self._last > limits.WARNING_SERIES_SECONDS:
            self._sum_up()

    def _sum_up(self) -> None:
        count, self._count = self._count, 0
        report(_log, logging.WARNING, self._over, times=count)

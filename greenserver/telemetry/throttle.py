"""Tells the log of troubles that come in crowds: once when they begin, and once, with their number, when they end."""

import logging
from time import monotonic

from greenserver.config import limits
from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)


class ThrottledWarning:
    """A trouble that comes in crowds: logged when it begins, counted while it lasts, and summed up after it."""

    def __init__(self, event: str, over: str) -> None:
        self._event = event
        self._over = over
        self._last = 0.0
        self._count = 0

    def happens(self, **facts: object) -> None:
        """Take note of the trouble."""
        now = monotonic()
        if self._count and now - self._last > limits.EPISODE_SECONDS:
            self._sum_up()
        if not self._count:
            report(_log, logging.WARNING, self._event, error=None, **facts)
        self._last = now
        self._count += 1

    def is_not_seen(self) -> None:
        """Take note that all is well; after a while of that the trouble is over."""
        if self._count and monotonic() - self._last > limits.EPISODE_SECONDS:
            self._sum_up()

    def _sum_up(self) -> None:
        count, self._count = self._count, 0
        report(_log, logging.WARNING, self._over, times=count)

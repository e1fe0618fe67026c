"""A reload of the supervisor that is pending: one trial of the configuration at a time, with a deadline."""

import logging
from collections.abc import Callable
from typing import Final

from greenserver.config import limits
from greenserver.service.clock import RunningClock
from greenserver.service.deadline import StillHangsError
from greenserver.service.preflight import Checked, Trial
from greenserver.service.reload import report_failed_reload
from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
"""Delay before a trial for which the system had no process, or while too many hang."""

MOST_HANGING: Final = 4
"""How many trials that were killed may hang in the kernel, which ends a process only when its file system answers."""

_NEVER: Final = float("inf")


class PendingReload:
    """The trial of a configuration in a child process, from a request until its result or its deadline.

    A further request makes the present trial obsolete. `call` is called in the child.
    """

    def __init__(self, clock: RunningClock, call: Callable[[], Checked]) -> None:
        self._clock = clock
        self._call = call
        self._asked_at = 0.0
        self._trial: Trial[Checked] | None = None
        self._killed: set[int] = set()
        self.at = _NEVER
        """When to begin a trial or, while there is one, when to give it up."""

    def ask(self) -> None:
        """Begin a trial of the configuration as it is now, as soon as `begin_if_due` is called."""
        self.drop()
        self._asked_at = self.at = self._clock.now

    def drop(self) -> None:
        """Kill the present trial, and forget the request."""
        if self._trial is not None:
            if not self._trial.close():
                self._killed.add(self._trial.child)
            self._trial = None
        self.at = _NEVER

    def begin_if_due(self) -> None:
        """Begin a trial if one was asked for. Log what prevents it, and try again later."""
        now = self._clock.now
        if self._trial is not None or now < self.at:
            return
        if len(self._killed) >= MOST_HANGING:
            self._wait_for_the_killed(now)
            return
        try:
            self._trial = Trial(self._call)
            self.at = now + limits.RELOAD_SECONDS
        except OSError as error:
            report(_log, logging.ERROR, "reload failed to start; retrying", reason=str(error))
            self.at = now + RETRY_SECONDS

    def _wait_for_the_killed(self, now: float) -> None:
        if now < self._asked_at + limits.RELOAD_SECONDS:
            self.at = now + RETRY_SECONDS
        else:
            self.at = _NEVER
            report_failed_reload(str(StillHangsError()))

    def filenos(self) -> tuple[int, ...]:
        """Return the descriptors of the present trial."""
        return () if self._trial is None else (self._trial.fileno(),)

    def receive(self) -> Trial[Checked] | None:
        """Receive from the trial. If that has ended, or its time is over, end it here, and return it."""
        trial = self._trial
        if trial is None:
            return None
        trial.receive()
        if not trial.has_ended and self._clock.now < self.at:
            return None
        self.drop()
        return trial

    def reaped(self, process: int) -> None:
        """Record that a child process has ended."""
        self._killed.discard(process)

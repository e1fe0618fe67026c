"""Watch a worker for the supervisor: fork, table of states, heartbeat and exit timeouts."""

import contextlib
import logging
import os
import signal
from enum import Enum
from typing import Final

from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)

STUCK_SECONDS: Final = 60.0
"""A worker without a heartbeat for this long is aborted. Heartbeats come once a second."""

MARGIN_SECONDS: Final = 5.0
"""How long a worker may exceed its grace period, and how long the supervisor waits for killed workers."""

_ABORT_SECONDS: Final = 1.0
"""Time for a worker to exit after SIGABRT, before SIGKILL."""

_BEATS_BYTES: Final = 4096
_NEVER: Final = float("inf")


class State(Enum):
    """The state of a worker."""

    STARTING = "starting"
    """Forked, not serving yet."""
    READY = "ready"
    """Serving."""
    DRAINING = "draining"
    """Accepting no more clients, and finishing the replies in progress."""
    ENDED = "ended"
    """Exited and reaped."""


class Event(Enum):
    """An event that changes the state of a worker."""

    BEAT = "beat"
    """A heartbeat: one when it starts to serve, then one every second."""
    DRAIN = "drain"
    """The supervisor asks it to stop."""
    EXIT = "exit"
    """It exited and was reaped."""


TRANSITIONS: Final = {
    (State.STARTING, Event.BEAT): State.READY,
    (State.STARTING, Event.DRAIN): State.DRAINING,
    (State.STARTING, Event.EXIT): State.ENDED,
    (State.READY, Event.BEAT): State.READY,
    (State.READY, Event.DRAIN): State.DRAINING,
    (State.READY, Event.EXIT): State.ENDED,
    (State.DRAINING, Event.BEAT): State.DRAINING,
    (State.DRAINING, Event.DRAIN): State.DRAINING,
    (State.DRAINING, Event.EXIT): State.ENDED,
}
"""A missing pair is a bug of the supervisor, and raises KeyError."""


class WorkerProcess:
    """A forked worker, whose heartbeats arrive on a pipe.

    Times are seconds of the supervisor's `RunningClock`.
    """

    def __init__(self, pid: int, beats: int, *, generation: int, grace_seconds: float, now: float) -> None:
        self.pid = pid
        self.generation = generation
        """The number of reloads before its fork."""
        self.state = State.STARTING
        self.is_killed = False
        self.forked_at = now
        self._beats = beats
        self._grace_seconds = grace_seconds
        self._last_beat_at = now
        self._end_by = _NEVER

    @property
    def is_serving(self) -> bool:
        """Whether it is starting or serving."""
        return self.state in {State.STARTING, State.READY}

    @property
    def deadline(self) -> float:
        """The time at which `enforce` has to act, unless a heartbeat comes first."""
        return min(self._end_by, self._stuck_at)

    @property
    def _stuck_at(self) -> float:
        """The time of the heartbeat timeout. A worker that drains has its grace period instead."""
        return self._last_beat_at + STUCK_SECONDS if self.is_serving else _NEVER

    def fileno(self) -> int:
        """Return the descriptor of the heartbeat pipe; -1 after it is closed."""
        return self._beats

    def receive_beat(self, now: float) -> bool:
        """Read heartbeats from the readable descriptor. Return whether the worker has just become ready."""
        if not os.read(self._beats, _BEATS_BYTES):
            self._close()  # it is exiting: SIGCHLD follows
            return False
        before = self.state
        self._advance(Event.BEAT)
        if self._last_beat_at < _NEVER:  # not aborted
            self._last_beat_at = now
        return self.state is not before

    def drain(self, now: float) -> None:
        """Send SIGTERM, if not sent before, and start the grace period."""
        if self.is_serving:
            self._send(signal.SIGTERM)
            self._end_by = min(self._end_by, now + self._grace_seconds + MARGIN_SECONDS)
        self._advance(Event.DRAIN)

    def enforce(self, now: float) -> None:
        """Kill the worker if its time to exit is over; abort it if its heartbeat has timed out."""
        if now >= self._end_by:
            report(_log, logging.ERROR, "worker did not exit in time; killing it", process=self.pid)
            self.kill()
        elif now >= self._stuck_at:
            report(_log, logging.ERROR, "worker timed out; aborting it", process=self.pid)
            self._send(signal.SIGABRT)
            self._last_beat_at, self._end_by = _NEVER, now + _ABORT_SECONDS

    def kill(self) -> None:
        """Send SIGKILL."""
        self.is_killed = True
        self._last_beat_at = self._end_by = _NEVER
        self._send(signal.SIGKILL)

    def exited(self, status: int) -> int:
        """Record and log its exit, from a status of `os.waitpid`. Return the exit code, or minus the signal."""
        self._advance(Event.EXIT)
        self._close()
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            self._report_signal(-code)
        elif code:
            report(_log, logging.ERROR, "worker exited with an error", process=self.pid, code=code)
        report(_log, logging.DEBUG, "worker exited", process=self.pid)
        return code

    def _report_signal(self, number: int) -> None:
        with contextlib.suppress(ValueError):  # a real-time signal has no name
            number = signal.Signals(number)
        name = getattr(number, "name", str(number))
        level, event = logging.WARNING, "worker ended by a signal"
        if self.is_killed or number == signal.SIGTERM:
            level = logging.DEBUG
        elif number == signal.SIGKILL:
            level, event = logging.ERROR, "worker killed, perhaps out of memory"
        report(_log, level, event, process=self.pid, signal=name)

    def _advance(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state, event]

    def _send(self, number: int) -> None:
        try:
            os.kill(self.pid, number)  # the pid stays valid until it is reaped
        except OSError as error:  # a container without CAP_KILL, and a worker of another user
            name = signal.Signals(number).name
            report(_log, logging.ERROR, "cannot signal worker", process=self.pid, signal=name, reason=error.strerror)

    def _close(self) -> None:
        if self._beats >= 0:
            os.close(self._beats)
            self._beats = -1


def fork() -> tuple[int, int]:
    """Fork, with a pipe from the child. Return its pid and the read end; in the child, 0 and the write end.

    All signals stay blocked in the child until it unblocks them. So a signal that arrives before the child has set its
    handlers is neither lost nor handled by those of the parent.

    Raise OSError if the system is out of processes or descriptors.
    """
    reader, writer = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = -1
    try:
        child = os.fork()
    finally:
        if child:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(writer)
        if child <= 0:
            os.close(reader)
    if child:
        return child, reader
    signal.set_wakeup_fd(-1)  # inherited: it would wake the parent
    return child, writer

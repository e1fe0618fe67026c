"""The life of a worker as its supervisor sees it: one table of states, and when it is ended by force."""

import contextlib
import logging
import os
import signal
from enum import Enum
from typing import Final

from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)

STUCK_SECONDS: Final = 60.0
"""A worker that is silent for this long is aborted; it beats once a second."""

MARGIN_SECONDS: Final = 5.0
"""How long a worker may outlive its grace, and the supervisor the SIGKILL of its workers."""

_ABORT_SECONDS: Final = 1.0
"""How long a worker has to end by SIGABRT, before SIGKILL."""

_BEATS_BYTES: Final = 4096
_NEVER: Final = float("inf")


class State(Enum):
    """What a worker is doing."""

    STARTING = "starting"
    """Forked, and not serving yet."""
    READY = "ready"
    """Serves."""
    DRAINING = "draining"
    """Accepts no more clients, and finishes the replies under way."""
    ENDED = "ended"
    """Has exited, and is reaped."""


class Event(Enum):
    """What changes the state of a worker."""

    BEAT = "beat"
    """It says that it serves: once when it begins, and then every second."""
    DRAIN = "drain"
    """The supervisor tells it to stop."""
    EXIT = "exit"
    """It is reaped."""


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
"""A pair that is missing is a mistake of the supervisor: a KeyError."""


class WorkerProcess:
    """A worker that was forked at a moment; its beats arrive on a pipe.

    Moments are seconds on the clock of `time.monotonic`.
    """

    def __init__(self, pid: int, beats: int, *, generation: int, grace_seconds: float, now: float) -> None:
        self.pid = pid
        self.generation = generation
        """How many reloads came before it."""
        self.state = State.STARTING
        self.is_killed = False
        self.forked_at = now
        self._beats = beats
        self._grace_seconds = grace_seconds
        self._heard_at = now
        self._end_by = _NEVER

    @property
    def is_serving(self) -> bool:
        """Whether it serves, or is about to."""
        return self.state in {State.STARTING, State.READY}

    @property
    def deadline(self) -> float:
        """The moment at which `enforce` has something to do, unless it beats before."""
        return min(self._end_by, self._heard_at + STUCK_SECONDS)

    def fileno(self) -> int:
        """Return the descriptor of its beats; -1 once there will be no more."""
        return self._beats

    def hear(self, now: float) -> bool:
        """Take note of its beats, once the descriptor is readable; return whether it has become ready."""
        if not os.read(self._beats, _BEATS_BYTES):
            self._close()  # it is about to end: SIGCHLD follows
            return False
        before = self.state
        self._advance(Event.BEAT)
        self.excuse(now)
        return self.state is not before

    def excuse(self, now: float) -> None:
        """Count its silence from now on."""
        if self._heard_at < _NEVER:
            self._heard_at = now

    def drain(self, now: float) -> None:
        """Tell it to stop, once."""
        if self.is_serving:
            self._send(signal.SIGTERM)
            self._end_by = min(self._end_by, now + self._grace_seconds + MARGIN_SECONDS)
        self._advance(Event.DRAIN)

    def enforce(self, now: float) -> None:
        """Kill it if it was to end by now; abort it if it has been silent for too long."""
        if now >= self._end_by:
            report(_log, logging.ERROR, "worker did not exit in time; killing it", process=self.pid)
            self.kill()
        elif now >= self._heard_at + STUCK_SECONDS:
            report(_log, logging.ERROR, "worker timed out; aborting it", process=self.pid)
            self._send(signal.SIGABRT)
            self._heard_at, self._end_by = _NEVER, now + _ABORT_SECONDS

    def kill(self) -> None:
        """End it at once."""
        self.is_killed = True
        self._heard_at = self._end_by = _NEVER
        self._send(signal.SIGKILL)

    def exited(self, status: int) -> int:
        """Take note of how it has ended, by its status of `os.waitpid`; return the exit code, or minus a signal."""
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
        os.kill(self.pid, number)  # it is there until it is reaped

    def _close(self) -> None:
        if self._beats >= 0:
            os.close(self._beats)
            self._beats = -1


def fork() -> tuple[int, int]:
    """Fork, with a pipe from the child; return the child and the end that reads, and in the child 0 and the other end.

    All signals are held back in the child until it unblocks them: one that comes before it has set its handlers is
    neither lost nor taken for one of the parent's.

    Raises OSError if the system has no room for another process or descriptor.
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
    signal.set_wakeup_fd(-1)  # it leads to the parent
    return child, writer

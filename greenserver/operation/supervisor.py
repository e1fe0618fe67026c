"""Keep a number of workers: replace those that end, reload without a gap in which none serves, drain at the end.

The supervisor serves no client, keeps the rights it was started with, and imports nothing that a worker must find
unpatched. It sleeps in one place, `_wait`, until a signal, a beat of a worker or a deadline.
"""

import contextlib
import dataclasses
import logging
import os
import select
import signal
import socket
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final

from greenserver.configuration import ConfigurationError, Settings, kept_until_restart
from greenserver.doors import dismiss, is_anybody_waiting, turn_away, wait_until_empty
from greenserver.listening import close_listener
from greenserver.logs import report
from greenserver.operation import inheritance, preflight
from greenserver.operation.lifecycle import MARGIN_SECONDS, State, WorkerProcess, fork
from greenserver.operation.notices import Reread, adjust_log, report_refusal, report_reload
from greenserver.operation.worker import CANNOT_SERVE, FAILED, FAILED_TO_BOOT, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenserver.operation.admin import Admin

_log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS: Final = 1.0
"""The pause after a failed start. It doubles with each further failure, until a start succeeds."""

LONGEST_PAUSE_SECONDS: Final = 8.0

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
_IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_LATE_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 3600.0  # poll() counts milliseconds in an int
_WAKEUPS_BYTES: Final = 4096
_NEVER: Final = float("inf")


class Supervisor:
    """Forks workers that share a listener, by the latest settings.

    `is_own` says whether the listener was opened here, and not handed over by a parent that may keep it open.
    """

    def __init__(
        self, settings: Settings, reread: Reread, admin: "Admin | None", listener: socket.socket, *, is_own: bool
    ) -> None:
        self._settings = settings
        self._reread = reread
        self._admin = admin
        self._listener = listener
        self._is_own = is_own
        self._count = settings.workers
        self._generation = 0
        self._workers: dict[int, WorkerProcess] = {}
        self._was_ready = False
        self._status: int | None = None
        self._signals: deque[int] = deque()
        self._pause_seconds = 0.0
        self._start_at = 0.0
        self._watch_admin_at = 0.0
        self._actions: dict[int, Callable[[], None]] = {
            signal.SIGHUP: self._reload,
            signal.SIGINT: self._end,
            signal.SIGTERM: self._end,
            signal.SIGQUIT: self._quit,
            signal.SIGTTIN: self._add,
            signal.SIGTTOU: self._remove,
        }

    def catch_signals(self) -> None:
        """Keep signals for `run`, from now on."""
        self._wakeups = os.pipe()
        for descriptor in self._wakeups:
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wakeups[1], warn_on_full_buffer=False)
        caught = {*self._actions, *_IGNORED, signal.SIGCHLD}
        for number in caught:
            signal.signal(number, lambda _number, _frame: None)  # the number is in the pipe
        signal.pthread_sigmask(signal.SIG_UNBLOCK, caught)

    def run(self) -> int:
        """Keep the workers until a signal ends it; return the exit status, or minus the signal to end by.

        A worker does not return from here: it exits.
        """
        inheritance.notify("READY=1")
        try:
            while self._status is None:
                self._wait(self._balance())
                self._obey()
        except Exception as error:  # noqa: BLE001  (whatever it is, the workers drain)
            report(_log, logging.ERROR, "Unhandled exception in main loop", error=error)
            self._status = FAILED
        return self._drain()

    # --- Signals ---------------------------------------------------------------------------------

    def _obey(self) -> None:
        while self._signals and self._status is None:
            number = self._signals.popleft()
            if number != signal.SIGCHLD:  # `_wait` has reaped
                report(_log, logging.DEBUG, f"Handling signal: {signal.Signals(number).name[3:].lower()}")
            self._actions.get(number, _ignore)()

    def _end(self) -> None:
        self._status = 0

    def _quit(self) -> None:
        self._kill_all()
        close_listener(self._listener)
        self._status = 0

    def _add(self) -> None:
        self._count += 1

    def _remove(self) -> None:
        self._count = max(1, self._count - 1)

    def _reload(self) -> None:
        """Replace all workers by workers of the new configuration, unless it is refused."""
        kept: list[str] = []
        try:
            settings, kept = kept_until_restart(self._settings, self._reread())
            if not settings.workers:
                settings, kept = dataclasses.replace(settings, workers=self._settings.workers), [*kept, "workers"]
            problem = preflight.find_problem(settings)
        except (ConfigurationError, OSError) as error:
            problem = str(error)
        if problem:
            report_refusal(problem)
            return
        adjust_log(settings)
        self._settings = settings
        self._count = settings.workers
        self._generation += 1
        self._start_at = self._pause_seconds = 0.0
        report_reload(kept)

    # --- Workers ---------------------------------------------------------------------------------

    def _balance(self) -> float:
        """Start what is missing and drain what is too much; return the moment at which there is more to start.

        A worker of older settings drains once one of the latest is ready in its place.
        """
        now = monotonic()
        serving = [each for each in self._workers.values() if each.is_serving]
        serving.sort(key=lambda each: (each.state is State.READY, each.forked_at))
        latest = [each for each in serving if each.generation == self._generation]
        older = [each for each in serving if each.generation < self._generation]
        unready = self._count - sum(each.state is State.READY for each in latest)
        for each in (*latest[: max(0, len(latest) - self._count)], *older[: max(0, len(older) - max(0, unready))]):
            each.drain(now)
        for _ in range(self._count - len(latest)):
            if now >= self._start_at:
                self._start_worker(now)
        if now >= self._watch_admin_at:
            self._watch_admin(now)
        return min(self._start_at if now < self._start_at else _NEVER, self._watch_admin_at)

    def _start_worker(self, now: float) -> None:
        supervisor = os.getpid()
        try:
            pid, beats = fork()
        except OSError as error:
            report(_log, logging.ERROR, "a worker cannot be started", reason=str(error))
            self._hold_back(now)
            return
        if not pid:
            for descriptor in (*self._wakeups, *(each.fileno() for each in self._workers.values())):
                if descriptor >= 0:
                    os.close(descriptor)
            Worker(self._settings, self._listener, self._admin, supervisor=supervisor, beats=beats).run()
        grace_seconds = self._settings.limits.grace_seconds
        self._workers[pid] = WorkerProcess(
            pid, beats, generation=self._generation, grace_seconds=grace_seconds, now=now
        )

    def _watch_admin(self, now: float) -> None:
        self._watch_admin_at = _NEVER
        if self._admin is not None:
            try:
                self._admin.watch()
            except OSError as error:
                report(_log, logging.ERROR, "the admin process cannot be started", reason=str(error))
                self._watch_admin_at = now + FIRST_PAUSE_SECONDS

    def _wait(self, until: float) -> None:
        """Wait for a signal, a beat, a deadline of a worker or a moment, and take note of what has happened."""
        until = min(until, *(each.deadline for each in self._workers.values()), _NEVER)
        poll = select.poll()
        for descriptor in (self._wakeups[0], *(each.fileno() for each in self._workers.values())):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        seconds = max(0.0, min(until - monotonic(), _LONGEST_WAIT_SECONDS))  # poll() waits for ever if it is negative
        found = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        now = monotonic()
        if now > until + _LATE_SECONDS:  # this process was stopped, and perhaps the workers were
            for worker in self._workers.values():
                worker.excuse(now)
        if self._wakeups[0] in found:
            self._signals.extend(os.read(self._wakeups[0], _WAKEUPS_BYTES))
        for worker in self._workers.values():
            if worker.fileno() in found and worker.hear(now):
                self._was_ready, self._pause_seconds = True, 0.0
        self._reap(now)
        for worker in self._workers.values():
            worker.enforce(now)

    def _reap(self, now: float) -> None:
        """Reap all children that have ended; in a container, orphans are children of its first process too."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                pid, status = ended
                if pid in self._workers:
                    self._part_with(self._workers.pop(pid), status, now)
                else:
                    self._watch_admin_at = min(self._watch_admin_at, now + FIRST_PAUSE_SECONDS)

    def _part_with(self, worker: WorkerProcess, status: int, now: float) -> None:
        before = worker.state
        code = worker.exited(status)
        if self._admin is not None:
            self._admin.board.bury(worker.pid)
        if code == CANNOT_SERVE or (code and before is State.STARTING):
            self._hold_back(now)
        if code == FAILED_TO_BOOT and not self._was_ready and self._status is None:
            report(_log, logging.ERROR, "Reason: Worker failed to boot.")
            self._status = FAILED_TO_BOOT

    def _hold_back(self, now: float) -> None:
        """Pause before the next start; failures during a pause do not make it longer."""
        if now >= self._start_at:
            self._pause_seconds = min(max(FIRST_PAUSE_SECONDS, self._pause_seconds * 2), LONGEST_PAUSE_SECONDS)
            self._start_at = now + self._pause_seconds

    # --- The end ---------------------------------------------------------------------------------

    def _drain(self) -> int:
        """Refuse new clients, let replies under way finish, and return as `run`; a second signal ends it at once."""
        if self._admin is not None:
            self._admin.board.set_draining()
        inheritance.notify("STOPPING=1")
        if self._is_own and self._listener.fileno() >= 0:
            turn_away(self._listener)
            wait_until_empty(self._listener)  # the workers still accept
            if is_anybody_waiting(self._listener):  # none of them is ready
                dismiss(self._listener)
        close_listener(self._listener)
        now = monotonic()
        for worker in self._workers.values():
            worker.drain(now)
        while not all(each.is_killed for each in self._workers.values()):
            self._wait(_NEVER)
            while self._signals:
                number = self._signals.popleft()
                if number in _ENDING:
                    self._kill_all()
                    return -number
        self._kill_all()
        status = self._status or 0
        report(_log, logging.ERROR if status else logging.DEBUG, "Shutting down: Master")
        return status

    def _kill_all(self) -> None:
        for worker in self._workers.values():
            worker.kill()
        last = monotonic() + MARGIN_SECONDS
        while self._workers and monotonic() < last:
            self._wait(last)


def _ignore() -> None:
    """Ignore a signal that ends a process by default."""

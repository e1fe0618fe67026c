"""Supervise workers: keep their number, replace those that exit, reload without a gap, and drain on shutdown.

The supervisor serves no clients, keeps the privileges it was started with, and imports nothing that workers must
monkey-patch first. It sleeps in one place, `_wait`, until a signal, a heartbeat or a deadline.
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

from greenserver.config.settings import ConfigurationError, Settings, kept_until_restart
from greenserver.net.drain import close_queued, is_anybody_waiting, refuse_new, wait_until_empty
from greenserver.net.listening import close_listener
from greenserver.service import preflight, systemd
from greenserver.service.lifecycle import MARGIN_SECONDS, State, WorkerProcess, fork
from greenserver.service.reload import Reread, adjust_log, report_refusal, report_reload
from greenserver.service.worker import CANNOT_SERVE, FAILED, FAILED_TO_BOOT, Worker
from greenserver.telemetry.log import report

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenserver.admin.process import Admin

_log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS: Final = 1.0
"""Delay before the next start after a failed one. It doubles with each failure, until a start succeeds."""

LONGEST_PAUSE_SECONDS: Final = 8.0

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
_IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_LATE_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 3600.0  # poll() counts milliseconds in an int
_WAKEUPS_BYTES: Final = 4096
_NEVER: Final = float("inf")


class Supervisor:
    """Forks workers with the latest settings, which share a listener.

    `is_own` is whether this process opened the listener; otherwise a parent passed it on, and may keep it open.
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
        """Queue signals for `run` from now on."""
        self._wakeups = os.pipe()
        for descriptor in self._wakeups:
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wakeups[1], warn_on_full_buffer=False)
        caught = {*self._actions, *_IGNORED, signal.SIGCHLD}
        for number in caught:
            signal.signal(number, lambda _number, _frame: None)  # the number is in the pipe
        signal.pthread_sigmask(signal.SIG_UNBLOCK, caught)

    def run(self) -> int:
        """Supervise until a signal stops it. Return the exit status, or minus the signal to exit by.

        Workers never return from here: they exit.
        """
        systemd.notify("READY=1")
        try:
            while self._status is None:
                self._wait(self._balance())
                self._obey()
        except Exception as error:  # noqa: BLE001  (drain the workers after any error)
            report(_log, logging.ERROR, "supervisor failed", error=error)
            self._status = FAILED
        return self._drain()

    # --- Signals ---------------------------------------------------------------------------------

    def _obey(self) -> None:
        while self._signals and self._status is None:
            number = self._signals.popleft()
            if number != signal.SIGCHLD:  # `_wait` has reaped
                report(_log, logging.DEBUG, "signal received", signal=signal.Signals(number).name)
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
        """Replace all workers by workers with a new configuration, if that is valid."""
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
        """Start missing workers and drain surplus ones. Return the time of the next action.

        A worker with older settings drains once one with the latest settings is ready to replace it.
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
            report(_log, logging.ERROR, "worker failed to start", reason=str(error))
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
                report(_log, logging.ERROR, "admin process failed to start", reason=str(error))
                self._watch_admin_at = now + FIRST_PAUSE_SECONDS

    def _wait(self, until: float) -> None:
        """Wait for a signal, a heartbeat, a worker's deadline or a time, and process what happened."""
        until = min(until, *(each.deadline for each in self._workers.values()), _NEVER)
        poll = select.poll()
        for descriptor in (self._wakeups[0], *(each.fileno() for each in self._workers.values())):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        seconds = max(0.0, min(until - monotonic(), _LONGEST_WAIT_SECONDS))  # poll() waits for ever if it is negative
        found = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        now = monotonic()
        if now > until + _LATE_SECONDS:  # this process was suspended, and perhaps the workers too
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
        """Reap all exited children, including orphans that are reparented to process 1 of a container."""
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
            report(_log, logging.ERROR, "worker failed to boot")
            self._status = FAILED_TO_BOOT

    def _hold_back(self, now: float) -> None:
        """Delay the next start. Failures during the delay do not extend it."""
        if now >= self._start_at:
            self._pause_seconds = min(max(FIRST_PAUSE_SECONDS, self._pause_seconds * 2), LONGEST_PAUSE_SECONDS)
            self._start_at = now + self._pause_seconds

    # --- Shutdown --------------------------------------------------------------------------------

    def _drain(self) -> int:
        """Stop accepting, let replies finish, and return as `run` does. A second signal kills the workers at once."""
        if self._admin is not None:
            self._admin.board.set_draining()
        systemd.notify("STOPPING=1")
        if self._is_own and self._listener.fileno() >= 0:
            refuse_new(self._listener)
            wait_until_empty(self._listener)  # the workers still accept
            if is_anybody_waiting(self._listener):  # none of them is ready
                close_queued(self._listener)
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
        report(_log, logging.ERROR if status else logging.DEBUG, "supervisor exiting")
        return status

    def _kill_all(self) -> None:
        for worker in self._workers.values():
            worker.kill()
        last = monotonic() + MARGIN_SECONDS
        while self._workers and monotonic() < last:
            self._wait(last)


def _ignore() -> None:
    """Ignore a signal whose default action would end the process."""

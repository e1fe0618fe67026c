"""Supervise workers: keep their number, replace those that exit, reload without a gap, and drain on shutdown.

The supervisor serves no clients, keeps the privileges it was started with, and imports nothing that workers must
monkey-patch first. It sleeps in one place, `_wait`, until a signal, a heartbeat or a deadline. What fails in it, such
as a fork, is logged and tried again later, and ends no worker.
"""

import contextlib
import logging
import os
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from time import sleep
from typing import TYPE_CHECKING, Final, NoReturn

from greenserver.config.settings import Settings
from greenserver.net.accept_queue import close_queued, drop_new_connections, is_anybody_waiting, wait_until_empty
from greenserver.net.listening import close_listener
from greenserver.service import preflight, systemd
from greenserver.service.clock import TURN_SECONDS, RunningClock
from greenserver.service.pending_reload import PendingReload
from greenserver.service.preflight import Checked, Trial
from greenserver.service.reload import Reread, adjust_log, report_failed_reload, report_reload
from greenserver.service.worker import CANNOT_SERVE, FAILED_TO_BOOT, Worker
from greenserver.service.worker_watchdog import MARGIN_SECONDS, State, WorkerProcess, fork
from greenserver.telemetry.log import report

if TYPE_CHECKING:
    from greenserver.admin.process import Admin

_log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS: Final = 1.0
"""Delay before the next start after a failed one. It doubles with each failure, until a start succeeds."""

LONGEST_PAUSE_SECONDS: Final = 8.0

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
_IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
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
        self._clock = RunningClock()
        self._pending = PendingReload(self._clock, self._read_and_check)
        self._actions: dict[int, Callable[[], None]] = {
            signal.SIGHUP: self._pending.ask,
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
        while self._status is None:
            self._attempt(self._turn)
        return self._drain()

    def _turn(self) -> None:
        self._wait(self._balance())
        self._obey()

    def _attempt(self, action: Callable[[], object]) -> None:
        """Do something. Log what it raises, and pause: the workers go on serving after any error."""
        try:
            action()
        except Exception as error:  # noqa: BLE001  (as above)
            report(_log, logging.ERROR, "supervisor failed; retrying", error=error)
            sleep(FIRST_PAUSE_SECONDS)

    # --- Signals ---------------------------------------------------------------------------------

    def _obey(self) -> None:
        while self._signals and self._status is None:
            number = self._signals.popleft()
            if number != signal.SIGCHLD:  # `_wait` has reaped
                report(_log, logging.DEBUG, "signal received", signal=signal.Signals(number).name)
            if number in self._actions:
                self._actions[number]()

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

    # --- Reloads ---------------------------------------------------------------------------------

    def _read_and_check(self) -> Checked:
        """Try the configuration in this process, just forked. It may hang for long, and must hold no port."""
        for descriptor in (*self._descriptors(), self._listener.fileno()):
            os.close(descriptor)
        if self._admin is not None:
            self._admin.leave()
        return preflight.read_and_check(self._settings, self._reread)

    def _end_trial(self, trial: Trial[Checked]) -> None:
        """Replace all workers by workers with the new configuration, if that is valid."""
        try:
            settings, kept, findings = trial.result()
        except OSError as error:
            report_failed_reload(str(error))
            return
        adjust_log(settings)
        self._settings, self._count = settings, settings.workers
        self._generation += 1
        self._start_at = self._pause_seconds = 0.0
        report_reload(kept, findings)

    # --- Workers ---------------------------------------------------------------------------------

    def _balance(self) -> float:
        """Start missing workers and drain surplus ones. Return the time of the next action.

        A worker with older settings drains once one with the latest settings is ready to replace it.
        """
        now = self._clock.now
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
        if self._admin is not None:
            self._admin.watch()
        self._pending.begin_if_due()
        return min(self._start_at if now < self._start_at else _NEVER, self._pending.at)

    def _start_worker(self, now: float) -> None:
        supervisor = os.getpid()
        if self._admin is not None:
            self._admin.prepare()
        try:
            pid, beats = fork()
        except OSError as error:
            report(_log, logging.ERROR, "worker failed to start", reason=str(error))
            self._hold_back(now)
            return
        if not pid:
            self._become_worker(supervisor, beats)
        grace_seconds = self._settings.limits.grace_seconds
        self._workers[pid] = WorkerProcess(
            pid, beats, generation=self._generation, grace_seconds=grace_seconds, now=now
        )
        if self._admin is not None:
            self._admin.began(pid)

    def _become_worker(self, supervisor: int, beats: int) -> NoReturn:
        """Serve in this process, just forked, and exit."""
        try:
            for descriptor in self._descriptors():
                os.close(descriptor)
            Worker(self._settings, self._listener, self._admin, supervisor=supervisor, beats=beats).run()
        except Exception as error:  # noqa: BLE001  (it must not return into the loop of the supervisor)
            report(_log, logging.ERROR, "worker failed", error=error)
            sys.exit(FAILED_TO_BOOT)

    def _descriptors(self) -> list[int]:
        """Return the descriptors of this process that no worker needs."""
        beats = (each.fileno() for each in self._workers.values() if each.fileno() >= 0)
        return [*self._wakeups, *beats, *self._pending.filenos()]

    def _wait(self, until: float) -> None:
        """Wait for a signal, a heartbeat, a worker's deadline or a time, and process what happened.

        Return after `TURN_SECONDS` in any case.
        """
        until = min(until, *(each.deadline for each in self._workers.values()), _NEVER)
        poll = select.poll()
        for descriptor in (self._wakeups[0], *(each for each in self._descriptors() if each not in self._wakeups)):
            poll.register(descriptor, select.POLLIN)
        seconds = max(0.0, min(until - self._clock.now, TURN_SECONDS))  # poll() waits for ever if it is negative
        found = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        now = self._clock.turn()
        if self._wakeups[0] in found:
            self._signals.extend(os.read(self._wakeups[0], _WAKEUPS_BYTES))
        for worker in self._workers.values():
            if worker.fileno() in found and worker.receive_beat(now):
                self._was_ready, self._pause_seconds = True, 0.0
        if (trial := self._pending.receive()) is not None:
            self._end_trial(trial)
        self._reap(now)
        for worker in self._workers.values():
            worker.enforce(now)

    def _reap(self, now: float) -> None:
        """Reap all exited children, including orphans that are reparented to process 1 of a container."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                pid, status = ended
                self._pending.reaped(pid)
                if pid in self._workers:
                    self._part_with(self._workers.pop(pid), status, now)

    def _part_with(self, worker: WorkerProcess, status: int, now: float) -> None:
        before = worker.state
        code = worker.exited(status)
        if code == CANNOT_SERVE or (code and before is State.STARTING):
            self._hold_back(now)
        if code == FAILED_TO_BOOT and not self._was_ready and self._status is None:
            report(_log, logging.ERROR, "worker failed to boot")
            self._status = FAILED_TO_BOOT
        if self._admin is not None:
            self._admin.ended(worker.pid)

    def _hold_back(self, now: float) -> None:
        """Delay the next start. Failures during the delay do not extend it."""
        if now >= self._start_at:
            self._pause_seconds = min(max(FIRST_PAUSE_SECONDS, self._pause_seconds * 2), LONGEST_PAUSE_SECONDS)
            self._start_at = now + self._pause_seconds

    # --- Shutdown --------------------------------------------------------------------------------

    def _drain(self) -> int:
        """Stop accepting, let replies finish, and return as `run` does. A second signal kills the workers at once."""
        if self._admin is not None:
            self._admin.memory.set_draining()
        systemd.notify("STOPPING=1")
        self._pending.drop()
        self._attempt(self._close_listener)
        for worker in self._workers.values():
            worker.drain(self._clock.now)
        while not all(each.is_killed for each in self._workers.values()):
            self._attempt(partial(self._wait, _NEVER))
            while self._signals:
                number = self._signals.popleft()
                if number in _ENDING:
                    self._kill_all()
                    return -number
        self._kill_all()
        status = self._status or 0
        report(_log, logging.ERROR if status else logging.DEBUG, "supervisor exiting")
        return status

    def _close_listener(self) -> None:
        if self._is_own and self._listener.fileno() >= 0:
            drop_new_connections(self._listener)
            wait_until_empty(self._listener)  # the workers still accept
            if is_anybody_waiting(self._listener):  # none of them is ready
                close_queued(self._listener)
        close_listener(self._listener)

    def _kill_all(self) -> None:
        for worker in self._workers.values():
            worker.kill()
        last = self._clock.now + MARGIN_SECONDS
        while self._workers and self._clock.now < last:
            self._attempt(partial(self._wait, last))

"""Keeps so many workers: who crashes is replaced, who is old drains, and nobody else serves meanwhile.

Of gunicorn only the arbiter's loop is used, which forks, reaps and counts; its HTTP, sockets, logs, files and
control socket are not. The arbiter serves nobody, keeps the rights it was started with, and imports nothing that a
worker must find unpatched.
"""

import contextlib
import dataclasses
import logging
import os
import signal
import socket
import sys
import time
from queue import Empty
from typing import Final, NoReturn

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]  # it has none
from gunicorn.config import Config  # type: ignore[import-untyped]  # it has none

from greenserver.admin.process import Admin
from greenserver.config.settings import ConfigurationError, Settings, kept_until_restart
from greenserver.net.drain import close_queued, is_anybody_waiting, refuse_new, wait_until_empty
from greenserver.net.listening import close_listener
from greenserver.service import privileges, systemd
from greenserver.service.reload import Reread, adjust_log, report_refusal, report_reload
from greenserver.service.worker import ARBITER_SIGNALS, HELD_SIGNALS, MARGIN_SECONDS, Worker
from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)

_STUCK_SECONDS: Final = 60
"""A worker whose loop does not turn for so long is killed and replaced; a turn takes milliseconds."""

_LOOK_SECONDS: Final = 0.05


class Service:
    """What gunicorn calls an application: the settings that the next worker will serve by."""

    def __init__(self, settings: Settings, reread: Reread, admin: Admin | None) -> None:
        self.settings = settings
        self.reread = reread
        self.admin = admin
        self.cfg = self._configure()

    def take(self, settings: Settings) -> None:
        """Let the next workers serve by other settings."""
        self.settings = settings
        self.cfg = self._configure()

    def _configure(self) -> Config:
        config = Config()
        identity = privileges.find(self.settings)
        for name, value in {
            "workers": self.settings.workers,
            "worker_class": Worker,
            "logger_class": _ArbiterLog,
            "timeout": _STUCK_SECONDS,
            "control_socket_disable": True,
            "proc_name": "greenserver",
        }.items():
            config.set(name, value)
        if identity is not None:
            config.set("user", identity.user)
            config.set("group", identity.group)
        return config


class _ArbiterLog:
    """What gunicorn logs with: its chatter is for debugging, its warnings are an operator's."""

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg

    def setup(self, cfg: Config) -> None:
        self.cfg = cfg

    def debug(self, *_: object, **__: object) -> None:
        """Say nothing: what there is to know is logged here in the server's own form."""

    def info(self, text: object, *values: object, **_: object) -> None:
        report(_log, logging.DEBUG, _fill(text, values))

    def warning(self, text: object, *values: object, **_: object) -> None:
        report(_log, logging.WARNING, _fill(text, values))

    def error(self, text: object, *values: object, exc_info: object = None, **_: object) -> None:
        report(_log, logging.ERROR, _fill(text, values), error=sys.exc_info()[1] if exc_info else None)

    critical = error

    def exception(self, text: object, *values: object, **_: object) -> None:
        self.error(text, *values, exc_info=True)

    def reopen_files(self) -> None:
        """Have no files to reopen."""

    close_on_exec = reopen_files


def _fill(text: object, values: tuple[object, ...]) -> str:
    return " ".join((str(text) % values if values else str(text)).split())


class Overseer(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """The arbiter: keeps so many workers, replaces them on SIGHUP, ends them on SIGTERM or SIGINT."""

    SIGNALS = ARBITER_SIGNALS

    def __init__(self, service: Service, listener: socket.socket, *, is_own: bool) -> None:
        super().__init__(service)
        self.LISTENERS = [listener]
        self.WORKERS: dict[int, Worker] = {}
        self.pid = os.getpid()
        self._is_own = is_own

    # --- What gunicorn does otherwise ------------------------------------------------------------

    def start(self) -> None:
        """Begin: all is open, and the signals are listened to already."""
        systemd.notify("READY=1")

    def _start_control_server(self) -> None:
        """Have none."""

    _stop_control_server = _start_control_server

    def handle_usr1(self) -> None:
        """Ignore it: no files to reopen."""

    handle_usr2 = handle_winch = handle_usr1

    def handle_int(self) -> None:
        """Stop like SIGTERM does."""
        self.handle_term()

    def handle_quit(self) -> None:
        """Stop at once."""
        self._kill_all()
        raise StopIteration

    def handle_hup(self) -> None:
        """Replace all workers by such of a new configuration, if that is good."""
        service = self.app
        try:
            settings, kept = kept_until_restart(service.settings, service.reread())
            if not settings.workers:
                settings, kept = dataclasses.replace(settings, workers=service.settings.workers), [*kept, "workers"]
        except (ConfigurationError, OSError) as error:
            report_refusal(str(error))
            return
        problem = try_out(settings)
        if problem:
            report_refusal(problem)
            return
        adjust_log(settings)
        service.take(settings)
        self.setup(service)
        old = self._serving()
        for _ in range(self.num_workers):
            self.spawn_worker()
        for worker in old:
            self.kill_worker(worker.pid, signal.SIGTERM)
        report_reload(kept)

    def manage_workers(self) -> None:
        """Keep so many that are not on their way out, and nobody longer than its grace."""
        serving = self._serving()
        for _ in range(self.num_workers - len(serving)):
            self.spawn_worker()
        for worker in serving[: max(0, len(serving) - self.num_workers)]:
            self.kill_worker(worker.pid, signal.SIGTERM)
        now = time.monotonic()
        for pid, worker in tuple(self.WORKERS.items()):
            if worker.last_moment < now:
                report(_log, logging.ERROR, "a worker that does not end is killed", process=pid)
                self.kill_worker(pid, signal.SIGKILL)
        if self.app.admin is not None:
            self.app.admin.watch()

    def spawn_worker(self) -> None:
        """Start one more worker; it hears signals from its very beginning."""
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)  # the worker unblocks it when it obeys
        super().spawn_worker()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)

    def spawn_workers(self) -> None:
        """Start as many as are missing."""
        self.manage_workers()

    def kill_worker(self, pid: int, number: int) -> None:
        """Send a signal; that to drain only once, for the second would be one too many."""
        worker = self.WORKERS.get(pid)
        if worker is not None and number == signal.SIGTERM:
            if worker.is_retired:
                return
            worker.retire()
        super().kill_worker(pid, number)

    def reap_workers(self) -> None:
        """Take note of who has ended, and add its numbers to those of the dead."""
        before = set(self.WORKERS)
        super().reap_workers()
        for pid in before - set(self.WORKERS):
            report(_log, logging.DEBUG, "a worker has ended", process=pid)
            if self.app.admin is not None:
                self.app.admin.board.bury(pid)

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002  (as it is inherited)
        """Let nobody new in, let the replies under way finish, and end; a second signal ends it at once."""
        del graceful
        if self.app.admin is not None:
            self.app.admin.board.set_draining()
        systemd.notify("STOPPING=1")
        if self._is_own and self.WORKERS:
            for listener in self.LISTENERS:
                refuse_new(listener)
                wait_until_empty(listener)  # the workers still accept
                if is_anybody_waiting(listener):  # none of them is ready
                    close_queued(listener)
        for listener in self.LISTENERS:
            close_listener(listener)
        self.LISTENERS = []
        self.kill_workers(signal.SIGTERM)
        last = time.monotonic() + self.app.settings.limits.grace_seconds + MARGIN_SECONDS
        while self.WORKERS and time.monotonic() < last:
            self.reap_workers()
            with contextlib.suppress(Empty):
                number = self.SIG_QUEUE.get(timeout=_LOOK_SECONDS)
                if number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
                    self._kill_all()
                    if self.app.admin is not None:
                        self.app.admin.__exit__(None, None, None)
                    signal.signal(number, signal.SIG_DFL)
                    os.kill(os.getpid(), number)
        self._kill_all()

    # --- Steps of that ---------------------------------------------------------------------------

    def _serving(self) -> "list[Worker]":
        return sorted((each for each in self.WORKERS.values() if not each.is_retired), key=lambda each: each.age)

    def _kill_all(self) -> None:
        self.kill_workers(signal.SIGKILL)
        last = time.monotonic() + MARGIN_SECONDS
        while self.WORKERS and time.monotonic() < last:
            self.reap_workers()
            time.sleep(_LOOK_SECONDS)


def try_out(settings: Settings) -> str:
    """Return what is wrong with settings; nothing if all is well.

    It is tried in a process of its own, for it imports what a worker must find unpatched.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _tell_problem(settings, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        problem = answer.read().decode()
    os.waitpid(child, 0)
    return problem


def _tell_problem(settings: Settings, writer: int) -> NoReturn:
    try:
        from greenserver.service import process  # noqa: PLC0415  (only here)

        process.check(settings)
    except Exception as error:  # noqa: BLE001  (whatever it is, the arbiter must hear of it)
        os.write(writer, (str(error) or repr(error)).encode())
    finally:
        os._exit(0)

"""A worker: one of several processes that serve a shared listener, monkey-patched only after its fork."""

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from greenserver.monkeypatch import patch_for
from greenserver.net.listening import close_listener
from greenserver.service import privileges
from greenserver.service.reload import configure_log
from greenserver.telemetry.log import report
from greenserver.telemetry.uncaught import log_uncaught

if TYPE_CHECKING:
    from greenserver.admin.process import Admin
    from greenserver.config.settings import Settings
    from greenserver.server import Server

_log = logging.getLogger(__name__)

CANNOT_SERVE: Final = 1
"""Exit status of a worker that cannot serve for an external reason. A later worker may succeed."""

FAILED_TO_BOOT: Final = 3
"""Exit status after an unexpected exception before serving."""

FAILED: Final = 255
"""Exit status after an unexpected exception while serving."""

_BEAT: Final = b"."
_CLOSE_SECONDS: Final = 0.1  # for the engine to close the listener; one that serves one client at a time does so later

_IGNORED: Final = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTTIN, signal.SIGTTOU),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH),
)
"""Signals of a terminal or of systemd to the whole group: the supervisor obeys them."""


class Worker:
    """Serves in this process, just forked by the supervisor.

    About once a second the loop of the engine writes a heartbeat to a pipe, whatever the engine.
    """

    def __init__(
        self, settings: "Settings", listener: socket.socket, admin: "Admin | None", *, supervisor: int, beats: int
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._admin = admin
        self._supervisor = supervisor
        self._beats = beats
        self._stop_asked = False
        self._is_ready = False
        self._server: Server | None = None

    def run(self) -> NoReturn:
        """Serve until SIGTERM, then exit. Log what prevents serving."""
        # Never ignore SIGTERM, not even briefly: that would discard one that is pending since the fork.
        signal.signal(signal.SIGTERM, self._stop)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        report(_log, logging.DEBUG, "worker started", process=os.getpid())
        try:
            if self._admin is not None:
                self._admin.leave()
            patch_for(self._settings.engine)
            configure_log(self._settings)
            log_uncaught()
            self._serve()
        except (MemoryError, OSError, RuntimeError, ValueError) as error:
            report(_log, logging.ERROR, "worker cannot serve", reason=str(error) or repr(error))
            sys.exit(CANNOT_SERVE)
        except Exception as error:  # noqa: BLE001  (the child must not continue in the supervisor's loop)
            report(_log, logging.ERROR, "worker failed", error=error)
            sys.exit(FAILED if self._is_ready else FAILED_TO_BOOT)
        finally:
            report(_log, logging.DEBUG, "worker exiting", process=os.getpid())
        sys.exit(0)

    def _serve(self) -> None:
        from greenserver.service import process  # noqa: PLC0415  (imports sockets, which must be patched first)
        from greenserver.service.heartbeat import start_heartbeat  # noqa: PLC0415  (as above)
        from greenserver.telemetry.metrics_interface import SILENT  # noqa: PLC0415  (as above)

        settings = self._settings
        # The listener is a socket of the unpatched module. Move its descriptor to a socket of the patched one.
        self._listener = listener = socket.socket(fileno=self._listener.detach())
        listener.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
        os.set_blocking(self._beats, False)
        metrics = SILENT if self._admin is None else self._admin.metrics()
        with process.make_server(settings, listener, metrics) as server:
            privileges.drop(settings)
            self._server = server
            signal.set_wakeup_fd(server.wakeup_fileno(), warn_on_full_buffer=False)
            server.on_wakeup(self._beat)
            start_heartbeat(self._wake, self._check_supervisor, metrics.loop_lag)
            if self._admin is not None:
                self._admin.memory.set_serving()
            if self._stop_asked:
                server.stop()
            self._is_ready = True
            self._beat()
            server.serve()

    def _wake(self, _lag_seconds: float) -> None:
        """Make the engine's loop send a heartbeat, if it is not stuck."""
        if self._server is not None:
            self._server.wake()

    def _beat(self) -> None:
        with contextlib.suppress(OSError):  # the supervisor does not read, or is gone
            os.write(self._beats, _BEAT)

    def _check_supervisor(self, _lag_seconds: float) -> None:
        if os.getppid() != self._supervisor and not self._stop_asked:
            self._leave()

    def _leave(self) -> None:
        """Stop, now that the supervisor is gone, and let another server listen soon."""
        report(_log, logging.ERROR, "supervisor is gone; worker exiting")
        self._stop(signal.SIGTERM, None)
        time.sleep(_CLOSE_SECONDS)  # the patched one
        close_listener(self._listener)  # does nothing if the engine has closed it

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_asked = True
        if self._server is not None:
            self._server.stop()

"""One process of several that serve on one listener: forked by the supervisor, patched only after that."""

import contextlib
import logging
import os
import signal
import socket
import sys
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from greenserver.logs import report
from greenserver.operation import privileges
from greenserver.operation.notices import configure_log
from greenserver.patching import patch_for

if TYPE_CHECKING:
    from greenserver.configuration import Settings
    from greenserver.operation.admin import Admin
    from greenserver.server import Server

_log = logging.getLogger(__name__)

CANNOT_SERVE: Final = 1
"""Exit status: cannot serve, for a reason outside of the program; another try may succeed."""

FAILED_TO_BOOT: Final = 3
"""Exit status: an unexpected exception before it was ready."""

FAILED: Final = 255
"""Exit status: an unexpected exception while it served."""

_BEAT: Final = b"."

_IGNORED: Final = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTTIN, signal.SIGTTOU),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH),
)
"""Signals of a terminal or of systemd to the whole group: the supervisor obeys them."""


class Worker:
    """Serves in this process, which the supervisor has just forked, and writes a beat to a pipe each second."""

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
        """Serve until SIGTERM, then exit; what keeps it from serving is logged."""
        # Never ignored, not even for a moment: that would discard the one that may have come since the fork.
        signal.signal(signal.SIGTERM, self._stop)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        report(_log, logging.DEBUG, f"Booting worker with pid: {os.getpid()}")
        try:
            patch_for(self._settings.engine)
            configure_log(self._settings)
            self._serve()
        except (OSError, RuntimeError, ValueError) as error:
            report(_log, logging.ERROR, "a worker cannot serve", reason=str(error))
            sys.exit(CANNOT_SERVE)
        except Exception as error:  # noqa: BLE001  (the supervisor's loop, in which this was forked, must not go on here)
            report(_log, logging.ERROR, "Exception in worker process", error=error)
            sys.exit(FAILED if self._is_ready else FAILED_TO_BOOT)
        finally:
            report(_log, logging.DEBUG, f"Worker exiting (pid: {os.getpid()})")
        sys.exit(0)

    def _serve(self) -> None:
        from greenserver.meter import SILENT  # noqa: PLC0415  (what it imports must find the sockets patched)
        from greenserver.operation import process  # noqa: PLC0415  (the same)
        from greenserver.operation.admin import load_meter  # noqa: PLC0415  (the same)
        from greenserver.operation.heartbeat import start_heartbeat  # noqa: PLC0415  (the same)

        settings = self._settings
        # The listener was made by the unpatched module: the same descriptor in a socket of this one's.
        listener = socket.socket(fileno=self._listener.detach())
        listener.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
        meter = SILENT if self._admin is None else load_meter()
        with process.make_server(settings, listener, meter) as server:
            privileges.drop(settings)
            self._server = server
            signal.set_wakeup_fd(server.wakeup_fileno(), warn_on_full_buffer=False)
            beats = [self._beat] if self._admin is None else [self._beat, meter.beat]
            start_heartbeat(*beats)
            if self._admin is not None:
                self._admin.board.set_serving()
            if self._stop_asked:
                server.stop()
            self._is_ready = True
            self._beat()
            server.serve()

    def _beat(self, _lag_seconds: float = 0.0) -> None:
        with contextlib.suppress(OSError):  # a supervisor that does not read, or is gone
            os.write(self._beats, _BEAT)
        if os.getppid() != self._supervisor and not self._stop_asked:
            report(_log, logging.ERROR, "the arbiter is gone: this worker ends")
            self._stop(signal.SIGTERM, None)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_asked = True
        if self._server is not None:
            self._server.stop()

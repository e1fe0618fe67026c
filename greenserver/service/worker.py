"""One process of several that serve on one listener: begun by the arbiter's fork, patched only after it."""

import logging
import os
import signal
import socket
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Final, Protocol

from gunicorn.config import Config  # type: ignore[import-untyped]  # it has none
from gunicorn.workers.workertmp import WorkerTmp  # type: ignore[import-untyped]  # it has none

from greenserver.monkeypatch import patch_for
from greenserver.service import privileges
from greenserver.service.reload import configure_log
from greenserver.telemetry.log import report

if TYPE_CHECKING:
    from greenserver.admin.process import Admin
    from greenserver.config.settings import Settings
    from greenserver.server import Server

_log = logging.getLogger(__name__)

MARGIN_SECONDS: Final = 5.0
"""How long after its grace a worker that was told to go may still be there, before it is killed."""

_RETRY_SECONDS: Final = 1.0
"""How long a worker that cannot begin waits before it ends and another one tries."""

HELD_SIGNALS: Final = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGTERM})
"""Signals that a process holds back until it can obey them."""

ARBITER_SIGNALS: Final = (
    *(signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGTERM),
    *(signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH),
)


class Service(Protocol):
    """What a worker is told before the fork."""

    settings: "Settings"
    admin: "Admin | None"


class Worker:
    """One process that serves; made before the fork, begun after it."""

    def __init__(
        self,
        age: int,
        ppid: int,
        sockets: list[socket.socket],
        app: Service,
        _timeout: float,
        cfg: Config,
        _log: object,
    ) -> None:
        self.age = age
        self.pid = 0
        self.booted = self.aborted = False
        self.tmp = WorkerTmp(cfg)  # how the arbiter sees its heart beat
        self.last_moment = float("inf")
        self._arbiter = ppid
        self._listener = sockets[0]
        self._settings = app.settings
        self._admin = app.admin

    @property
    def is_retired(self) -> bool:
        """Whether it was told to drain."""
        return self.last_moment < float("inf")

    def retire(self) -> None:
        """Take note that it was told to drain."""
        self.last_moment = time.monotonic() + self._settings.limits.grace_seconds + MARGIN_SECONDS

    def init_process(self) -> None:
        """Serve until SIGTERM; what goes wrong before is logged, and the next worker tries again."""
        self._stop_asked = False
        self._server: Server | None = None
        # Never ignored, not even for a moment: that would discard the one that may have come since the fork.
        signal.signal(signal.SIGTERM, self._stop)
        for number in set(ARBITER_SIGNALS) - {signal.SIGTERM}:
            signal.signal(number, signal.SIG_IGN)  # the terminal's and systemd's are for the arbiter
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
        try:
            patch_for(self._settings.engine)
            configure_log(self._settings)
            self._serve()
        except (OSError, RuntimeError, ValueError) as error:
            report(_log, logging.ERROR, "a worker cannot serve", reason=str(error))
            time.sleep(_RETRY_SECONDS)
            sys.exit(1)

    def _serve(self) -> None:
        from greenserver.admin.process import load_metrics  # noqa: PLC0415  (the same)
        from greenserver.service import process  # noqa: PLC0415  (the same)
        from greenserver.service.heartbeat import start_heartbeat  # noqa: PLC0415  (the same)
        from greenserver.telemetry.metrics import SILENT  # noqa: PLC0415  (what it imports must find the sockets patched)

        settings = self._settings
        # The listener was made by the unpatched module: the same descriptor in a socket of this one's.
        listener = socket.socket(fileno=self._listener.detach())
        listener.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
        meter = SILENT if self._admin is None else load_metrics()
        with process.make_server(settings, listener, meter) as server:
            privileges.drop(settings)
            self._server = server
            signal.set_wakeup_fd(server.wakeup_fileno(), warn_on_full_buffer=False)
            self.booted = True
            self.tmp.notify()
            beats = [self._beat] if self._admin is None else [self._beat, meter.beat]
            start_heartbeat(*beats)
            if self._admin is not None:
                self._admin.board.set_serving()
            if self._stop_asked:
                server.stop()
            server.serve()

    def _beat(self, _lag_seconds: float) -> None:
        self.tmp.notify()
        if os.getppid() != self._arbiter and not self._stop_asked:
            report(_log, logging.ERROR, "the arbiter is gone: this worker ends")
            self._stop(signal.SIGTERM, None)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_asked = True
        if self._server is not None:
            self._server.stop()

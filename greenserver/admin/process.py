"""Has a process of its own answer /metrics, /healthz and /readyz: it answers however busy the server is."""

import logging
import os
import subprocess
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from greenserver.admin.state_directory import StateDirectory
from greenserver.config.addresses import describe
from greenserver.net.listening import open_listener
from greenserver.telemetry.log import report

if TYPE_CHECKING:
    from typing_extensions import Self

    from greenserver.admin.metrics import PrometheusMetrics

_log = logging.getLogger(__name__)


class Admin:
    """The process that answers at an address, and the board that it reads.

    Entering raises OSError with a message for people if the address cannot be had.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._user_and_group: tuple[int, int] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.board = StateDirectory()

    def __enter__(self) -> "Self":
        self._owner = os.getpid()
        self._listener = open_listener(*self._address)
        try:
            self.board.__enter__()
        except BaseException:
            self._listener.close()
            raise
        report(_log, logging.INFO, "admin endpoint listening", address=describe(*self._listener.getsockname()[:2]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._owner:  # a process that this one has forked
            return
        self._listener.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.board.__exit__(kind, error, trace)

    def give_to(self, user: int, group: int) -> None:
        """Let the process run as another user, whom the state directory then belongs to; only root can."""
        if os.geteuid() == 0:
            self._user_and_group = user, group
            self.board.give_to(user, group)

    def begin(self) -> None:
        """Start to answer; again, if the process has ended."""
        user, group = self._user_and_group or (None, None)
        self._process = subprocess.Popen(  # noqa: S603  (this interpreter, no shell)
            [
                *(sys.executable, "-m", "greenserver.admin.http"),
                *(str(self._listener.fileno()), str(self.board.directory), str(os.getpid())),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(self._listener.fileno(),),
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            start_new_session=True,  # a terminal's Ctrl-C is for the server, which then ends this one last
        )

    def watch(self, _lag_seconds: float = 0.0) -> None:
        """Start the process again if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            report(_log, logging.ERROR, "admin process exited; restarting it")
            self.begin()


def load_metrics() -> "PrometheusMetrics":
    """Return what counts on the board of this process."""
    from greenserver.admin.metrics import PrometheusMetrics  # noqa: PLC0415  (after the board has said where)

    return PrometheusMetrics()

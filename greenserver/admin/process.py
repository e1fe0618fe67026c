"""Run the admin endpoint in a separate process, so that it answers however busy the server is."""

import logging
import os
import subprocess
from types import TracebackType
from typing import TYPE_CHECKING

from greenserver.admin.state_directory import StateDirectory
from greenserver.io.import_path import isolated_command
from greenserver.net.listening import describe_peer, open_listener
from greenserver.telemetry.log import report

if TYPE_CHECKING:
    from typing_extensions import Self

    from greenserver.admin.metrics import PrometheusMetrics

_log = logging.getLogger(__name__)


class Admin:
    """The process of the admin endpoint, its listener and the state directory that it reads.

    Entering raises OSError with a readable message if the address cannot be listened on.
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
        report(_log, logging.INFO, "admin endpoint listening", address=describe_peer(self._listener.getsockname()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._owner:  # a forked child
            return
        self._listener.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.board.__exit__(kind, error, trace)

    def give_to(self, user: int, group: int) -> None:
        """Run the process as another user, who also owns the state directory. Do nothing unless this one is root."""
        if os.geteuid() == 0:
            self._user_and_group = user, group
            self.board.give_to(user, group)

    def begin(self) -> None:
        """Start the process, or start it again after it has exited."""
        user, group = self._user_and_group or (None, None)
        self._process = subprocess.Popen(  # noqa: S603  (this interpreter, no shell)
            isolated_command(
                "greenserver.admin.http", str(self._listener.fileno()), str(self.board.directory), str(os.getpid())
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(self._listener.fileno(),),
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            start_new_session=True,  # Ctrl-C in a terminal is for the server, which kills this process last
        )

    def watch(self, _lag_seconds: float = 0.0) -> None:
        """Restart the process if it has exited."""
        if self._process is not None and self._process.poll() is not None:
            report(_log, logging.ERROR, "admin process exited; restarting it")
            self.begin()


def load_metrics() -> "PrometheusMetrics":
    """Return the metrics of this process, kept in the state directory."""
    from greenserver.admin.metrics import PrometheusMetrics  # noqa: PLC0415  (the state directory must be set first)

    return PrometheusMetrics()

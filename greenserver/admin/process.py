"""Run the admin endpoint in a separate process, so that it answers however busy the server is."""

import contextlib
import logging
import os
import subprocess
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Final

from greenserver.admin.shared_memory import SharedMemory
from greenserver.admin.shared_metrics import SharedMetrics, is_kept
from greenserver.io.import_path import isolated_command
from greenserver.net.listening import describe_peer, open_listener
from greenserver.telemetry.log import report
from greenserver.telemetry.metrics_interface import SILENT, Metrics

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger(__name__)

RESTART_SECONDS: Final = 1.0
"""The least time between two starts of the process."""

_END_SECONDS: Final = 5.0


class Admin:
    """The process of the admin endpoint, its listener, and the memory that the server shares with it.

    Entering raises OSError with a readable message if the address cannot be listened on. Later nothing raises: a
    server serves without its metrics, too.
    """

    def __init__(self, address: tuple[str, int], log_format: str) -> None:
        self._address = address
        self._log_format = log_format
        self._user_and_group: tuple[int, int] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at = 0.0
        self._next_page: int | None = None
        self._pages: dict[int, int] = {}
        self._ended_pages: list[int] = []

    def __enter__(self) -> "Self":
        self._owner = os.getpid()
        self._listener = open_listener(*self._address)
        try:
            self.memory = SharedMemory()
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
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        self.memory.close()

    # --- The process -----------------------------------------------------------------------------

    def give_to(self, user: int, group: int) -> None:
        """Run the process as another user. Do nothing unless this one is root."""
        if os.geteuid() == 0:
            self._user_and_group = user, group

    def watch(self, _lag_seconds: float = 0.0) -> None:
        """Start the process, unless it runs. Log what fails, and try again after `RESTART_SECONDS` in later calls."""
        self._release_pages()
        if (self._process is not None and self._process.poll() is None) or monotonic() < self._start_at:
            return
        self._start_at = monotonic() + RESTART_SECONDS
        if self._process is not None:
            report(_log, logging.ERROR, "admin process exited; restarting it")
        try:
            self._start()
        except (OSError, subprocess.SubprocessError, MemoryError) as error:
            report(_log, logging.ERROR, "admin process failed to start", reason=str(error))

    def _start(self) -> None:
        user, group = self._user_and_group or (None, None)
        descriptors = self._listener.fileno(), self.memory.fileno()
        self._process = subprocess.Popen(  # noqa: S603  (this interpreter, no shell)
            isolated_command("greenserver.admin.http", *map(str, descriptors), str(os.getpid()), self._log_format),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=descriptors,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            start_new_session=True,  # Ctrl-C in a terminal is for the server, which kills this process last
        )

    # --- Metrics ---------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Reserve space for the metrics of a process that is about to begin."""
        if self._next_page is None:
            try:
                self._next_page = self.memory.allot()
            except OSError as error:
                report(_log, logging.ERROR, "no memory for metrics; serving without", reason=error.strerror)

    def leave(self) -> None:
        """Close in a forked child what only the first process needs."""
        self._listener.close()

    def metrics(self) -> Metrics:
        """Return the metrics of this process, for which `prepare` has reserved space."""
        if self._next_page is None:
            return SILENT
        try:
            return SharedMetrics(self.memory.open(self._next_page))
        except (OSError, MemoryError) as error:
            report(_log, logging.ERROR, "no memory for metrics; serving without", reason=str(error))
            return SILENT

    def began(self, process: int) -> None:
        """Record which process has begun with what `prepare` has made."""
        if self._next_page is not None:
            self._pages[process], self._next_page = self._next_page, None

    def ended(self, process: int) -> None:
        """Add what a process has counted to what all others have that have ended."""
        if process in self._pages:
            self._ended_pages.append(self._pages.pop(process))
            self._release_pages()

    def _release_pages(self) -> None:
        with contextlib.suppress(OSError, MemoryError):  # there is none now: try again later
            while self._ended_pages:
                self.memory.release(self._ended_pages[-1], is_kept)
                self._ended_pages.pop()

"""The access log: report what happens on one connection to the log and the metrics."""

import logging
from time import monotonic

from greenserver.telemetry.log import report, shown
from greenserver.telemetry.metrics_interface import SILENT, Metrics
from greenserver.telemetry.shortage import is_shortage, report_plenty, report_shortage

_log = logging.getLogger(__name__)


class AccessLog:
    """Logs and counts the events of one connection."""

    __slots__ = ("_began", "_commands", "_metrics", "client", "is_wanted")

    def __init__(self, client: str, metrics: Metrics) -> None:
        self.client = client
        self.is_wanted = metrics is not SILENT or _log.isEnabledFor(logging.INFO)
        """Whether the log or the metrics need every command and every byte."""
        self._began = monotonic()
        self._commands = 0
        self._metrics = metrics

    def connected(self) -> None:
        """Record that the connection is now served."""
        report_plenty()
        self._metrics.connected()
        report(_log, logging.INFO, "connected", client=self.client)

    def received(self, count: int) -> None:
        """Record received bytes."""
        self._metrics.received(count)

    def answered(self, line: bytes, command: str, status: int, size: int, seconds: float) -> None:
        """Record a command line, its command's name, the size of its reply in bytes and how long it took."""
        self._commands += 1
        self._metrics.command(command, status, size, seconds)
        facts = {"client": self.client, "command": shown(line), "status": int(status), "bytes": size}
        report(_log, logging.INFO, "command", error=None, **facts, milliseconds=round(seconds * 1000, 3))

    def failed(self, line: bytes, error: Exception) -> None:
        """Record a command that failed in the server; with its traceback, unless the system refused something."""
        facts = {"client": self.client, "command": shown(line)}
        if is_shortage(error):
            report_shortage("command", **facts)
        elif isinstance(error, OSError):
            report(_log, logging.ERROR, "command failed", error=None, **facts, reason=error.strerror or str(error))
        else:
            report(_log, logging.ERROR, "command failed", error=error, **facts)

    def cut(self, position: int, cause: BaseException | None) -> None:
        """Record a reply that was aborted, after `position` bytes of its body."""
        if is_shortage(cause):
            report_shortage("reply", client=self.client, position=position)
        else:
            report(_log, logging.ERROR, "reply aborted", client=self.client, position=position, error=cause)

    def crashed(self, error: Exception) -> None:
        """Record an unexpected exception, which ends the connection."""
        if is_shortage(error):
            report_shortage("connection", client=self.client)
        else:
            report(_log, logging.ERROR, "connection failed", client=self.client, error=error)

    def stalled(self, limit: str) -> None:
        """Record which limit the client was too slow for."""
        self._metrics.stalled(limit)

    def disconnected(self, outcome: str, limit: str) -> None:
        """Record how the connection ended and, if a limit was the cause, which."""
        seconds = monotonic() - self._began
        self._metrics.disconnected(outcome, seconds)
        cause = {"outcome": outcome, **({"limit": limit} if limit else {})}
        facts = {"client": self.client, **cause, "commands": self._commands, "seconds": round(seconds, 3)}
        report(_log, logging.INFO, "disconnected", error=None, **facts)

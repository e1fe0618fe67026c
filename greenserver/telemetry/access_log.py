"""The access log: report what happens on one connection to the log and the metrics."""

import contextlib
import logging
from collections.abc import Mapping
from time import monotonic
from typing import Final, Protocol

from greenserver.config import limits
from greenserver.telemetry.client_names import network
from greenserver.telemetry.line_limiter import LineLimiter
from greenserver.telemetry.log import report, shown
from greenserver.telemetry.metrics_interface import SILENT, Metrics
from greenserver.telemetry.shortage import is_shortage, report_plenty, report_shortage

_log = logging.getLogger(__name__)

COMMANDS: Final = "commands"
"""Log each connection and each command."""

DOWNLOADS: Final = "downloads"
"""Log a line for each file that a client downloads, however many slices that takes."""

NONE: Final = "none"
"""Log no accesses."""

CONTENTS: Final = (COMMANDS, DOWNLOADS, NONE)


class Target(Protocol):
    """The file that a request names and, if it asks for a part of it, which."""

    @property
    def file(self) -> str:
        """Its name."""

    @property
    def offset(self) -> int | None:
        """Where the part begins."""

    @property
    def size(self) -> int | None:
        """The length of the part."""


class Request(Protocol):
    """A parsed command line."""

    @property
    def line(self) -> bytes:
        """As received."""

    @property
    def command(self) -> str:
        """The command's name; "" if there is no such command."""

    @property
    def target(self) -> Target | None:
        """The file that it names, if it names one."""


class AccessLog:
    """Logs and counts the events of one connection.

    `content` is one of `CONTENTS`. Past `rate` lines per second and client the `limiter` leaves lines out; 0: never.
    """

    __slots__ = (
        *("_began", "_commands", "_content", "_download", "_facts", "_limiter", "_metrics", "_network", "_rate"),
        *("client", "is_wanted"),
    )

    def __init__(
        self,
        client: str,
        metrics: Metrics = SILENT,
        *,
        content: str = COMMANDS,
        limiter: LineLimiter | None = None,
        rate: int = 0,
    ) -> None:
        self.client = client
        self.is_wanted = metrics is not SILENT or (content != NONE and _log.isEnabledFor(logging.INFO))
        """Whether the log or the metrics need every command and every byte."""
        self._facts: dict[str, object] = {"client": client}
        self._network = ""
        self._began = monotonic()
        self._commands = 0
        self._download: _Download | None = None
        self._metrics = metrics
        self._content = content
        self._limiter = limiter
        self._rate = rate

    def identify(self, client: str, secured: Mapping[str, str]) -> None:
        """Name the client, whom a proxy may have told, and what is known of its TLS connection."""
        proxied = {} if client == self.client else {"proxy": self.client}
        self._facts = {"client": client, **proxied, **secured}
        self.client, self._network = client, ""

    def connected(self) -> None:
        """Record that the connection is now served."""
        report_plenty()
        self._metrics.connected()
        if self._content == COMMANDS:
            self._report(logging.INFO, "connected")

    def rejected(self, kind: str, reason: str) -> None:
        """Record a handshake that failed."""
        self._report(logging.INFO, "connection rejected", reason=reason, kind=kind)

    def received(self, count: int) -> None:
        """Record received bytes."""
        self._metrics.received(count)

    def answered(self, request: Request, status: int, size: int, seconds: float, *, is_complete: bool = True) -> None:
        """Record an answered command, the size of its reply in bytes, how long it took, and whether all was sent."""
        target = request.target
        self._commands += 1
        self._metrics.command(request.command, status, size, seconds)
        if self._content == COMMANDS:
            facts = {"command": shown(request.line), **_facts_of(target), "status": int(status), "bytes": size}
            cut = {} if is_complete else {"complete": False}
            self._report(logging.INFO, "command", **facts, milliseconds=round(seconds * 1000, 3), **cut)
        elif self._content == DOWNLOADS and not status and target is not None and target.offset is not None:
            now = monotonic()
            if self._download is None or not self._download.continues_with(target):
                self._end_download(0, {})
                self._download = _Download(target, now - seconds)
            self._download.add(target, size, now, is_complete=is_complete)

    def failed(self, line: bytes, error: Exception) -> None:
        """Record a command that failed in the server; with its traceback, unless the system refused something."""
        if is_shortage(error):
            report_shortage("command", client=self.client, command=shown(line))
        elif isinstance(error, OSError):
            self._report(logging.ERROR, "command failed", command=shown(line), reason=error.strerror or str(error))
        else:
            self._report(logging.ERROR, "command failed", error, command=shown(line))

    def cut(self, position: int, cause: BaseException | None) -> None:
        """Record a reply that was aborted, after `position` bytes of its body."""
        if is_shortage(cause):
            report_shortage("reply", client=self.client, position=position)
        else:
            self._report(logging.ERROR, "reply aborted", cause, position=position)

    def crashed(self, error: Exception) -> None:
        """Record an unexpected exception, which ends the connection."""
        if is_shortage(error):
            report_shortage("connection", client=self.client)
        else:
            self._report(logging.ERROR, "connection failed", error)

    def stalled(self, limit: str) -> None:
        """Record which limit the client was too slow for."""
        self._metrics.stalled(limit)

    def disconnected(self, outcome: str, limit: str, unsent_bytes: int = 0) -> None:
        """Record how the connection ended, if a limit was the cause, which, and how much of the replies was unsent."""
        seconds = monotonic() - self._began
        self._metrics.disconnected(outcome, seconds)
        cause: dict[str, object] = {"outcome": outcome, **({"limit": limit} if limit else {})}
        if self._content == COMMANDS:
            unsent = {"unsent": unsent_bytes} if unsent_bytes else {}
            facts = {**cause, **unsent, "commands": self._commands, "seconds": round(seconds, 3)}
            self._report(logging.INFO, "disconnected", **facts)
        self._end_download(unsent_bytes, cause)

    def _end_download(self, unsent_bytes: int, cause: Mapping[str, object]) -> None:
        """Log a download that is over, and what ended it if it is not complete."""
        download, self._download = self._download, None
        if download is not None:
            facts = download.facts(unsent_bytes)
            self._report(logging.INFO, "download", **facts, **({} if facts["complete"] else cause))

    def _report(self, level: int, event: str, error: BaseException | None = None, /, **facts: object) -> None:
        with contextlib.suppress(MemoryError):
            if _log.isEnabledFor(level) and self._may_log(level):
                report(_log, level, event, error=error, **self._facts, **facts)

    def _may_log(self, level: int) -> bool:
        if not self._rate or self._limiter is None:
            return True
        self._network = self._network or network(self.client)
        return self._limiter.allows(self._network, self._rate, level)


class _Download:
    """Slices of a file that a connection has asked for, each of which begins where the last one ended."""

    __slots__ = ("_began", "_end", "_ended", "_file", "_is_complete", "_offset", "_sent_bytes", "_slices")

    def __init__(self, first: Target, began: float) -> None:
        self._file = first.file
        self._offset = self._end = first.offset or 0
        self._began = self._ended = began
        self._slices = self._sent_bytes = 0
        self._is_complete = True

    def continues_with(self, target: Target) -> bool:
        """Return whether a slice goes on where the download is."""
        return (target.file, target.offset) == (self._file, self._end)

    def add(self, target: Target, sent_bytes: int, ended: float, *, is_complete: bool) -> None:
        """Add a slice, the bytes of its reply, and when it ended on the clock of `time.monotonic`."""
        self._end += target.size or 0
        self._slices += 1
        self._sent_bytes += sent_bytes
        self._ended = ended
        self._is_complete = is_complete

    def facts(self, unsent_bytes: int) -> dict[str, object]:
        """Return the fields of a line of the log; `unsent_bytes` of the last replies did not leave the server."""
        return {
            "file": self._file,
            "offset": self._offset,
            "size": self._end - self._offset,
            "bytes": max(0, self._sent_bytes - unsent_bytes),
            "slices": self._slices,
            "seconds": round(self._ended - self._began, 3),
            "complete": self._is_complete and not unsent_bytes,
        }


def _facts_of(target: Target | None) -> dict[str, object]:
    """Return the fields of a log line that say which part of which file was asked for."""
    if target is None:
        return {}
    name = target.file if len(target.file) <= limits.NAME_BYTES else target.file[: limits.NAME_BYTES] + "..."
    if target.offset is None:
        return {"file": name}
    return {"file": name, "offset": target.offset, "size": target.size}

"""What becomes of one conversation, as the meter and the log are told."""

import logging
from collections.abc import Callable
from time import monotonic

from greenserver.telemetry.log import report, shown
from greenserver.telemetry.metrics import SILENT, Metrics

_log = logging.getLogger(__name__)


class AccessLog:
    """Tells of a conversation with a client while it goes on."""

    __slots__ = ("_began", "_known_name", "_meter", "client", "commands", "is_wanted")

    def __init__(self, client: str, known_name: Callable[[str], str], meter: Metrics) -> None:
        self.client = client
        self.commands = 0
        """How many were answered."""
        self.is_wanted = meter is not SILENT or _log.isEnabledFor(logging.INFO)
        """Whether anybody wants to know of each command, and of each byte."""
        self._began = monotonic()
        self._known_name = known_name
        self._meter = meter

    def connected(self) -> None:
        """Tell that the client is being served from now on."""
        self._meter.connected()
        report(_log, logging.INFO, "connected", client=self.client)

    def received(self, count: int) -> None:
        """Tell that bytes came, if anybody wants to know."""
        if self.is_wanted:
            self._meter.received(count)

    def answered(self, command: str, status: int, size: int, seconds: float) -> None:
        """Tell of a command, the bytes of its reply and how long it took."""
        self._meter.command(self._known_name(command), status, size, seconds)
        facts = {"client": self.client, "command": shown(command), "status": int(status), "bytes": size}
        report(_log, logging.INFO, "command", error=None, **facts, milliseconds=round(seconds * 1000, 3))

    def failed(self, command: str, error: Exception) -> None:
        """Tell of a command that this server could not answer."""
        report(_log, logging.ERROR, "command failed", client=self.client, command=shown(command), error=error)

    def cut(self, position: int, cause: BaseException | None) -> None:
        """Tell of a reply that had to be broken off after so many bytes of its body."""
        report(_log, logging.ERROR, "reply aborted", client=self.client, position=position, error=cause)

    def stalled(self, limit: str) -> None:
        """Tell which limit a client was too slow for."""
        self._meter.stalled(limit)

    def disconnected(self, outcome: str, limit: str) -> None:
        """Tell how the conversation ended, and which limit was to blame if one was."""
        seconds = monotonic() - self._began
        self._meter.disconnected(outcome, seconds)
        cause = {"outcome": outcome, **({"limit": limit} if limit else {})}
        facts = {"client": self.client, **cause, "commands": self.commands, "seconds": round(seconds, 3)}
        report(_log, logging.INFO, "disconnected", error=None, **facts)

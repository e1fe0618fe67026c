"""Receive from a client in bounded reads, split into command lines, and compute read deadlines."""

import socket
from time import monotonic
from typing import TYPE_CHECKING, Final

from greenserver.config.limits import LONG_TURN_BYTES, TURN_BYTES, Limits
from greenserver.connection.flow_control import LastServed
from greenserver.protocol.framing import LineBuffer
from greenserver.telemetry.access_log import AccessLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenserver.connection.tls import SecureChannel


_floor: Final = LastServed()


class Reader:
    """Receives the command lines of one connection."""

    __slots__ = ("_access_log", "_granted", "_line_bytes", "_line_since", "_recv", "has_early", "is_at_end", "lines")

    def __init__(self, sock: socket.socket, granted: Limits, access_log: AccessLog) -> None:
        self.lines = LineBuffer(granted.line_bytes)
        self.is_at_end = False
        """Whether the client has sent EOF."""
        self.has_early = False
        """Whether the TLS channel may already hold input, of which the socket's readiness says nothing."""
        self._access_log = access_log
        self._granted = granted
        self._line_since, self._line_bytes = 0.0, 0  # start and length of the partial line; 0 between lines
        self._recv: Callable[[int], bytes] = sock.recv

    def use(self, channel: "SecureChannel") -> None:
        """Receive through TLS from now on."""
        self._recv = channel.recv
        self.has_early = True

    def receive(self) -> bytes:
        """Receive once, with a smaller limit while several clients are active; return empty bytes at EOF.

        Raise BlockingIOError if no input is available, OSError if the connection breaks.
        """
        return self._recv(LONG_TURN_BYTES if _floor.is_kept_by(self) else TURN_BYTES)

    def take(self, data: bytes) -> bool:
        """Feed received data to the line buffer; return False at EOF."""
        if not data:
            self.is_at_end = True
            return False
        self._line_bytes += len(data)
        self._access_log.received(len(data))
        self.lines.feed(data)
        if self.lines.complete:
            self._line_since = 0.0
        return True

    def next_command(self) -> str:
        """Return the next complete command, as `Connection.read_buffer` does, or "" if there is none."""
        line = self.lines.next_line()
        return "" if line is None else line.decode("latin-1") or "\r\n"

    def deadline(self) -> float:
        """Return when to time out: the idle timeout between commands, the line timeout within one."""
        granted = self._granted
        if not self.lines.is_mid_line:
            return monotonic() + granted.idle_seconds
        if not self._line_since:
            self._line_since, self._line_bytes = monotonic(), 0
        extra_seconds = self._line_bytes / granted.line_floor if granted.line_floor else 0.0
        return self._line_since + granted.line_seconds + extra_seconds

"""What a client says: received in short turns, cut into command lines, each of them with its deadline."""

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
    """The way from one client."""

    __slots__ = ("_access_log", "_granted", "_line_bytes", "_line_since", "_recv", "has_early", "is_at_end", "lines")

    def __init__(self, sock: socket.socket, granted: Limits, access_log: AccessLog) -> None:
        self.lines = LineBuffer(granted.line_bytes)
        self.is_at_end = False
        """Whether the client has ended its half of the stream."""
        self.has_early = False
        """Whether something may have come with a handshake: the socket will not tell of it."""
        self._access_log = access_log
        self._granted = granted
        self._line_since, self._line_bytes = 0.0, 0  # of the line under way; 0 between lines
        self._recv: Callable[[int], bytes] = sock.recv

    def use(self, channel: "SecureChannel") -> None:
        """Receive through TLS from now on."""
        self._recv = channel.recv
        self.has_early = True

    def receive(self) -> bytes:
        """Return what the client says next, no more than its turn; nothing at the end of the stream.

        Raises BlockingIOError if it says nothing now, OSError if the connection broke.
        """
        return self._recv(LONG_TURN_BYTES if _floor.is_kept_by(self) else TURN_BYTES)

    def take(self, data: bytes) -> bool:
        """Cut into lines what the client said; return whether it was anything."""
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
        """Return the next command if it is there, as `Connection.read_buffer` does, or nothing."""
        line = self.lines.next_line()
        return "" if line is None else line.decode("latin-1") or "\r\n"

    def deadline(self) -> float:
        """Return how long the client may say nothing: between two commands, or within one."""
        granted = self._granted
        if not self.lines.is_mid_line:
            return monotonic() + granted.idle_seconds
        if not self._line_since:
            self._line_since, self._line_bytes = monotonic(), 0
        extra_seconds = self._line_bytes / granted.line_floor if granted.line_floor else 0.0
        return self._line_since + granted.line_seconds + extra_seconds

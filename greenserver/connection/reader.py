"""Receive from a client in bounded reads, split into command lines, and compute read deadlines."""

import contextlib
import socket
from time import monotonic
from typing import TYPE_CHECKING, Final

from greenserver.config.limits import LONG_TURN_BYTES, TURN_BYTES, WHOLE_LINE_BYTES, Limits
from greenserver.protocol.framing import LineBuffer
from greenserver.telemetry.access_log import AccessLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenserver.connection.tls import SecureChannel


class _LastServed:
    """Which reader received last: one that receives twice in a row has no competition."""

    __slots__ = ("reader",)

    def __init__(self) -> None:
        self.reader: Reader | None = None


_last_served: Final = _LastServed()
"""Of all connections of this process."""


class Reader:
    """Receives the command lines of one connection."""

    __slots__ = (
        "_access_log",
        "_granted",
        "_is_counted",
        "_line_bytes",
        "_line_since",
        "_receive_raw",
        "_recv",
        "_whole_bytes",
        "has_received",
        "is_at_end",
        "lines",
    )

    def __init__(self, sock: socket.socket, granted: Limits, access_log: AccessLog) -> None:
        self.lines = LineBuffer(granted.line_bytes)
        self.is_at_end = False
        """Whether the client has sent EOF."""
        self.has_received = False
        """Whether the client has sent anything."""
        self._access_log = access_log
        self._is_counted = access_log.is_wanted
        self._granted = granted
        self._whole_bytes = min(granted.line_bytes, WHOLE_LINE_BYTES)
        self._line_since, self._line_bytes = 0.0, 0  # start and length of the partial line; 0 between lines
        self._receive_raw: Callable[[int], bytes] = sock.recv
        self._recv: Callable[[int], bytes] = self._receive_first

    def use(self, channel: "SecureChannel") -> None:
        """Receive through TLS from now on, first what has come with the handshake."""
        self._receive_raw = channel.recv
        with contextlib.suppress(BlockingIOError):
            self.feed(self._recv(TURN_BYTES))

    def _receive_first(self, most: int) -> bytes:
        """Receive for the first time; `_recv` is the bare call from then on."""
        data = self._receive_raw(most)
        self.has_received = True
        self._recv = self._receive_raw
        return data

    def close(self) -> None:
        """Receive no more: before the first time, the reader refers to itself."""
        self._recv = self._receive_raw

    def receive(self) -> bytes:
        """Receive once, less while several clients are active; return empty bytes at EOF.

        Raise BlockingIOError if no input is available, OSError if the connection breaks.
        """
        is_alone = _last_served.reader is self
        _last_served.reader = self
        return self._recv(LONG_TURN_BYTES if is_alone else TURN_BYTES)

    def feed(self, data: bytes) -> bool:
        """Split received data into lines; return False at EOF."""
        if self._is_counted:
            self._access_log.received(len(data))
        lines = self.lines
        if data.find(b"\n") == len(data) - 1 <= self._whole_bytes and data.endswith(b"\r\n") and lines.is_at_start:
            lines.complete.insert(0, data[:-2])  # one whole line, as it mostly is: `LineBuffer.feed` takes longer
            return True
        if not data:
            self.is_at_end = True
            return False
        self._line_bytes += len(data)
        lines.feed(data)
        if lines.complete:
            self._line_since = 0.0
        return True

    def deadline(self) -> float:
        """Return when to time out: the idle timeout between commands, the line timeout within one."""
        granted = self._granted
        if self.lines.is_at_start:
            return monotonic() + granted.idle_seconds
        if not self._line_since:
            self._line_since, self._line_bytes = monotonic(), 0
        extra_seconds = self._line_bytes / granted.line_floor if granted.line_floor else 0.0
        return self._line_since + granted.line_seconds + extra_seconds

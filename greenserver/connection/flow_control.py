"""Limit the rate of sending, and detect clients that stop reading."""

import array
import fcntl
import socket
import termios
from time import monotonic
from typing import Final

from greenserver.config import limits

_SOCKET_QUEUE: Final = termios.TIOCOUTQ  # SIOCOUTQ: the same number in linux/sockios.h, see `queued_bytes`


class TokenBucket:
    """A token bucket: one token a byte, refilled at `rate` bytes per second; may be overdrawn by one piece."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.piece_bytes = min(max(rate // limits.RATE_BURSTS // 3 * 3, 3 * limits.KIB), limits.CHUNK_BYTES)
        """Maximum bytes per send."""
        self._tokens = float(self.piece_bytes)
        self._filled = monotonic()

    def next_send_at(self) -> float:
        """Return the time at which the next piece may be sent, on the clock of `time.monotonic`; 0 for at once."""
        now = monotonic()
        self._tokens = min(self.piece_bytes, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        return 0.0 if self._tokens > 0 else now - self._tokens / self._rate

    def spend(self, count: int) -> None:
        """Spend tokens for the bytes sent."""
        self._tokens -= count


class TooSlowError(TimeoutError):
    """A client exceeded a timeout; `what` is "idle", "line", "write" or "handshake"."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class StallDetector:
    """Detects a client that reads too slowly, from the bytes that it has acknowledged.

    The bytes written are no measure: the kernel buffers megabytes for a fast client, so a slow one can read
    from that buffer for minutes while the socket accepts no further write.
    """

    def __init__(self, sock: socket.socket, granted: limits.Limits) -> None:
        self._socket = sock
        floor = min(granted.write_floor, granted.rate // 2) if granted.rate else granted.write_floor
        self._window_seconds = granted.stall_seconds
        self._window_bytes = max(1, int(floor * granted.stall_seconds))
        self._look_seconds = min(granted.stall_seconds / 10, 1.0)
        self._written = 0
        self._window_end = 0.0
        self._taken_before = 0  # bytes acknowledged at the start of the window
        self._last = 0.0  # time of the last write
        self._taken_then: int | None = None  # bytes acknowledged at the first `look` after it
        self.deadline = 0.0
        """When to call `look` if the socket accepts no write until then."""

    def begin(self) -> None:
        """Start a new window: from now on the server waits for the client."""
        self.goes_on()
        self._window_end = self._last + self._window_seconds
        self._taken_before = self._taken

    def goes_on(self) -> None:
        """Restart the timeout after a pause that the server caused."""
        self._last = monotonic()
        self._taken_then = None
        self.deadline = self._last + self._look_seconds

    def writes(self, count: int) -> None:
        """Count written bytes. Raise TooSlowError if the client acknowledged too few in the last window."""
        self._written += count
        self._last = now = monotonic()
        self._taken_then = None
        self.deadline = now + self._look_seconds
        if now >= self._window_end:
            self._require(self._taken_before)
            self.begin()

    def look(self) -> None:
        """Check a client whose socket accepts no write. Raise TooSlowError if it reads too little for too long."""
        if self._taken_then is None:
            self._taken_then = self._taken
            self.deadline = self._last + self._window_seconds
        else:
            self._require(self._taken_then)
            self.begin()

    @property
    def _taken(self) -> int:
        return self._written - queued_bytes(self._socket)

    def _require(self, taken_before: int) -> None:
        if self._taken - taken_before < self._window_bytes:
            raise TooSlowError("write")  # noqa: EM101  (a kind, not a message)


def queued_bytes(sock: socket.socket) -> int:
    """Return how many bytes of the send queue the peer has not acknowledged; 0 if that cannot be read.

    SIOCOUTQ counts unsent and unacknowledged bytes: https://man7.org/linux/man-pages/man7/tcp.7.html, linux/sockios.h.
    """
    count = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), _SOCKET_QUEUE, count)
    except (OSError, ValueError):
        return 0
    return count[0]

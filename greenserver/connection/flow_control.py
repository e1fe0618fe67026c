"""How fast bytes go: at most as an operator allows, at least as a client must take them."""

import array
import fcntl
import socket
import termios
from time import monotonic
from typing import Final

from greenserver.config import limits

_SOCKET_QUEUE: Final = termios.TIOCOUTQ  # SIOCOUTQ has the same number


class TokenBucket:
    """Tokens for bytes, which drip in at a rate and are spent by sending; may be overdrawn by one piece."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.piece_bytes = min(max(rate // limits.RATE_BURSTS // 3 * 3, 3 * limits.KIB), limits.CHUNK_BYTES)
        """How much to send at a time."""
        self._tokens = float(self.piece_bytes)
        self._filled = monotonic()

    def next_moment(self) -> float:
        """Return when the next piece may be sent; 0 if at once."""
        now = monotonic()
        self._tokens = min(self.piece_bytes, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        return 0.0 if self._tokens > 0 else now - self._tokens / self._rate

    def spend(self, count: int) -> None:
        """Take note that so many bytes were sent."""
        self._tokens -= count


class LastServed:
    """Who was served last, of all in this process: whoever is served twice in a row is alone for now."""

    __slots__ = ("_holder",)

    def __init__(self) -> None:
        self._holder: object = None

    def is_kept_by(self, holder: object) -> bool:
        """Give somebody the floor, and return whether they had it."""
        is_kept, self._holder = holder is self._holder, holder
        return is_kept


class TooSlowError(TimeoutError):
    """A client was too slow at something: "idle", "line", "write" or "handshake"."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class StallDetector:
    """Whether a client takes what it is sent, judged by what has left the kernel's queue.

    What was written alone would mislead: the kernel holds megabytes for a fast client, and a slow one that
    is served from them lets nothing be written for minutes while it reads all the time.
    """

    def __init__(self, sock: socket.socket, granted: limits.Limits) -> None:
        self._socket = sock
        floor = min(granted.write_floor, granted.rate // 2) if granted.rate else granted.write_floor
        self._window_seconds = granted.stall_seconds
        self._window_bytes = max(1, int(floor * granted.stall_seconds))
        self._look_seconds = min(granted.stall_seconds / 10, 1.0)
        self._written = 0
        self._window_end = 0.0
        self._taken_before = 0  # when the window began
        self._last = 0.0  # when something was written last
        self._taken_then: int | None = None  # soon after that, once it was looked at
        self.deadline = 0.0
        """When a client that lets nothing be written until then is to be looked at."""

    def begin(self) -> None:
        """Take note that a client is waited for from now on; nothing before that was its fault."""
        self.goes_on()
        self._window_end = self._last + self._window_seconds
        self._taken_before = self._taken

    def goes_on(self) -> None:
        """Take note that a client is waited for again, after a pause that was ours."""
        self._last = monotonic()
        self._taken_then = None
        self.deadline = self._last + self._look_seconds

    def writes(self, count: int) -> None:
        """Take note that bytes were written. Raises TooSlowError if too few were taken for a whole window."""
        self._written += count
        self._last = now = monotonic()
        self._taken_then = None
        self.deadline = now + self._look_seconds
        if now >= self._window_end:
            self._require(self._taken_before)
            self.begin()

    def look(self) -> None:
        """Look at a client that lets nothing be written. Raises TooSlowError if it took too little for too long."""
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
            raise TooSlowError("write")  # noqa: EM101  (not a message)


def queued_bytes(sock: socket.socket) -> int:
    """Return how many bytes the kernel holds that the other side has not acknowledged."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), _SOCKET_QUEUE, count)
    except (OSError, ValueError):
        return 0
    return count[0]

"""A connection that reads blocks, long lines and whole streams, and waits until the server has read or closed."""

import contextlib
import fcntl
import select
import sys
import termios
from collections.abc import Callable, Iterator
from time import sleep
from typing import Final

from conformance.client.connection import END_OF_STREAM, POLL_SECONDS, Clock, Connection, Dial
from conformance.client.equal_lines import count_equal_lines
from conformance.client.receive_queue import peer
from conformance.client.recording import escape
from conformance.failures import Failure, Incomplete, Kind
from conformance.language import Message

COLLECTED_BYTES: Final = 1 << 16
COLLECTED_TIMEOUTS: Final = 3.0
_FILLED_SECONDS: Final = 0.1
"""Once nothing has arrived for so long, the buffers are full, or all has been sent."""

_READ_SECONDS: Final = 0.1
"""Maximum wait for the server to read what was sent."""
NOT_READ: Final = Message(
    "weaker evidence: the server left a piece unread for 0.1 s, and may have received several at once"
)
NOT_OBSERVED: Final = Message("weaker evidence: whether the server reads piece by piece cannot be observed here")


class RawConnection(Connection):
    """A connection with methods to read from it, and to wait for what the server does."""

    evidence_note: str = ""
    """Why it is not certain that the server received pieces one by one; empty if it is."""
    round_trip_seconds: float = 0.0
    """How far pieces are sent apart, where the server's reads cannot be observed."""
    _is_unread: bool = False  # whether the last wait for the server to read timed out

    # --- Reading ---------------------------------------------------------------------------------

    def read_pieces(self, size: int, expected: str) -> Iterator[bytes]:
        """Yield the next `size` bytes in pieces of any length; raise Failure if fewer arrive."""
        self._record.reader = self.number
        left = size
        while left:
            if not self._received and not self._receive(expected, Kind.TIMEOUT):
                raise self._ended(expected)
            piece = bytes(self._received[:left])
            del self._received[:left]
            left -= len(piece)
            yield piece

    def read(self, size: int, expected: str) -> bytes:
        """Return exactly the next `size` bytes, in memory; raise Failure."""
        return b"".join(self.read_pieces(size, expected))

    def read_equal_lines(self, length: int, most: int) -> bytes:
        """Return at most so many lines that have been received, without their ends, and do not wait for more.

        They are as long as `length`, and end as the last line that was read. Empty if not all that are there do.
        """
        end = b"\n" if self.is_line_bare else b"\r\n"
        size = count_equal_lines(self._received, length, end, most) * (length + len(end))
        block = bytes(self._received[:size])
        del self._received[:size]
        return block.replace(end, b"")

    def read_until_line_end(self, expected: str, *, allow_bare_lf: bool = False) -> Iterator[bytes]:
        """Yield a line of any length in pieces, without its CR LF; raise Failure if it has no end."""
        self._record.reader = self.number
        while True:
            if (found := self._received.find(b"\n")) >= 0:
                line = bytes(self._received[: found + 1])
                del self._received[: found + 1]
                self.is_line_bare = not line.endswith(b"\r\n")
                if self.is_line_bare and not allow_bare_lf:
                    raise Failure(
                        Kind.MALFORMED,
                        Message("{expected}, ended by CR LF", expected=expected),
                        Message("...{line}, ended by a bare LF", line=escape(line[-60:])),
                    )
                yield line[: -1 if self.is_line_bare else -2]
                return
            held = 1 if self._received.endswith(b"\r") else 0
            piece = bytes(self._received[: len(self._received) - held])
            del self._received[: len(piece)]
            if piece:
                yield piece
            if not self._receive(expected, Kind.TIMEOUT):
                raise self._ended(expected)

    def read_rest(self, most: int = 1 << 20) -> bytes:
        """Read to EOF, and return the bytes; raise Failure if there is no EOF or more than `most` bytes."""
        self._record.reader = self.number
        expected = END_OF_STREAM
        while len(self._received) <= most:
            if not self._receive(expected, Kind.OPEN):
                break
        else:
            raise Failure(Kind.TOO_MUCH, expected, Message("more than {most} bytes", most=most))
        data = bytes(self._received)
        self._received.clear()
        return data

    def collect(
        self, is_enough: Callable[[bytes], bool], most: int = COLLECTED_BYTES, seconds: float = 0.0
    ) -> tuple[bytes, str]:
        """Read until `is_enough`; return the bytes and why it stopped: enough, end, reset, silence or too-much.

        Limited to `most` bytes and, in all, `seconds` or by default three timeouts.
        """
        self._record.reader = self.number
        until = self.clock() + (seconds or COLLECTED_TIMEOUTS * self.timeout_seconds)
        ending = "enough"
        while not is_enough(bytes(self._received)):
            if len(self._received) > most or self.clock() > until:
                ending = "too-much"
                break
            try:
                if not self._receive("", Kind.OPEN):
                    ending = self._ending
                    break
            except (Failure, Incomplete):
                ending = "silence"
                break
        data = bytes(self._received)
        self._received.clear()
        return data, ending

    def _ended(self, expected: str) -> Failure:
        """Return the failure of a stream that ended where something is expected."""
        how = END_OF_STREAM if self._ending == "end" else Message("a connection reset")
        if self._received:
            how = Message("{how} after {received}", how=how, received=escape(bytes(self._received)))
        return Failure(Kind.CLOSED if self._ending == "end" else Kind.RESET, expected, how)

    # --- Waiting ---------------------------------------------------------------------------------

    def send_bytewise(self, data: bytes) -> None:
        """Send bytes one by one, each after the server has read the previous one, where that can be observed."""
        for byte in data:
            self.send(bytes([byte]))
            self.await_read()

    def await_read(self) -> None:
        """Wait up to 0.1 s until the server has read what was sent, so that later bytes arrive in a separate recv().

        After one timeout, the following waits take 1 ms. Where that cannot be observed, wait for a round trip. Either
        leaves an `evidence_note`.
        """
        until = self.clock() + (POLL_SECONDS if self._is_unread else _READ_SECONDS)
        while (is_unread := self._holds_unread()) and self.clock() < until:
            sleep(POLL_SECONDS)
        self._is_unread = bool(is_unread)
        if is_unread:
            self.evidence_note = NOT_READ
        elif is_unread is None:
            self.evidence_note = NOT_OBSERVED
            sleep(min(max(POLL_SECONDS, self.round_trip_seconds), _READ_SECONDS))

    def _holds_unread(self) -> bool | None:
        """Return whether the server has input that it has not read; None if unknown."""
        other = peer(self._socket)
        return None if other is None else other.unread_bytes > 0

    def await_closed(self, *, unknown_seconds: float) -> None:
        """Wait up to one timeout, without reading, until the server has closed and will read nothing more.

        Where that cannot be observed, wait for `unknown_seconds`.
        """
        until = self._end_of_wait()
        while (other := peer(self._socket)) is not None and self.clock() < until:
            if not other.is_open and not other.unread_bytes:
                return
            sleep(POLL_SECONDS)
        if other is None:
            sleep(unknown_seconds)

    def is_quiet(self, seconds: float) -> bool:
        """Return whether the connection stays open without data for some seconds."""
        if self._received or self.is_over:
            return False
        waits = self._waits(self.clock() + seconds)
        return not any(select.select([self._socket], [], [], left)[0] for left in waits)

    def await_filled(self) -> None:
        """Wait up to one timeout, without reading, until the buffers on the way are full: no more bytes arrive."""
        arrived, since = 0, self.clock()
        until = self._end_of_wait()
        while (now := self.clock()) < until and not (arrived and now - since > _FILLED_SECONDS):
            if (waiting := self._waiting_bytes()) != arrived:
                arrived, since = waiting, now
            sleep(_FILLED_SECONDS / 20)

    def _waiting_bytes(self) -> int:
        """Return how many bytes have arrived and are not received; see FIONREAD in ioctl_tty(2)."""
        return int.from_bytes(fcntl.ioctl(self._socket, termios.FIONREAD, bytes(4)), sys.byteorder)

    def wait(self) -> None:
        """Discard input until EOF, a reset or a timeout."""
        self._received.clear()
        with contextlib.suppress(Failure, Incomplete):
            while self._receive("", Kind.OPEN):
                self._received.clear()


__all__ = ["Clock", "Dial", "RawConnection"]

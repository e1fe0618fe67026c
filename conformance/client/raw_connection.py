"""A connection that reads lines, blocks and EOF, each with a timeout."""

import contextlib
import fcntl
import select
import sys
import termios
from collections.abc import Callable, Iterator
from time import sleep
from typing import Final

from conformance.client.connection import Clock, Connection, Dial
from conformance.client.recording import escape
from conformance.failures import Failure, Incomplete, Kind
from conformance.language import Message

END_OF_STREAM: Final = Message("the end of the stream")
LINE_TIMEOUTS: Final = 2.0
"""Maximum time for a line that arrives in parts, in multiples of one timeout."""
COLLECTED_BYTES: Final = 1 << 16
COLLECTED_TIMEOUTS: Final = 3.0
_FILLED_SECONDS: Final = 0.1
"""Once nothing has arrived for so long, the buffers are full, or all has been sent."""
LINE_BYTES: Final = 1 << 16
"""Maximum length of a line, except for base64, which is read in pieces."""


class RawConnection(Connection):
    """A connection with methods to read from it."""

    def read_line(self, expected: str, most: int = LINE_BYTES, *, allow_bare_lf: bool = False) -> bytes:
        """Return the next line without its CR LF; `allow_bare_lf` accepts a bare LF as well.

        Raises Failure: timeout, closed, reset, malformed (a LF without CR), too-much.
        """
        self._record.reader = self.number
        position = 0
        last = self.clock() + LINE_TIMEOUTS * self.timeout_seconds
        while (found := self._received.find(b"\n", position)) < 0:
            position = len(self._received)
            if position > most:
                raise Failure(
                    Kind.TOO_MUCH,
                    expected,
                    Message(
                        "a line of more than {most} bytes: {received}",
                        most=most,
                        received=escape(bytes(self._received)),
                    ),
                )
            if self.clock() > last:
                raise Failure(
                    Kind.TIMEOUT,
                    expected,
                    Message("an unterminated line: {received}", received=escape(bytes(self._received))),
                )
            if not self._receive(expected, Kind.TIMEOUT):
                raise self._ended(expected)
        line = bytes(self._received[: found + 1])
        del self._received[: found + 1]
        self.is_line_bare = not line.endswith(b"\r\n")
        if self.is_line_bare and not allow_bare_lf:
            raise Failure(
                Kind.MALFORMED,
                Message("{expected}, ended by CR LF", expected=expected),
                Message("{line}, ended by a bare LF", line=escape(line)),
            )
        return line[: -1 if self.is_line_bare else -2]

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

    def read_end(self, expected: str = END_OF_STREAM) -> None:
        """Require that the server closes without sending more; a RST counts as an end.

        Raises Failure: extra (bytes arrived), open (neither bytes nor EOF before the timeout).
        """
        self._record.reader = self.number
        if self._received or self._receive(expected, Kind.OPEN):
            raise Failure(Kind.EXTRA, expected, escape(bytes(self._received)))

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

    def wait(self) -> None:
        """Discard input until EOF, a reset or a timeout."""
        self._received.clear()
        with contextlib.suppress(Failure, Incomplete):
            while self._receive("", Kind.OPEN):
                self._received.clear()

    def _ended(self, expected: str) -> Failure:
        """Return the failure of a stream that ended where something is expected."""
        how = END_OF_STREAM if self._ending == "end" else Message("a connection reset")
        if self._received:
            how = Message("{how} after {received}", how=how, received=escape(bytes(self._received)))
        return Failure(Kind.CLOSED if self._ending == "end" else Kind.RESET, expected, how)


__all__ = ["Clock", "Dial", "RawConnection"]

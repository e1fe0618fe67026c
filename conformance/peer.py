"""A client that says exactly what it is told, and records every byte both ways."""

import contextlib
import errno
import select
import socket
import struct
from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Final

from conformance.failure import Failure, Incomplete, Kind
from conformance.receive_queue import unread_bytes
from conformance.record import Record, shown

RECEIVE_BYTES: Final = 1 << 18
LINE_PATIENCES: Final = 2.0
"""A line that drips in may take so many times the patience of one wait."""
READ_AHEAD_BYTES: Final = 1 << 23
"""How much is read while sending, at most."""
LINE_BYTES: Final = 1 << 16
"""No line of a reply is longer, except for base64, which is read in pieces."""

_SLOW: Final = "the server answers, but too slowly for this in the time that it has (--timeout-scale gives it more)"
_READ_SECONDS: Final = 0.1
"""How long a server is waited for that does not read what was sent."""
_LOOK_SECONDS: Final = 0.0002
_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of the suite's own machine, which no server can help."""

Dial = Callable[[float, int], socket.socket]
"""Gives a connected socket for a time-out in seconds and a receive buffer in bytes (0: the usual one)."""


class Peer:
    """One connection to a server.

    Each wait ends after `patience_seconds` without a byte, and all of them at `deadline`, a time of `monotonic`.
    What goes wrong is a `Failure`. A send that fails is no failure: what the server said before is read first.
    """

    def __init__(  # noqa: PLR0913  (one call, in Stage.connect)
        self,
        dial: Dial,
        record: Record,
        number: int,
        *,
        patience_seconds: float,
        deadline: float,
        receive_buffer_bytes: int = 0,
    ) -> None:
        self.number = number
        self.patience_seconds = patience_seconds
        self.deadline = deadline
        self.is_line_bare = False
        """Whether the line that was read last ended in LF alone."""
        self.slowest_seconds = 0.0
        """The longest wait in which something came."""
        self.is_silent = False
        """Whether the last wait was in vain."""
        self.has_left = False
        """Whether this side ended the connection, or its half, before the server had ended it."""
        self._dial = dial
        self._heard = 0.0  # when something came last
        self._receive_buffer_bytes = receive_buffer_bytes
        self._record = record
        self._connect()

    def _connect(self) -> None:
        """Connect, anew if need be; raises Failure, Incomplete."""
        self._received = bytearray()
        self._ending = ""  # how the stream ended: "end" or "reset"
        self._is_sending_broken = False
        try:
            self._socket = self._dial(self.patience_seconds, self._receive_buffer_bytes)
        except TimeoutError:
            self._record.note(self.number, "refused", "timed out")
            raise Failure(Kind.TIMEOUT, "a connection", f"none within {self.patience_seconds:.1f} s") from None
        except OSError as error:
            reason = error.strerror or str(error)
            self._record.note(self.number, "refused", reason)
            if error.errno in _OURS:
                message = f"this machine gives the suite no more connections: {reason} (ulimit -n, or fewer --clients)"
                raise Incomplete(message) from None
            raise Failure(Kind.REFUSED, "a connection", reason) from None
        self._record.note(self.number, "connected")

    # --- Saying ----------------------------------------------------------------------------------

    def send(self, data: bytes, *, is_apart: bool = True) -> bool:
        """Send bytes; return whether the connection took them all.

        What arrives meanwhile is read, for a server may wait for that before it reads on. Gives up when nothing is
        taken for the peer's patience. `is_apart` only concerns the record.
        """
        if self._is_sending_broken:
            return False
        view = memoryview(data)
        try:
            self._socket.settimeout(0)
            while view:
                self._left()  # raises when the time is over, which no wait would tell of a server that takes it all
                try:
                    count = self._socket.send(view[:RECEIVE_BYTES])
                except BlockingIOError:
                    self._wait_to_send()
                    continue
                self._record.sent(self.number, bytes(view[:count]), is_apart=is_apart)
                view, is_apart = view[count:], False
        except OSError as error:  # a time-out is one, too
            self._is_sending_broken = True
            self._record.note(self.number, "note", f"sending failed: {error.strerror or error}")
            return False
        return True

    def _wait_to_send(self) -> None:
        """Wait until the socket may take bytes, and take in what arrives meanwhile; raise TimeoutError."""
        poll = select.poll()
        wants_input = not self._ending and len(self._received) < READ_AHEAD_BYTES
        poll.register(self._socket, select.POLLOUT | (select.POLLIN if wants_input else 0))
        happened = poll.poll(self._left() * 1000)
        if not happened:
            raise TimeoutError
        if wants_input and happened[0][1] & select.POLLIN:
            with contextlib.suppress(_Ended):
                self._take(self._socket.recv(RECEIVE_BYTES))

    def send_bytewise(self, data: bytes) -> None:
        """Send bytes one by one, each after the server has read the one before, as far as that can be seen."""
        for byte in data:
            self.send(bytes([byte]))
            self.await_read()

    def await_read(self) -> None:
        """Wait shortly until the server has read what was sent, so that what is sent next comes to another recv()."""
        until = monotonic() + _READ_SECONDS
        while unread_bytes(self._socket) and monotonic() < until:
            sleep(_LOOK_SECONDS)

    def go_off_record(self) -> None:
        """Record no more of this connection than that it is closed."""
        self._record.note(self.number, "closed")
        self._record = Record()

    def half_close(self) -> None:
        """End our half of the stream."""
        self.has_left = not self._ending
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._record.note(self.number, "half-closed")

    def read_ahead(self) -> None:
        """Let the kernel take in more for us from now on than was allowed in the beginning."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)

    def reset(self) -> None:
        """Leave with RST."""
        self.has_left = not self._ending
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        self._record.note(self.number, "reset")

    def close(self) -> None:
        """Leave; a second time does nothing."""
        if self._socket.fileno() >= 0:
            self.has_left = not self._ending
            self._socket.close()
            self._record.note(self.number, "closed")

    # --- Hearing ---------------------------------------------------------------------------------

    def read_line(self, expected: str, most: int = LINE_BYTES, *, allow_bare_lf: bool = False) -> bytes:
        """Return the next line without its CR LF; `allow_bare_lf` takes a LF alone as well.

        Raises Failure: timeout, closed, reset, malformed (a LF without CR), too-much.
        """
        position = 0
        last = monotonic() + LINE_PATIENCES * self.patience_seconds
        while (found := self._received.find(b"\n", position)) < 0:
            position = len(self._received)
            if position > most:
                raise Failure(
                    Kind.TOO_MUCH, expected, f"a line of more than {most} bytes: {shown(bytes(self._received))}"
                )
            if monotonic() > last:
                raise Failure(Kind.TIMEOUT, expected, f"a line that does not end: {shown(bytes(self._received))}")
            self._receive(expected)
        line = bytes(self._received[: found + 1])
        del self._received[: found + 1]
        self.is_line_bare = not line.endswith(b"\r\n")
        if self.is_line_bare and not allow_bare_lf:
            raise Failure(Kind.MALFORMED, f"{expected}, ended by CR LF", f"{shown(line)}, ended by a bare LF")
        return line[: -1 if self.is_line_bare else -2]

    def read_pieces(self, size: int, expected: str) -> Iterator[bytes]:
        """Yield the next `size` bytes in pieces of any length; raise Failure if they do not come."""
        left = size
        while left:
            if not self._received:
                self._receive(expected)
            piece = bytes(self._received[:left])
            del self._received[:left]
            left -= len(piece)
            yield piece

    def read(self, size: int, expected: str) -> bytes:
        """Return exactly the next `size` bytes; for small numbers of them."""
        return b"".join(self.read_pieces(size, expected))

    def read_until_line_end(self, expected: str, *, allow_bare_lf: bool = False) -> Iterator[bytes]:
        """Yield a line of any length in pieces, without its CR LF; raise Failure if it does not end."""
        while True:
            if (found := self._received.find(b"\n")) >= 0:
                line = bytes(self._received[: found + 1])
                del self._received[: found + 1]
                self.is_line_bare = not line.endswith(b"\r\n")
                if self.is_line_bare and not allow_bare_lf:
                    raise Failure(
                        Kind.MALFORMED, f"{expected}, ended by CR LF", f"...{shown(line[-60:])}, ended by LF alone"
                    )
                yield line[: -1 if self.is_line_bare else -2]
                return
            held = 1 if self._received.endswith(b"\r") else 0
            piece = bytes(self._received[: len(self._received) - held])
            del self._received[: len(piece)]
            if piece:
                yield piece
            self._receive(expected)

    def read_end(self, expected: str = "the end of the stream") -> None:
        """Require that the server closes, having said nothing more; an RST is an end, too.

        Raises Failure: extra (there are bytes), open (neither bytes nor an end in time).
        """
        if not self._received and not self._ending:
            with contextlib.suppress(_Ended):
                self._receive_raw(expected, Kind.OPEN)
        if self._received:
            raise Failure(Kind.EXTRA, expected, shown(bytes(self._received)))

    def is_quiet(self, seconds: float) -> bool:
        """Tell whether the connection is open and nothing comes for some seconds."""
        if self._received or self.is_over:
            return False
        return not select.select([self._socket], [], [], seconds)[0]

    def read_rest(self, most: int = 1 << 20) -> bytes:
        """Return all that comes before the end of the stream; raise Failure if there is no end."""
        expected = "the end of the stream"
        with contextlib.suppress(_Ended):
            while len(self._received) <= most:
                self._receive_raw(expected, Kind.OPEN)
            raise Failure(Kind.TOO_MUCH, expected, f"more than {most} bytes")
        data = bytes(self._received)
        self._received.clear()
        return data

    def collect(self, is_enough: Callable[[bytes], bool], most: int = 1 << 20) -> tuple[bytes, str]:
        """Return what comes until there is enough of it, and its ending: enough, end, reset, silence or too-much."""
        ending = "enough"
        while not is_enough(bytes(self._received)):
            if len(self._received) > most:
                ending = "too-much"
                break
            try:
                self._receive_raw("", Kind.OPEN)
            except _Ended:
                ending = self._ending
                break
            except (Failure, Incomplete):
                ending = "silence"
                break
        data = bytes(self._received)
        self._received.clear()
        return data, ending

    def drop(self, data: bytes) -> bool:
        """Drop bytes if they are what comes next, and return whether they were; waits for the first of them to tell."""
        with contextlib.suppress(_Ended, Failure, Incomplete):
            while len(self._received) < len(data) and data.startswith(bytes(self._received)):
                self._receive_raw("", Kind.OPEN)
        is_there = self._received.startswith(data)
        if is_there:
            del self._received[: len(data)]
        return is_there

    def wait(self) -> None:
        """Wait until the server closes, resets or has been silent for a while, and drop what it says."""
        with contextlib.suppress(_Ended, Failure, Incomplete):
            while True:
                self._received.clear()
                self._receive_raw("", Kind.OPEN)

    @property
    def is_over(self) -> bool:
        """Whether either side has ended the connection, as far as is known here."""
        return bool(self._ending) or self._socket.fileno() < 0

    @property
    def unread(self) -> bytes:
        """What was received and not read yet."""
        return bytes(self._received)

    def _receive(self, expected: str) -> None:
        try:
            self._receive_raw(expected, Kind.TIMEOUT)
        except _Ended:
            how = "the end of the stream" if self._ending == "end" else "a reset connection"
            after = f" after {shown(bytes(self._received))}" if self._received else ""
            raise Failure(Kind.CLOSED if self._ending == "end" else Kind.RESET, expected, how + after) from None

    def _receive_raw(self, expected: str, kind: Kind) -> None:
        if self._ending:
            raise _Ended
        started = monotonic()
        try:
            self._socket.settimeout(self._left())
            data = self._socket.recv(RECEIVE_BYTES)
            self.slowest_seconds = max(self.slowest_seconds, monotonic() - started)
        except TimeoutError:
            if self._is_too_slow():
                raise Incomplete(_SLOW) from None
            self.is_silent = True
            self._record.note(self.number, "silence", f"{self.patience_seconds:.1f} s")
            after = f" after {shown(bytes(self._received))}" if self._received else ""
            raise Failure(kind, expected, f"nothing within {self.patience_seconds:.1f} s{after}") from None
        except OSError as error:
            self._ending = "reset"
            self._record.note(self.number, "reset by server", error.strerror or str(error))
            raise _Ended from None
        self._take(data)

    def _take(self, data: bytes) -> None:
        if not data:
            self._ending = "end"
            self.has_left = False
            self._record.note(self.number, "end")
            raise _Ended
        self.is_silent = False
        self._heard = monotonic()
        self._record.received(self.number, data)
        self._received += data

    def _is_too_slow(self) -> bool:
        """Tell whether the time is over while something still came now and then."""
        now = monotonic()
        return now >= self.deadline and now - self._heard < self.patience_seconds

    def _left(self) -> float:
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, self.patience_seconds)


class _Ended(Exception):  # noqa: N818
    """The stream is at its end, or reset."""

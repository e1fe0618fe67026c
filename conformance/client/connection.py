"""A connection that sends bytes verbatim and records both directions."""

import contextlib
import errno
import select
import socket
import struct
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final

from conformance.client.recording import Recording, escape
from conformance.failures import Failure, Incomplete, Kind
from conformance.language import Message

RECEIVE_BYTES: Final = 1 << 18
READ_AHEAD_BYTES: Final = 1 << 23
"""Maximum bytes read while sending."""

END_OF_STREAM: Final = Message("the end of the stream")
TOO_SLOW: Final = Message("the server replies, but too slowly for the time limit (raise it with --timeout-scale)")
POLL_SECONDS: Final = 0.001
_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)  # Linux only; see tcp(7)
_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Resource limits of the machine that runs the suite, not faults of the server."""

Dial = Callable[[float, int], socket.socket]
"""Connects a socket, given a timeout in seconds and a receive buffer in bytes (0: the default)."""


Clock = Callable[[], float]
"""Returns a time in seconds; like `monotonic`, or standing still while the machine keeps the server from running."""


class Connection:
    """One connection to a server.

    Each wait ends after `timeout_seconds` without a byte, and every wait ends at `deadline`, by the `clock`.
    Errors raise `Failure`, except in `send`: what the server sent before the error is to be read first.
    """

    def __init__(  # noqa: PLR0913  (one call, in ScenarioContext.connect)
        self,
        dial: Dial,
        record: Recording,
        number: int,
        *,
        timeout_seconds: float,
        deadline: float,
        receive_buffer_bytes: int = 0,
        clock: Clock = monotonic,
    ) -> None:
        self.number = number
        self.timeout_seconds = timeout_seconds
        self.deadline = deadline
        self.is_line_bare = False
        """Whether the last line read ended in a bare LF."""
        self.slowest_seconds = 0.0
        """The longest wait that ended with data."""
        self.is_silent = False
        """Whether the last wait timed out."""
        self.has_left = False
        """Whether this side closed, half-closed or reset the connection before the server closed it."""
        self.clock = clock
        self._dial = dial
        self._last_data = 0.0  # when data last arrived
        self._receive_buffer_bytes = receive_buffer_bytes
        self._record = record
        self._connect()

    def _connect(self) -> None:
        """Connect or reconnect; raise Failure or Incomplete."""
        self._received = bytearray()
        self._ending = ""  # how the stream ended: "end" or "reset"
        self._is_sending_broken = False
        try:
            self._socket = self._dialled()
        except TimeoutError:
            self._record.note(self.number, "refused", Message("timed out"))
            raise Failure(
                Kind.TIMEOUT, Message("a connection"), Message("none within {seconds} s", seconds=self.timeout_seconds)
            ) from None
        except OSError as error:
            reason = error.strerror or str(error)
            self._record.note(self.number, "refused", reason)
            if error.errno in _OURS:
                message = Message(
                    "this machine cannot open more connections: {reason} (raise ulimit -n, or lower --clients)",
                    reason=reason,
                )
                raise Incomplete(message) from None
            raise Failure(Kind.REFUSED, Message("a connection"), reason) from None
        self._record.note(self.number, "connected")

    def _dialled(self) -> socket.socket:
        """Return a connected socket; raise OSError."""
        until = self.clock() + self.timeout_seconds
        while (left := until - self.clock()) > 0:
            with contextlib.suppress(TimeoutError):
                return self._dial(max(left, POLL_SECONDS), self._receive_buffer_bytes)
        raise TimeoutError

    # --- Sending ---------------------------------------------------------------------------------

    def send(self, data: bytes, *, is_apart: bool = True) -> bool:
        """Send bytes; return whether the connection took them all.

        Receives meanwhile, because a server may block on its own output before it reads on. Gives up if nothing can be
        sent for `timeout_seconds`. `is_apart` begins a new entry in the recording.
        """
        if self._is_sending_broken:
            return False
        if is_apart and self._record.before_sending is not None:
            self._record.before_sending()
        view = memoryview(data)
        try:
            self._socket.settimeout(0)
            while view:
                self._check_deadline()  # send() may never block
                try:
                    count = self._socket.send(view[:RECEIVE_BYTES])
                except BlockingIOError:
                    self._wait_to_send()
                    continue
                self._record.payload(self.number, "sent", bytes(view[:count]), is_apart=is_apart)
                view, is_apart = view[count:], False
        except OSError as error:  # TimeoutError included
            self._is_sending_broken = True
            self._record.note(self.number, "note", Message("sending failed: {error}", error=error.strerror or error))
            return False
        return True

    def _wait_to_send(self) -> None:
        """Wait until the socket is writable, and receive what arrives meanwhile; raise TimeoutError."""
        poll = select.poll()
        wants_input = not self._ending and len(self._received) < READ_AHEAD_BYTES
        poll.register(self._socket, select.POLLOUT | (select.POLLIN if wants_input else 0))
        for seconds in self._waits(self._end_of_wait()):
            if happened := poll.poll(seconds * 1000):
                break
        else:
            raise TimeoutError
        if wants_input and happened[0][1] & select.POLLIN:
            self._take(self._socket.recv(RECEIVE_BYTES))

    def go_off_record(self) -> None:
        """Record the connection as closed, and stop recording."""
        self._record.note(self.number, "closed")
        self._record = Recording()

    def half_close(self) -> None:
        """Shut down the sending half (SHUT_WR)."""
        self.has_left = not self._ending
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._record.note(self.number, "half-closed")

    def read_ahead(self) -> None:
        """Enlarge the receive buffer, so that the kernel reads ahead from now on."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)

    def reset(self) -> None:
        """Reset the connection: close with SO_LINGER 0, which sends a RST; see socket(7)."""
        self.has_left = not self._ending
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        self._record.note(self.number, "reset")

    def close(self) -> None:
        """Close the connection; a no-op if it is closed."""
        if self._socket.fileno() >= 0:
            self.has_left = not self._ending
            self._socket.close()
            self._record.note(self.number, "closed")

    @property
    def is_over(self) -> bool:
        """Whether the connection is known to be closed by either side."""
        return bool(self._ending) or self._socket.fileno() < 0

    @property
    def unread(self) -> bytes:
        """Received bytes that are not read yet."""
        return bytes(self._received)

    def read_end(self, expected: str = END_OF_STREAM) -> None:
        """Require that the server closes without sending more; a RST counts as an end.

        Raises Failure: extra (bytes arrived), open (neither bytes nor EOF before the timeout).
        """
        self._record.reader = self.number
        if self._received or self._receive(expected, Kind.OPEN):
            raise Failure(Kind.EXTRA, expected, escape(bytes(self._received)))

    def _receive(self, expected: str, kind: Kind) -> bool:
        """Receive more; return False at EOF, or if the connection was reset.

        Raises Failure of this kind after a timeout, or Incomplete.
        """
        if self._ending:
            return False
        clock = self.clock
        began, now = monotonic(), clock()
        started, until = now, min(self.deadline, now + self.timeout_seconds)
        self._record.waiting = began, expected
        try:
            while (left := until - now) > 0:
                self._socket.settimeout(max(left, POLL_SECONDS))
                try:
                    data = self._socket.recv(RECEIVE_BYTES)
                    break
                except TimeoutError:
                    now = clock()  # it may have stood still meanwhile
            else:
                raise self._timed_out(expected, kind, monotonic() - began)
        except OSError as error:
            self._ending = "reset"
            self._record.note(self.number, "reset by server", error.strerror or str(error))
            return False
        finally:
            self._record.waiting = None
        self.slowest_seconds = max(self.slowest_seconds, clock() - started)
        return self._take(data)

    def _timed_out(self, expected: str, kind: Kind, seconds: float) -> Failure | Incomplete:
        """Return what a wait of so many seconds that timed out raises."""
        now = self.clock()
        if now >= self.deadline and now - self._last_data < self.timeout_seconds:  # data still arrives
            return Incomplete(TOO_SLOW)
        self.is_silent = True
        self._record.note(self.number, "silence", self._silence(seconds))
        got = Message("nothing within {seconds} s", seconds=self.timeout_seconds)
        if self._received:
            got = Message("{how} after {received}", how=got, received=escape(bytes(self._received)))
        return Failure(kind, expected, got)

    def _take(self, data: bytes) -> bool:
        """Record and keep what was received; return False at EOF."""
        if not data:
            self._ending = "end"
            self.has_left = False
            self._record.note(self.number, "end")
            return False
        if _QUICKACK is not None and self._socket.family is not socket.AF_UNIX:
            # Acknowledge at once (tcp(7)): Nagle's algorithm may delay the rest of a reply until then.
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        self.is_silent = False
        self._last_data = self.clock()
        self._record.payload(self.number, "received", data)
        self._received += data
        return True

    def _silence(self, seconds: float) -> str:
        """Return how long the server was silent, for display; longer than one timeout if the machine was busy."""
        busy = seconds - self.timeout_seconds
        if busy <= self.timeout_seconds / 4:
            return Message("{seconds} s", seconds=self.timeout_seconds)
        return Message(
            "{seconds} s, and {busy} s that a busy machine withheld", seconds=self.timeout_seconds, busy=busy
        )

    # --- Waits -----------------------------------------------------------------------------------

    def _check_deadline(self) -> None:
        """Raise TimeoutError at the deadline."""
        if self.clock() >= self.deadline:
            raise TimeoutError

    def _end_of_wait(self) -> float:
        """Return when a wait that begins now ends."""
        return min(self.deadline, self.clock() + self.timeout_seconds)

    def _waits(self, until: float) -> Iterator[float]:
        """Yield how long to wait, in seconds, until a time of the clock: again if it stood still meanwhile."""
        while (left := until - self.clock()) > 0:
            yield max(left, POLL_SECONDS)

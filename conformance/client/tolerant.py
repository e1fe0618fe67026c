"""A connection that tolerates the known deviations of a server, and notes which ones it met."""

from collections.abc import Iterator
from time import monotonic
from typing import Any, Final

from conformance.client.connection import TOO_SLOW
from conformance.client.deviations import NO_DEVIATIONS, Deviation, Deviations, Form
from conformance.client.peer import RawConnection
from conformance.client.recording import escape
from conformance.client.status import FATAL, Status
from conformance.failures import Incomplete

QUIET_SECONDS: Final = 0.1
"""How long a server that stays open where it has to close must stay silent."""
PARTING_SECONDS: Final = 0.3
"""How long a client waits for EOF after quit, which shows that the server has released it."""
LINE_BYTES: Final = 200
"""How many bytes of each sent command line are kept."""
PACE_REPLIES: Final = 10
PACE_SECONDS: Final = 4.0
"""After this many replies and seconds, the pace shows whether the remaining ones can arrive in time."""
_PACE_MARGIN: Final = 2.0
"""By what factor the estimated time must exceed the remaining time."""


class TolerantConnection(RawConnection):
    """Keeps the sent command lines, and which of them have been answered.

    `latest` is the last status line read.
    """

    deviations: Deviations = NO_DEVIATIONS
    latest: Status | None = None
    _replies: int = 0  # status lines requested so far
    _begun: bytes = b""  # the start of an unfinished line
    _has_cr: bool = False  # a trailing CR, which may belong to the next LF
    _due: tuple[bytes, Deviation] | None = None  # the extra bytes that are known to follow the last reply
    _reply: str = ""  # the name of the current reply

    def __init__(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  (those of Connection)
        self.tolerated: set[Deviation] = set()
        """The deviations that made a difference."""
        self._lines: list[bytes] = []
        self._began = monotonic()
        super().__init__(*arguments, **more)

    @property
    def has_quit(self) -> bool:
        """Whether the last sent line is quit."""
        return bool(self._lines) and self._lines[-1] == b"quit" and not self._begun

    @property
    def asked(self) -> str:
        """The command of the current reply, for display; empty if it is the last one, or unknown."""
        if not 0 < self._replies < len(self._lines):
            return ""
        line = self._lines[self._replies - 1] + b"\r\n"
        return f"{escape(line)} (command {self._replies} of {len(self._lines)})"

    # --- Commands --------------------------------------------------------------------------------

    def send(self, data: bytes, *, is_apart: bool = True) -> bool:
        """Send bytes, and keep the command lines in them."""
        data_and_cr = b"\r" + data if self._has_cr else data
        self._has_cr = data_and_cr.endswith(b"\r")
        *lines, rest = (data_and_cr[:-1] if self._has_cr else data_and_cr).split(b"\r\n")
        for line in lines:
            self._lines.append((self._begun + line[:LINE_BYTES])[:LINE_BYTES])
            self._begun = b""
        self._begun = (self._begun + rest[:LINE_BYTES])[:LINE_BYTES]
        return super().send(data, is_apart=is_apart)

    def send_line(self, command: str | bytes) -> None:
        """Send one command line; the CR LF is added."""
        self.send((command.encode("latin-1") if isinstance(command, str) else command) + b"\r\n")

    def expect_again(self) -> None:
        """Expect the next status line for the command whose reply timed out."""
        self._replies -= 1

    def _ends_silently(self) -> bool:
        """Return whether the server closes after quit without a reply, as a known deviation."""
        known = self.deviations.find(Form.SILENT, "quit")
        if known is None or self._replies > len(self._lines) or self._lines[self._replies - 1] != b"quit":
            return False
        self._skip_due()
        if not self.closes_silently():
            return False
        self.tolerated.add(known[1])
        return True

    def _check_pace(self) -> None:
        """Raise Incomplete if replies arrive too slowly for the last one to arrive before the deadline."""
        done = self._replies - 1
        if done < PACE_REPLIES:
            return
        now = monotonic()
        seconds = now - self._began
        if seconds < PACE_SECONDS:
            return
        if (len(self._lines) - done) * seconds / done > _PACE_MARGIN * (self.deadline - now):
            raise Incomplete(TOO_SLOW)

    # --- Known deviations ------------------------------------------------------------------------

    def _name_reply(self, code: int) -> str:
        """Return the name of the reply that begins with a code, as in `Deviation.replies`."""
        command = self._lines[self._replies - 1] if self._replies <= len(self._lines) else b""
        name, _, arguments = command.partition(b" ")
        self._reply = str(code) if code else "raw" if arguments.endswith(b" raw") else name.decode("latin-1")
        return self._reply

    def _end_reply(self) -> None:
        """Mark the current reply as complete."""
        self._due = self.deviations.find(Form.EXTRA, self._reply)

    def _skip_due(self) -> None:
        """Skip the extra bytes that are known to follow the previous reply, if they are there."""
        if self._due is not None:
            (data, deviation), self._due = self._due, None
            self._skip(data, deviation)

    def _skip_what_comes_first(self) -> None:
        if not self.deviations:
            return
        if self._replies == 1 and (greeting := self.deviations.find(Form.GREETING, "connect")):
            self._skip(*greeting)
        if echo := self.deviations.find(Form.ECHO, "line"):
            sent = self._lines[self._replies - 1] if self._replies <= len(self._lines) else self._begun
            if self.drop_line(lambda line: _is_echo(line, sent), LINE_BYTES):
                self.tolerated.add(echo[1])

    def _skip(self, data: bytes, deviation: Deviation) -> None:
        """Drop the bytes of a deviation, if they are next in the stream."""
        if self.drop(data):
            self.tolerated.add(deviation)

    def _say_rest_again(self) -> None:
        """Reconnect to a server that closes where it must not, and resend the commands without a reply."""
        left = self._lines[self._replies - 1 :]
        if any(len(line) == LINE_BYTES for line in left):
            return  # truncated, so it cannot be resent
        has_left = self.has_left
        self._socket.close()
        self._connect()
        self.latest = None
        super().send(b"".join(line + b"\r\n" for line in left))
        if has_left:
            self.half_close()

    def _read_line_of(self, part: str, expected: str) -> bytes:
        """Read a line of a part of a reply; a bare LF is tolerated if it is a known deviation."""
        known = self.deviations.find(Form.BARE_LF, part)
        line = self.read_line(expected, allow_bare_lf=known is not None)
        if known and self.is_line_bare:
            self.tolerated.add(known[1])
        return line

    def read_end(self, expected: str = "the end of the stream", *, quiet_seconds: float = QUIET_SECONDS) -> None:
        """Require that the server closes without sending more, known deviations aside; raise Failure.

        A server that is known to stay open only has to stay silent for `quiet_seconds`.
        """
        self._skip_due()
        stays = self._reply if self._reply == "quit" else "fatal" if self.latest and self.latest.code in FATAL else ""
        known = self.deviations.find(Form.STAYS_OPEN, stays)
        if known and self.is_quiet(quiet_seconds):
            self.tolerated.add(known[1])
            return
        super().read_end(expected)

    def send_quit(self) -> bool:
        """Send quit unrecorded, after ending an unfinished line; return whether the server is expected to close."""
        if self.is_over or self.has_quit:
            return False
        self.go_off_record()
        self.send((b"\r\nquit" if self._begun else b"quit") + b"\r\n")
        return not self.is_silent and not self.deviations.find(Form.STAYS_OPEN, "quit")

    def part(self) -> None:
        """Send quit, wait up to 0.3 s for EOF if the server replies at all, and close."""
        if self.send_quit():
            self.timeout_seconds = min(self.timeout_seconds, PARTING_SECONDS)
            self.collect(lambda _data: False, seconds=PARTING_SECONDS)
        self.close()

    # --- What follows a status of 0 --------------------------------------------------------------

    def read_until_line_end(self, expected: str, *, allow_bare_lf: bool = False) -> Iterator[bytes]:
        """Yield a line of any length in pieces; a bare LF is tolerated if it is a known deviation."""
        known = self.deviations.find(Form.BARE_LF, "slice")
        yield from super().read_until_line_end(expected, allow_bare_lf=allow_bare_lf or known is not None)
        if known and self.is_line_bare:
            self.tolerated.add(known[1])


def _is_echo(line: bytes, sent: bytes) -> bool:
    """Return whether a line equals or begins a sent line, with or without surrounding whitespace."""
    if not line:
        return not sent or sent[:1].isspace()
    return sent.startswith(line) or sent.strip().startswith(line)

"""A connection that sends commands, and reads the lines of their replies as strictly as the protocol defines them."""

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar, cast

from conformance.client.connection import TOO_SLOW
from conformance.client.expectations import NAMED, malformed, one_of
from conformance.client.raw_connection import RawConnection
from conformance.client.recording import escape
from conformance.client.status import CODES, Status
from conformance.failures import Failure, Incomplete, Kind
from conformance.language import Message

LINE_TIMEOUTS: Final = 2.0
"""Maximum time for a line that arrives in parts, in multiples of one timeout."""
LINE_BYTES: Final = 1 << 16
"""Maximum length of a line, except for base64, which is read in pieces."""
KEPT_BYTES: Final = 200
"""How many bytes of each sent command line are kept."""
PACE_REPLIES: Final = 10
PACE_SECONDS: Final = 4.0
"""After this many replies and seconds, the pace shows whether the remaining ones can arrive in time."""
_PACE_MARGIN: Final = 2.0
"""By what factor the estimated time must exceed the remaining time."""
STATUS_LINE: Final = re.compile(rb"(0|[1-9][0-9]*)(?:( )(.*))?", re.DOTALL)
EMPTY_LINE: Final = Message("an empty line")

_Read = TypeVar("_Read", bound=Callable[..., Any])


def names_its_command(read: _Read) -> _Read:
    """Add to a failure which command got the reply, if it is not the last one that was sent."""

    @functools.wraps(read)
    def read_and_name(client: "CommandConnection", *arguments: Any, **more: Any) -> Any:  # noqa: ANN401  (the method's own)
        try:
            return read(client, *arguments, **more)
        except Failure as failure:
            client.name_command(failure)
            raise

    return cast("_Read", read_and_name)


class CommandConnection(RawConnection):
    """A connection that sends commands and reads lines; `latest` is the last status line read.

    It keeps the sent command lines, and which of them have been answered.
    """

    latest: Status | None = None
    _replies: int = 0  # status lines requested so far
    _begun: bytes = b""  # the start of an unfinished line
    _has_cr: bool = False  # a trailing CR, which may belong to the next LF

    def __init__(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  (those of Connection)
        self._lines: list[bytes] = []
        super().__init__(*arguments, **more)
        self._began = self.clock()

    # --- Commands --------------------------------------------------------------------------------

    def send(self, data: bytes, *, is_apart: bool = True) -> bool:
        """Send bytes, and keep the command lines in them."""
        data_and_cr = b"\r" + data if self._has_cr else data
        self._has_cr = data_and_cr.endswith(b"\r")
        *lines, rest = (data_and_cr[:-1] if self._has_cr else data_and_cr).split(b"\r\n")
        for line in lines:
            self._lines.append((self._begun + line[:KEPT_BYTES])[:KEPT_BYTES])
            self._begun = b""
        self._begun = (self._begun + rest[:KEPT_BYTES])[:KEPT_BYTES]
        return super().send(data, is_apart=is_apart)

    def send_line(self, command: str | bytes) -> None:
        """Send one command line; the CR LF is added."""
        self.send((command.encode("latin-1") if isinstance(command, str) else command) + b"\r\n")

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
        count = len(self._lines)
        return Message("{line} (command {number} of {count})", line=escape(line), number=self._replies, count=count)

    def name_command(self, failure: Failure) -> Failure:
        """Add to a failure which command got the reply, and return it."""
        failure.asked = failure.asked or self.asked
        return failure

    def expect_again(self) -> None:
        """Expect the next status line for the command whose reply timed out."""
        self._replies -= 1

    def send_quit(self) -> bool:
        """Send quit unrecorded, after ending an unfinished line; return whether the server is expected to close."""
        if self.is_over or self.has_quit:
            return False
        self.go_off_record()
        self.send((b"\r\nquit" if self._begun else b"quit") + b"\r\n")
        return not self.is_silent

    # --- Lines of replies ------------------------------------------------------------------------

    def status(self, *codes: int, cause: str = "") -> Status:
        """Read a status line, and require one of the codes; without codes, any that the protocol defines.

        Raises Failure: malformed, status, and those of reading. `cause` is the likely cause of another code.
        """
        self._replies += 1
        if self._replies > PACE_REPLIES:
            self._check_pace()
        expected = NAMED.get(codes[0], str(codes[0])) if len(codes) == 1 else one_of(codes)
        try:
            self.latest = status = self._read_status(codes, expected)
        except Failure as failure:
            self.name_command(failure)
            raise
        if status.code not in (codes or CODES):
            raise self.name_command(Failure(Kind.STATUS, expected, str(status), cause))
        return status

    def status_line(self, expected: str) -> bytes:
        """Read the first line of a reply verbatim; raise Failure."""
        self._replies += 1
        return self.read_line(expected)

    def line(self, expected: str) -> bytes:
        """Read a line of the current reply."""
        return self.read_line(expected)

    def replies(self, parts: Iterable[int | str]) -> None:
        """Require parts of replies, in order: a status line for each code, and exactly this line for each text."""
        for part in parts:
            if isinstance(part, int):
                self.status(part)
            elif (line := self.line(part or EMPTY_LINE).decode("latin-1")) != part:
                raise other_line(part, line)

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

    def _read_status(self, codes: Sequence[int], expected: str) -> Status:
        """Read a status line, of which one of these codes is expected; raise Failure."""
        del codes
        line = self.read_line(expected)
        if (found := STATUS_LINE.fullmatch(line)) is None:
            raise malformed(line, expected)
        return Status(int(found[1][:9]), line)

    def _check_pace(self) -> None:
        """Raise Incomplete if replies arrive too slowly for the last one to arrive before the deadline."""
        done = self._replies - 1
        now = self.clock()
        seconds = now - self._began
        if seconds < PACE_SECONDS:
            return
        if (len(self._lines) - done) * seconds / done > _PACE_MARGIN * (self.deadline - now):
            raise Incomplete(TOO_SLOW)


def other_line(wanted: str, line: str) -> Failure:
    """Return the failure of a line of a reply that is not the wanted one."""
    return Failure(Kind.BODY, wanted or EMPTY_LINE, escape(line.encode("latin-1")) or EMPTY_LINE)

"""An HFTP client that reads the replies of a dialect, as strictly as the protocol defines them."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from conformance.client.bodies import READERS
from conformance.client.connection import TOO_SLOW
from conformance.client.expectations import AFTER_FATAL, AFTER_QUIT, NAMED, OUT_OF_STEP, malformed, one_of
from conformance.client.raw_connection import RawConnection
from conformance.client.recording import escape
from conformance.client.status import CODES, FATAL, Status
from conformance.failures import Failure, Incomplete, Kind
from conformance.fixtures.content import Content
from conformance.fixtures.words import Words
from conformance.language import Message

LISTED_NAMES: Final = 200_000
"""The longest listing to read; the largest that the suite creates has 10,000 names."""
LISTED_BYTES: Final = 32 << 20
"""The largest listing to read, in bytes of its names; the largest that the suite creates has 0.2 MiB."""
CLOSING_SECONDS: Final = 0.3
"""How long a client waits for EOF after quit, which shows that the server has released it."""
LINE_BYTES: Final = 200
"""How many bytes of each sent command line are kept."""
PACE_REPLIES: Final = 10
PACE_SECONDS: Final = 4.0
"""After this many replies and seconds, the pace shows whether the remaining ones can arrive in time."""
_PACE_MARGIN: Final = 2.0
"""By what factor the estimated time must exceed the remaining time."""
STATUS_LINE: Final = re.compile(rb"(0|[1-9][0-9]*)(?:( )(.*))?", re.DOTALL)
_SIZE: Final = re.compile(rb"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Slice:
    """A slice: its first 64 KiB, and how many lines or fragments it came in."""

    data: bytes
    lines: int


_Read = TypeVar("_Read", bound=Callable[..., Any])


def _names_its_command(read: _Read) -> _Read:
    """Add to a failure which command got the reply, if it is not the last one that was sent."""

    @functools.wraps(read)
    def read_and_name(client: "Client", *arguments: Any, **more: Any) -> Any:  # noqa: ANN401  (the method's own)
        try:
            return read(client, *arguments, **more)
        except Failure as failure:
            client.name_command(failure)
            raise

    return cast("_Read", read_and_name)


class Client(RawConnection):
    """A connection that sends commands and reads replies; `dialect` decides the form of a slice.

    `words` has the unknown command of the run, and `latest` is the last status line read. The client keeps the sent
    command lines, and which of them have been answered.
    """

    dialect: str = "2026"
    words: Words = Words()
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
            self._lines.append((self._begun + line[:LINE_BYTES])[:LINE_BYTES])
            self._begun = b""
        self._begun = (self._begun + rest[:LINE_BYTES])[:LINE_BYTES]
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

    # --- Replies ---------------------------------------------------------------------------------

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

    @_names_its_command
    def listing(self) -> list[bytes]:
        """Read names, one per line, up to the empty line."""
        names: list[bytes] = []
        size = 0
        while line := self._read_line_of("listing", Message("a name, or the empty line that ends the listing")):
            names.append(line)
            size += len(line)
            if len(names) > LISTED_NAMES or size > LISTED_BYTES:
                got = (
                    Message("more than {count} names", count=LISTED_NAMES)
                    if size <= LISTED_BYTES
                    else Message("more than {most} bytes", most=LISTED_BYTES)
                )
                raise Failure(Kind.TOO_MUCH, Message("the end of the listing"), got)
        self._end_reply()
        return names

    @_names_its_command
    def size(self) -> int:
        """Read a size on a line of its own."""
        expected = Message("a size: decimal digits on a line of their own")
        line = self._read_line_of("size", expected)
        if not _SIZE.fullmatch(line):
            raise Failure(Kind.MALFORMED, expected, escape(line))
        self._end_reply()
        return int(line)

    def line(self, expected: str) -> bytes:
        """Read a line of the current reply."""
        return self.read_line(expected)

    @_names_its_command
    def slice(self, content: Content | None, offset: int, size: int, form: str = "") -> Slice:
        """Read a slice in the dialect's form (`form` is the fourth argument), and compare its bytes with a file's.

        Without content, only check form and length. Raises Failure: malformed, body.
        """
        lines = 0
        kept = bytearray()
        position = offset
        for piece, ends_line in READERS[self._slice_form(form)](self, size):
            lines += ends_line
            if content is not None:
                _compare(content, position, piece)
            position += len(piece)
            kept += piece[: (1 << 16) - len(kept)]
        if position != offset + size:
            raise Failure(
                Kind.BODY, Message("{size} bytes", size=size), Message("{size} bytes", size=position - offset)
            )
        self._end_reply()
        return Slice(bytes(kept), lines)

    # --- Check that nothing else was sent --------------------------------------------------------

    def in_step(self) -> Status:
        """Require that replies are in step: the next command gets the next reply.

        After a fatal status, require the end of the stream instead. Returns the status line.
        """
        if self.latest is not None and self.latest.is_fatal:
            self.read_end(AFTER_FATAL)
            self.close()
            return self.latest
        self.send_line(self.words.unknown)
        latest = self.status(200, 201, 202, cause=OUT_OF_STEP)
        self.finish()
        return latest

    def finish(self) -> None:
        """Send quit, require its reply and EOF with nothing in between, and close."""
        self.send_line("quit")
        self.leave()

    def leave(self) -> None:
        """Require the reply to quit and EOF, and close."""
        self.status(0)
        self.read_end(AFTER_QUIT)
        self.close()  # a server that lingers would still count this client

    def send_quit(self) -> bool:
        """Send quit unrecorded, after ending an unfinished line; return whether the server is expected to close."""
        if self.is_over or self.has_quit:
            return False
        self.go_off_record()
        self.send((b"\r\nquit" if self._begun else b"quit") + b"\r\n")
        return not self.is_silent

    def quit_and_close(self) -> None:
        """Send quit, wait up to 0.3 s for EOF if the server replies at all, and close."""
        if self.send_quit():
            self.timeout_seconds = min(self.timeout_seconds, CLOSING_SECONDS)
            self.collect(lambda _data: False, seconds=CLOSING_SECONDS)
        self.close()

    # --- What servers with known deviations do otherwise, see tolerant.py ------------------------

    def _read_status(self, codes: Sequence[int], expected: str) -> Status:
        """Read a status line, of which one of these codes is expected; raise Failure."""
        del codes
        line = self.read_line(expected)
        if (found := STATUS_LINE.fullmatch(line)) is None:
            raise malformed(line, expected)
        return Status(int(found[1][:9]), line)

    def _read_line_of(self, part: str, expected: str) -> bytes:
        """Read a line of a part of a reply, `listing` or `size`; raise Failure."""
        del part
        return self.read_line(expected)

    def _slice_form(self, form: str) -> str:
        """Return the name of the form of a slice in `bodies.READERS`."""
        return form or self.dialect

    def _end_reply(self) -> None:
        """Note that the current reply has been read."""

    def _check_pace(self) -> None:
        """Raise Incomplete if replies arrive too slowly for the last one to arrive before the deadline."""
        done = self._replies - 1
        now = self.clock()
        seconds = now - self._began
        if seconds < PACE_SECONDS:
            return
        if (len(self._lines) - done) * seconds / done > _PACE_MARGIN * (self.deadline - now):
            raise Incomplete(TOO_SLOW)


def fetch(client: Client, name: bytes, offset: int, size: int, content: Content | None = None) -> Slice:
    """Request a slice, require status 0, and read it."""
    client.send_line(b"get_slice %b %d %d" % (name, offset, size))
    client.status(0)
    return client.slice(content, offset, size)


def replies(client: Client, codes: Sequence[int]) -> None:
    """Read one status line for each of these codes, in order."""
    for code in codes:
        client.status(code)


def _compare(content: Content, position: int, piece: bytes) -> None:
    wanted = content.read(position, len(piece))
    if wanted == piece:
        return
    at = next((i for i, (a, b) in enumerate(zip(wanted, piece, strict=False)) if a != b), min(len(wanted), len(piece)))
    raise Failure(
        Kind.BODY,
        Message(
            "at offset {offset} of the file: {wanted}",
            offset=position + at,
            wanted=escape(wanted[at : at + 16]) or Message("its end"),
        ),
        escape(piece[at : at + 16]),
    )


__all__ = [
    "CLOSING_SECONDS",
    "CODES",
    "FATAL",
    "OUT_OF_STEP",
    "Client",
    "Slice",
    "Status",
    "fetch",
    "replies",
]

"""A client of HFTP: reads replies as its dialect has them, and is strict only where the protocol is."""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from conformance.bodies import READERS
from conformance.content import Content
from conformance.deviations import NO_DEVIATIONS, Deviation, Deviations, Form
from conformance.failure import Failure, Kind
from conformance.peer import Peer
from conformance.record import shown

CODES: Final = {
    0: "OK",
    100: "BAD EOL",
    101: "BAD REQUEST",
    199: "INTERNAL SERVER ERROR",
    200: "NO SUCH COMMAND",
    201: "INVALID ARGUMENTS FOR COMMAND",
    202: "FILE NOT FOUND",
    203: "OFFSET EXCEEDS FILE SIZE",
}
FATAL: Final = range(100, 200)
LISTED_NAMES: Final = 200_000
"""No listing is longer; the largest that the suite makes has 10,000 names."""
UNKNOWN: Final = b"hftp_conformance_probe"
"""A command that no server knows."""

_STATUS_LINE: Final = re.compile(rb"(0|[1-9][0-9]*)(?:( )(.*))?", re.DOTALL)
_SIZE: Final = re.compile(rb"0|[1-9][0-9]{0,18}")
OUT_OF_STEP: Final = "the next command got a reply that is not its own: more or less than one reply was sent before"
QUIET_SECONDS: Final = 0.1
"""How long a server that stays open where it has to close must say nothing more."""
PARTING_SECONDS: Final = 0.3
"""How long a client that leaves waits for the end, which shows that the server has let it go."""
LINE_BYTES: Final = 200
"""How much of each command line is kept in mind."""


@dataclass(frozen=True)
class Status:
    """A status line."""

    code: int
    line: bytes
    closes: bool = False
    """Whether this server closes after it, though it must not: a known deviation."""

    @property
    def is_fatal(self) -> bool:
        """Whether the connection ends after it."""
        return self.code in FATAL or self.closes

    def __str__(self) -> str:
        return shown(self.line)


@dataclass(frozen=True)
class Slice:
    """How a slice came; its bytes were compared as they came, and are kept if there are few."""

    data: bytes
    lines: int


_Read = TypeVar("_Read", bound=Callable[..., Any])


def _about_its_command(read: _Read) -> _Read:
    """Have a failure of a method tell which command got that reply, if it was not the last one that was sent."""

    @functools.wraps(read)
    def told(client: "Client", *words: Any, **more: Any) -> Any:  # noqa: ANN401  (those of the method)
        try:
            return read(client, *words, **more)
        except Failure as failure:
            failure.asked = failure.asked or client.asked
            raise

    return cast("_Read", told)


class Client(Peer):
    """A peer that knows the forms of replies.

    `dialect` decides how a slice is read. `latest` is the status line that was read last.
    """

    dialect: str = "2026"
    deviations: Deviations = NO_DEVIATIONS
    latest: Status | None = None
    _replies: int = 0  # status lines that were asked for
    _begun: bytes = b""  # the beginning of a line that has no end yet
    _has_cr: bool = False  # which may belong to the next LF
    _due: tuple[bytes, Deviation] | None = None  # what is known to follow the reply that was read last
    _reply: str = ""  # names the reply whose body is being read

    def __init__(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401  (those of Peer)
        self.tolerated: set[Deviation] = set()
        """The deviations that made a difference."""
        self._lines: list[bytes] = []
        super().__init__(*arguments, **more)

    @property
    def has_quit(self) -> bool:
        """Whether the last line that was sent is quit."""
        return bool(self._lines) and self._lines[-1] == b"quit" and not self._begun

    @property
    def asked(self) -> str:
        """Which command the reply belongs to that is being read, for people; empty if it is the last, or not known."""
        if not 0 < self._replies < len(self._lines):
            return ""
        line = self._lines[self._replies - 1] + b"\r\n"
        return f"{shown(line)} (command {self._replies} of {len(self._lines)})"

    # --- Commands --------------------------------------------------------------------------------

    def send(self, data: bytes, *, is_apart: bool = True) -> bool:
        """Send bytes, as every peer does, and keep them in mind."""
        data_and_cr = b"\r" + data if self._has_cr else data
        self._has_cr = data_and_cr.endswith(b"\r")
        *lines, rest = (data_and_cr[:-1] if self._has_cr else data_and_cr).split(b"\r\n")
        for line in lines:
            self._lines.append((self._begun + line[:LINE_BYTES])[:LINE_BYTES])
            self._begun = b""
        self._begun = (self._begun + rest[:LINE_BYTES])[:LINE_BYTES]
        return super().send(data, is_apart=is_apart)

    def say(self, command: str | bytes) -> None:
        """Send one command line; the CR LF is added."""
        self.send((command.encode("latin-1") if isinstance(command, str) else command) + b"\r\n")

    @_about_its_command
    def status(self, *codes: int, cause: str = "") -> Status:
        """Read a status line, and require one of the codes; without codes, any that the protocol has.

        Raises Failure: malformed, status, and what reading raises. `cause` says what is likely wrong with another code.
        """
        self._replies += 1
        allowed = codes or tuple(CODES)
        expected = _named(codes)
        if self.latest is not None and self.latest.closes:
            self._say_rest_again()
        self._skip_due()
        line = self._read_status_line(expected)
        code = self._code(line, expected)
        wanted = code if code in allowed else self._meant(code, codes)
        reply = self._name_reply(code)
        closes = self.deviations.find(Form.CLOSES, reply)
        if closes:
            self.tolerated.add(closes[1])
        is_meant_otherwise = wanted is not None and wanted != code
        closes_though = closes is not None or (is_meant_otherwise and code in FATAL)
        status = Status(code if wanted is None else wanted, line, closes=closes_though)
        self.latest = status
        if wanted is None:
            raise Failure(Kind.STATUS, expected, str(status), cause)
        if code or reply == "quit":
            self._end_reply()
        return status

    def status_line(self, expected: str) -> bytes:
        """Read the first line of a reply as it is, except for known deviations; raise Failure."""
        self._replies += 1
        line = self._read_status_line(expected)
        known = self.deviations.find(Form.STATUS_LINE, line.decode("latin-1"))
        if known is None:
            return line
        self.tolerated.add(known[1])
        return known[0] + b" " + line

    def _read_status_line(self, expected: str) -> bytes:
        self._skip_what_comes_first()
        return self._read_line_of("status", expected)

    def expect_again(self) -> None:
        """Let the next status line be that of the command whose reply did not come."""
        self._replies -= 1

    def _code(self, line: bytes, expected: str) -> int:
        """Return the code of a status line; raise Failure."""
        found = _STATUS_LINE.fullmatch(line)
        if found is not None:
            return int(found[1][:9])
        known = self.deviations.find(Form.STATUS_LINE, line.decode("latin-1"))
        if known is None:
            raise Failure(Kind.MALFORMED, f"{expected}, as a status line: CODE SP TEXT CR LF", shown(line))
        self.tolerated.add(known[1])
        return int(known[0])

    def _meant(self, code: int, codes: Sequence[int]) -> int | None:
        """Return which of some codes this server is known to mean by another one."""
        for wanted in codes:
            known = self.deviations.find(Form.CODE, str(wanted))
            if known and int(known[0]) == code:
                self.tolerated.add(known[1])
                return wanted
        return None

    # --- Known deviations ------------------------------------------------------------------------

    def _name_reply(self, code: int) -> str:
        """Return the name of the reply that begins with a code, as `Deviation.replies` has it."""
        command = self._lines[self._replies - 1] if self._replies <= len(self._lines) else b""
        name, _, arguments = command.partition(b" ")
        self._reply = str(code) if code else "raw" if arguments.endswith(b" raw") else name.decode("latin-1")
        return self._reply

    def _end_reply(self) -> None:
        """Take note that a reply was read to its end."""
        self._due = self.deviations.find(Form.EXTRA, self._reply)

    def _skip_due(self) -> None:
        """Skip what is known to follow the reply before, if it does."""
        if self._due is not None:
            (data, deviation), self._due = self._due, None
            self._skip(data, deviation)

    def _skip_what_comes_first(self) -> None:
        if not self.deviations:
            return
        if self._replies == 1 and (greeting := self.deviations.find(Form.GREETING, "connect")):
            self._skip(*greeting)
        if self._replies <= len(self._lines) and (echo := self.deviations.find(Form.ECHO, "line")):
            self._skip(self._lines[self._replies - 1] + b"\r\n", echo[1])

    def _skip(self, data: bytes, deviation: Deviation) -> None:
        """Drop bytes that are expected, if they are what comes next."""
        if self.drop(data):
            self.tolerated.add(deviation)

    def _say_rest_again(self) -> None:
        """Connect anew to a server that closes where it must not, and send the commands that it did not answer."""
        left = self._lines[self._replies - 1 :]
        if any(len(line) == LINE_BYTES for line in left):
            return  # not all of it is known any more
        has_left = self.has_left
        self._socket.close()
        self._connect()
        self.latest = None
        super().send(b"".join(line + b"\r\n" for line in left))
        if has_left:
            self.half_close()

    def _read_line_of(self, part: str, expected: str) -> bytes:
        """Read a line of a part of replies, whose lines may be known to end in LF alone."""
        known = self.deviations.find(Form.BARE_LF, part)
        line = self.read_line(expected, allow_bare_lf=known is not None)
        if known and self.is_line_bare:
            self.tolerated.add(known[1])
        return line

    def read_end(self, expected: str = "the end of the stream", *, quiet_seconds: float = QUIET_SECONDS) -> None:
        """Require that the server closes, having said nothing more, except for known deviations; raises Failure.

        Of a server that is known to stay open, only require that it says nothing for `quiet_seconds`.
        """
        self._skip_due()
        stays = self._reply if self._reply == "quit" else "fatal" if self.latest and self.latest.code in FATAL else ""
        known = self.deviations.find(Form.STAYS_OPEN, stays)
        if known and self.is_quiet(quiet_seconds):
            self.tolerated.add(known[1])
            return
        super().read_end(expected)

    def say_goodbye(self) -> bool:
        """Say quit off the record, after the end of a line that was begun; return whether an end is to be expected."""
        if self.is_over or self.has_quit:
            return False
        self.go_off_record()
        self.send((b"\r\nquit" if self._begun else b"quit") + b"\r\n")
        return not self.is_silent and not self.deviations.find(Form.STAYS_OPEN, "quit")

    def part(self) -> None:
        """Leave politely: say quit, wait shortly for the end if the server answers at all, and close."""
        if self.say_goodbye():
            self.patience_seconds = min(self.patience_seconds, PARTING_SECONDS)
            self.collect(lambda _data: False)
        self.close()

    # --- What follows a status of 0 --------------------------------------------------------------

    @_about_its_command
    def listing(self) -> list[bytes]:
        """Read names, one a line, up to the empty line."""
        names: list[bytes] = []
        while line := self._read_line_of("listing", "a name, or the empty line that ends the listing"):
            names.append(line)
            if len(names) > LISTED_NAMES:
                raise Failure(Kind.TOO_MUCH, "the end of the listing", f"more than {LISTED_NAMES} names")
        self._end_reply()
        return names

    @_about_its_command
    def size(self) -> int:
        """Read a size on a line of its own."""
        line = self.size_line("a size: decimal digits on a line of their own")
        if not _SIZE.fullmatch(line):
            raise Failure(Kind.MALFORMED, "a size: decimal digits on a line of their own", shown(line))
        return int(line)

    def read_until_line_end(self, expected: str, *, allow_bare_lf: bool = False) -> Iterator[bytes]:
        """Yield a line of any length in pieces; the lines of slices may be known to end in LF alone."""
        known = self.deviations.find(Form.BARE_LF, "slice")
        yield from super().read_until_line_end(expected, allow_bare_lf=allow_bare_lf or known is not None)
        if known and self.is_line_bare:
            self.tolerated.add(known[1])

    def line(self, expected: str) -> bytes:
        """Read a line of the reply to the command that was answered last."""
        return self.size_line(expected) if self._reply == "get_metadata" else self.read_line(expected)

    def size_line(self, expected: str) -> bytes:
        """Read the line that has a size, without the bytes that this server is known to put around the digits."""
        line = self._read_line_of("size", expected)
        for around, remove in (("prefix", bytes.removeprefix), ("suffix", bytes.removesuffix)):
            known = self.deviations.find(Form.SIZE, around)
            if known and known[0] and remove(line, known[0]) != line:
                self.tolerated.add(known[1])
                line = remove(line, known[0])
        self._end_reply()
        return line

    @_about_its_command
    def slice(self, content: Content | None, offset: int, size: int, form: str = "") -> Slice:
        """Read a slice in the dialect's form (`form` is the fourth argument), and compare its bytes with a file's.

        Without content, only the form and the length are judged. Raises Failure: malformed, body.
        """
        name = form or self.dialect
        known = self.deviations.find(Form.SLICE, "raw" if form else "get_slice")
        pieces = READERS[known[0].decode() if known else name](self, size)
        if known:
            self.tolerated.add(known[1])
        lines = 0
        kept = bytearray()
        position = offset
        for piece, ends_line in pieces:
            lines += ends_line
            if content is not None:
                _compare(content, position, piece)
            position += len(piece)
            kept += piece[: (1 << 16) - len(kept)]
        if position != offset + size:
            raise Failure(Kind.BODY, f"{size} bytes", f"{position - offset} bytes")
        self._end_reply()
        return Slice(bytes(kept), lines)

    # --- Proof that nothing else was said --------------------------------------------------------

    def in_step(self) -> Status:
        """Require that the next command gets the next reply: nothing was said too much or too little.

        After a fatal status, require the end of the stream instead. Returns the status line.
        """
        if self.latest is not None and self.latest.is_fatal:
            self.read_end("the end of the stream after a fatal status")
            self.close()
            return self.latest
        self.say(UNKNOWN)
        latest = self.status(200, 201, 202, cause=OUT_OF_STEP)
        self.finish()
        return latest

    def finish(self) -> None:
        """Say quit, require its reply and the end of the stream (nothing else was said), and leave."""
        self.say("quit")
        self.leave()

    def leave(self) -> None:
        """Require the reply to quit and the end of the stream, and leave."""
        self.status(0)
        self.read_end("the end of the stream after quit", quiet_seconds=0.0)
        self.close()  # a server that lingers for it would count it among its clients


def fetch(client: Client, name: bytes, offset: int, size: int, content: Content | None = None) -> Slice:
    """Ask for a slice, require 0, and read it."""
    client.say(b"get_slice %b %d %d" % (name, offset, size))
    client.status(0)
    return client.slice(content, offset, size)


def replies(client: Client, codes: Sequence[int]) -> None:
    """Read status lines that have these codes, one after the other."""
    for code in codes:
        client.status(code)


@functools.cache
def _named(codes: tuple[int, ...]) -> str:
    return " or ".join(f"{code} {CODES.get(code, '')}".rstrip() for code in codes) or "a status line"


def _compare(content: Content, position: int, piece: bytes) -> None:
    wanted = content.read(position, len(piece))
    if wanted == piece:
        return
    at = next((i for i, (a, b) in enumerate(zip(wanted, piece, strict=False)) if a != b), min(len(wanted), len(piece)))
    raise Failure(
        Kind.BODY,
        f"at offset {position + at} of the file: {shown(wanted[at : at + 16]) or 'its end'}",
        shown(piece[at : at + 16]),
    )

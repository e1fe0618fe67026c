"""A client of HFTP: reads replies as its dialect has them, and is strict only where the protocol is."""

import binascii
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import pybase64

from conformance.content import Content
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
_FRAGMENT_LENGTH_BYTES: Final = 20
SAID_BYTES: Final = 1 << 20
"""Of a client that has said more it is not known which command a reply belongs to."""


@dataclass(frozen=True)
class Status:
    """A status line."""

    code: int
    line: bytes

    @property
    def is_fatal(self) -> bool:
        """Whether the server has to close after it."""
        return self.code in FATAL

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
    latest: Status | None = None
    _replies: int = 0  # status lines that were asked for
    _said: bytes = b""  # up to SAID_BYTES

    @property
    def asked(self) -> str:
        """Which command the reply belongs to that is being read, for people; empty if it is the last, or not known."""
        lines = self._said.split(b"\r\n")[:-1]
        if len(self._said) > SAID_BYTES or not 0 < self._replies < len(lines):
            return ""
        line = lines[self._replies - 1] + b"\r\n"
        return f"{shown(line)} (command {self._replies} of {len(lines)})"

    # --- Commands --------------------------------------------------------------------------------

    def send(self, data: bytes, *, is_apart: bool = True) -> bool:
        """Send bytes, as every peer does, and keep them in mind."""
        if len(self._said) <= SAID_BYTES:
            self._said += data[: SAID_BYTES + 1]
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
        line = self.read_line(expected)
        found = _STATUS_LINE.fullmatch(line)
        if found is None:
            raise Failure(Kind.MALFORMED, f"{expected}, as a status line: CODE SP TEXT CR LF", shown(line))
        status = Status(int(found[1][:9]), line)
        self.latest = status
        if status.code not in allowed:
            raise Failure(Kind.STATUS, expected, str(status), cause)
        return status

    # --- What follows a status of 0 --------------------------------------------------------------

    @_about_its_command
    def listing(self) -> list[bytes]:
        """Read names, one a line, up to the empty line."""
        names: list[bytes] = []
        while line := self.read_line("a name, or the empty line that ends the listing"):
            names.append(line)
            if len(names) > LISTED_NAMES:
                raise Failure(Kind.TOO_MUCH, "the end of the listing", f"more than {LISTED_NAMES} names")
        return names

    @_about_its_command
    def size(self) -> int:
        """Read a size on a line of its own."""
        line = self.read_line("a size: decimal digits on a line of their own")
        if not _SIZE.fullmatch(line):
            raise Failure(Kind.MALFORMED, "a size: decimal digits on a line of their own", shown(line))
        return int(line)

    @_about_its_command
    def slice(self, content: Content | None, offset: int, size: int, form: str = "") -> Slice:
        """Read a slice in the dialect's form (`form` is the fourth argument), and compare its bytes with a file's.

        Without content, only the form and the length are judged. Raises Failure: malformed, body.
        """
        readers = {"raw": self._measured, "2018": self._plain, "2016": self._fragments}
        pieces = readers.get(form or self.dialect, self._base64)(size)
        lines = _Count()
        kept = bytearray()
        position = offset
        for piece, ends_line in pieces:
            lines.number += ends_line
            if content is not None:
                _compare(content, position, piece)
            position += len(piece)
            kept += piece[: (1 << 16) - len(kept)]
        if position != offset + size:
            raise Failure(Kind.BODY, f"{size} bytes", f"{position - offset} bytes")
        return Slice(bytes(kept), lines.number)

    def _plain(self, size: int) -> Iterator[tuple[bytes, bool]]:
        for piece in self.read_pieces(size, f"{size} bytes of the slice"):
            yield piece, False

    def _measured(self, size: int) -> Iterator[tuple[bytes, bool]]:
        for expected in (b"Content-Length: %d" % size, b""):
            line = self.read_line(shown(expected) or "an empty line")
            if line != expected:
                raise Failure(Kind.MALFORMED, shown(expected) or "an empty line", shown(line))
        yield from self._plain(size)

    def _fragments(self, size: int) -> Iterator[tuple[bytes, bool]]:
        left = size
        while True:
            length = self._fragment_length()
            if length > left:
                raise Failure(Kind.BODY, f"a fragment of at most {left} bytes", f"one of {length}")
            for piece in self.read_pieces(length, f"a fragment of {length} bytes"):
                yield piece, False
            end = self.read(2, "the CR LF that ends a fragment")
            if end != b"\r\n":
                raise Failure(Kind.MALFORMED, "the CR LF that ends a fragment", shown(end))
            if not length:
                return
            yield b"", True
            left -= length

    def _fragment_length(self) -> int:
        digits = b""
        expected = "a fragment: LENGTH SP DATA CR LF"
        while not digits.endswith(b" "):
            digits += self.read(1, expected)
            if len(digits) > _FRAGMENT_LENGTH_BYTES or not _SIZE.fullmatch(digits.removesuffix(b" ")):
                raise Failure(Kind.MALFORMED, expected, shown(digits))
        return int(digits)

    def _base64(self, size: int) -> Iterator[tuple[bytes, bool]]:
        """Yield what the lines hold; there is one, or more in 2026 as long as bytes are missing."""
        left = size
        while True:
            got = 0
            for data in self._base64_line():
                got += len(data)
                yield data, False
            yield b"", True
            left -= got
            if left <= 0 or got == 0:
                return
            if self.dialect != "2026":
                raise Failure(
                    Kind.BODY, f"{size} bytes on one line of base64", f"{size - left} bytes on the first line"
                )

    def _base64_line(self) -> Iterator[bytes]:
        text = b""
        for piece in self.read_until_line_end("a line of base64"):
            text += piece
            whole = max(0, len(text) - 4) // 4 * 4  # the last group waits, for only it may be padded
            if whole:
                yield _decoded(text[:whole], is_last=False)
                text = text[whole:]
        yield _decoded(text, is_last=True)

    # --- Proof that nothing else was said --------------------------------------------------------

    def in_step(self) -> Status:
        """Require that the next command gets the next reply: nothing was said too much or too little.

        After a fatal status, require the end of the stream instead. Returns the status line.
        """
        if self.latest is not None and self.latest.is_fatal:
            self.read_end("the end of the stream after a fatal status")
            return self.latest
        self.say(UNKNOWN)
        latest = self.status(200, 201, 202, cause="the reply belongs to another command: replies are out of step")
        self.finish()
        return latest

    def finish(self) -> None:
        """Say quit, require its reply and the end of the stream (nothing else was said), and leave."""
        self.say("quit")
        self.leave()

    def leave(self) -> None:
        """Require the reply to quit and the end of the stream, and leave."""
        self.status(0)
        self.read_end("the end of the stream after quit")
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


class _Count:
    number = 0


def _decoded(text: bytes, *, is_last: bool) -> bytes:
    try:
        if not is_last and b"=" in text:
            raise binascii.Error  # noqa: TRY301  (as the decoder would)
        return pybase64.b64decode(text, validate=True)
    except binascii.Error:
        raise Failure(Kind.MALFORMED, "standard base64 with padding (RFC 4648 section 4)", shown(text[-80:])) from None


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

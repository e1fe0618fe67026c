"""An HFTP client that reads the replies of a dialect, as strictly as the protocol defines them."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from conformance.client.bodies import READERS
from conformance.client.deviations import Form
from conformance.client.recording import escape
from conformance.client.status import CODES, FATAL, Status
from conformance.client.tolerant import PARTING_SECONDS, TolerantConnection
from conformance.failures import Failure, Kind
from conformance.fixtures.content import Content

LISTED_NAMES: Final = 200_000
"""The longest listing to read; the largest that the suite creates has 10,000 names."""
UNKNOWN: Final = b"hftp_conformance_probe"
"""A command that no server implements."""

SILENT_QUIT: Final = b"0 OK"
"""Replaces the reply of a server that is known to close after quit without one."""
_STATUS_LINE: Final = re.compile(rb"(0|[1-9][0-9]*)(?:( )(.*))?", re.DOTALL)
_SIZE: Final = re.compile(rb"0|[1-9][0-9]{0,18}")
OUT_OF_STEP: Final = "the next command got a reply that is not its own: more or less than one reply was sent before"


@dataclass(frozen=True)
class Slice:
    """A slice: its first 64 KiB, and how many lines or fragments it came in."""

    data: bytes
    lines: int


_Read = TypeVar("_Read", bound=Callable[..., Any])


def _about_its_command(read: _Read) -> _Read:
    """Add to a failure which command got the reply, if it is not the last one that was sent."""

    @functools.wraps(read)
    def told(client: "Client", *words: Any, **more: Any) -> Any:  # noqa: ANN401  (the method's own)
        try:
            return read(client, *words, **more)
        except Failure as failure:
            failure.asked = failure.asked or client.asked
            raise

    return cast("_Read", told)


class Client(TolerantConnection):
    """A connection that reads replies; `dialect` decides the form of a slice."""

    dialect: str = "2026"

    @_about_its_command
    def status(self, *codes: int, cause: str = "") -> Status:
        """Read a status line, and require one of the codes; without codes, any that the protocol defines.

        Raises Failure: malformed, status, and those of reading. `cause` is the likely cause of another code.
        """
        self._replies += 1
        allowed = codes or tuple(CODES)
        expected = _named(codes)
        if self.latest is not None and self.latest.closes:
            self._say_rest_again()
        if 0 in allowed and self._ends_silently():
            self._reply = "quit"
            self.latest = Status(0, SILENT_QUIT)
            return self.latest
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
        """Read the first line of a reply verbatim, with known deviations undone; raise Failure."""
        self._replies += 1
        if self._ends_silently():
            return SILENT_QUIT
        line = self._read_status_line(expected)
        known = self.deviations.find(Form.STATUS_LINE, line.decode("latin-1"))
        if known is None:
            return line
        self.tolerated.add(known[1])
        return known[0] + b" " + line

    def _read_status_line(self, expected: str) -> bytes:
        self._check_pace()
        self._skip_what_comes_first()
        return self._read_line_of("status", expected)

    def _code(self, line: bytes, expected: str) -> int:
        """Return the code of a status line; raise Failure."""
        found = _STATUS_LINE.fullmatch(line)
        if found is not None:
            return int(found[1][:9])
        known = self.deviations.find(Form.STATUS_LINE, line.decode("latin-1"))
        if known is None:
            raise Failure(Kind.MALFORMED, f"{expected}, as a status line: CODE SP TEXT CR LF", escape(line))
        self.tolerated.add(known[1])
        return int(known[0])

    def _meant(self, code: int, codes: Sequence[int]) -> int | None:
        """Return the code among `codes` that this server is known to replace by `code`; None if there is none."""
        for wanted in codes:
            known = self.deviations.find(Form.CODE, str(wanted))
            if known and int(known[0]) == code:
                self.tolerated.add(known[1])
                return wanted
        return None

    # --- Known deviations ------------------------------------------------------------------------

    @_about_its_command
    def listing(self) -> list[bytes]:
        """Read names, one per line, up to the empty line."""
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
            raise Failure(Kind.MALFORMED, "a size: decimal digits on a line of their own", escape(line))
        return int(line)

    def line(self, expected: str) -> bytes:
        """Read a line of the current reply."""
        return self.size_line(expected) if self._reply == "get_metadata" else self.read_line(expected)

    def size_line(self, expected: str) -> bytes:
        """Read the line of a size, without the bytes that this server is known to put around the digits."""
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

        Without content, only check form and length. Raises Failure: malformed, body.
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

    # --- Check that nothing else was sent --------------------------------------------------------

    def in_step(self) -> Status:
        """Require that replies are in step: the next command gets the next reply.

        After a fatal status, require the end of the stream instead. Returns the status line.
        """
        if self.latest is not None and self.latest.is_fatal:
            self.read_end("the end of the stream after a fatal status")
            self.close()
            return self.latest
        self.send_line(UNKNOWN)
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
        self.read_end("the end of the stream after quit", quiet_seconds=0.0)
        self.close()  # a server that lingers would still count this client


def fetch(client: Client, name: bytes, offset: int, size: int, content: Content | None = None) -> Slice:
    """Request a slice, require status 0, and read it."""
    client.send_line(b"get_slice %b %d %d" % (name, offset, size))
    client.status(0)
    return client.slice(content, offset, size)


def replies(client: Client, codes: Sequence[int]) -> None:
    """Read one status line for each of these codes, in order."""
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
        f"at offset {position + at} of the file: {escape(wanted[at : at + 16]) or 'its end'}",
        escape(piece[at : at + 16]),
    )


__all__ = [
    "CODES",
    "FATAL",
    "OUT_OF_STEP",
    "PARTING_SECONDS",
    "UNKNOWN",
    "Client",
    "Slice",
    "Status",
    "fetch",
    "replies",
]

"""Compare the body of a reply with what the model expects, as it arrives."""

import binascii
import re
from collections.abc import Generator
from typing import Final

import pybase64

from conformance.failures import Kind
from conformance.language import Message
from conformance.oracle.answers import Body, Listing, Names, Nothing, Size, Slice
from conformance.oracle.reading import BrokenRule, NotJudgedError, Reader, Steps, shown

_PIECE_BYTES: Final = 1 << 16
_MOST_NAMES: Final = 100_000
_NUMBER: Final = re.compile(rb"0|[1-9][0-9]*")
_LENGTH: Final = re.compile(rb"(?:0|[1-9][0-9]{0,15}) ?")
_QUANTUM: Final = 4
"""Characters of base64 that are decoded together."""


def read_body(body: Body, reader: Reader, dialect: str) -> Steps:
    """Read a body; raise BrokenRule if it is another one, NotJudgedError if it is unknown."""
    if isinstance(body, Size):
        yield from _read_size(body, reader)
    elif isinstance(body, Slice):
        yield from _read_slice(body, reader, dialect)
    elif isinstance(body, Listing):
        yield from _read_listing(body, reader)
    elif isinstance(body, Names):
        names = yield from _read_names(reader, "HFTP-3.8")
        if missing := body.names - set(names):
            raise BrokenRule(
                Kind.BODY, "HFTP-3.8", Message("the command {name}", name=shown(min(missing))), _number_of(names)
            )
    elif not isinstance(body, Nothing):
        raise NotJudgedError


def _read_size(body: Size, reader: Reader) -> Steps:
    expected = Message("the size {size}", size=str(body.size))
    line = yield from reader.line("HFTP-5.1", expected)
    if line != str(body.size).encode():
        raise BrokenRule(Kind.BODY, "HFTP-5.2" if _NUMBER.fullmatch(line) else "HFTP-5.1", expected, shown(line))


# --- Names ---------------------------------------------------------------------------------------


def _read_names(reader: Reader, requirement: str) -> Generator[None, None, list[bytes]]:
    """Return the lines up to an empty one."""
    names: list[bytes] = []
    while name := (yield from reader.line(requirement, Message("a name, or the empty line"))):
        names.append(name)
        if len(names) > _MOST_NAMES:
            raise BrokenRule(Kind.TOO_MUCH, requirement, Message("the empty line"), _number_of(names))
    return names


def _number_of(names: list[bytes]) -> Message:
    return Message("{count} other names", count=len(names))


def _read_listing(body: Listing, reader: Reader) -> Steps:
    names = yield from _read_names(reader, "HFTP-4.1")
    listed = set(names)
    if missing := body.names - listed:
        raise BrokenRule(
            Kind.BODY, "HFTP-4.3", Message("{name} in the listing", name=shown(min(missing))), _number_of(names)
        )
    if len(listed) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BrokenRule(Kind.BODY, "HFTP-4.3", Message("each name once"), Message("{name} twice", name=shown(twice)))
    if further := listed - body.names - body.allowed if body.is_whole else set():
        raise BrokenRule(
            Kind.BODY,
            "HFTP-4.5",
            Message("only files that can be fetched"),
            Message("{name} too", name=shown(min(further))),
        )


# --- Slices --------------------------------------------------------------------------------------


class _Comparison:
    """The bytes of a slice so far."""

    def __init__(self, body: Slice) -> None:
        self._body = body
        self.done = 0

    @property
    def left(self) -> int:
        """Return how many bytes have to follow."""
        return self._body.size - self.done

    def take(self, data: bytes) -> None:
        """Compare the next bytes; raise BrokenRule if they are others, or too many."""
        body = self._body
        if len(data) > self.left:
            raise BrokenRule(
                Kind.BODY, "HFTP-6.2", self.expected, Message("{count} bytes or more", count=self.done + len(data))
            )
        wanted = body.content.read(body.offset + self.done, len(data))
        if data != wanted:
            at = next(number for number, pair in enumerate(zip(data, wanted, strict=False)) if pair[0] != pair[1])
            raise BrokenRule(
                Kind.BODY,
                "HFTP-6.2",
                Message(
                    "byte {position} of the file: {byte}",
                    position=body.offset + self.done + at,
                    byte=hex(wanted[at]),
                ),
                hex(data[at]),
            )
        self.done += len(data)

    @property
    def expected(self) -> Message:
        """Return what is expected."""
        return Message("{count} bytes from offset {offset}", count=self._body.size, offset=self._body.offset)


def _read_slice(body: Slice, reader: Reader, dialect: str) -> Steps:
    compared = _Comparison(body)
    if body.form == "fragments":
        yield from _read_fragments(compared, reader)
    elif body.form == "base64":
        yield from _read_base64(compared, reader, may_wrap=dialect == "2026")
    else:
        if body.form == "raw":
            yield from _read_raw_header(body, reader)
        yield from _read_bytes(compared, reader, body.size)


def _read_raw_header(body: Slice, reader: Reader) -> Steps:
    for wanted in (b"Content-Length: %d" % body.size, b""):
        line = yield from reader.line("HFTP-6.8", shown(wanted))
        if line != wanted:
            raise BrokenRule(Kind.BODY, "HFTP-6.8", shown(wanted), shown(line))


def _read_bytes(compared: _Comparison, reader: Reader, size: int) -> Steps:
    while size:
        piece = yield from reader.some(min(size, _PIECE_BYTES))
        compared.take(piece)
        size -= len(piece)


def _read_fragments(compared: _Comparison, reader: Reader) -> Steps:
    while True:
        size = yield from _read_length(reader)
        if not size and compared.left:
            raise BrokenRule(Kind.BODY, "HFTP-6.2", compared.expected, Message("{count} bytes", count=compared.done))
        yield from _read_bytes(compared, reader, size)
        end = yield from reader.line("HFTP-6.11", Message("the end of a fragment"))
        if end:
            raise BrokenRule(Kind.BODY, "HFTP-6.11", Message("the end of a fragment"), shown(end))
        if not size:
            return


def _read_length(reader: Reader) -> Generator[None, None, int]:
    word = b""
    while not word.endswith(b" "):
        word += yield from reader.some(1)
        if not _LENGTH.fullmatch(word):
            raise BrokenRule(Kind.BODY, "HFTP-6.11", Message("the length of a fragment, and a space"), shown(word))
    return int(word)


def _read_base64(compared: _Comparison, reader: Reader, *, may_wrap: bool) -> Steps:
    while True:
        yield from _read_base64_line(compared, reader)
        if not compared.left:
            return
        if not may_wrap:
            raise BrokenRule(Kind.BODY, "HFTP-6.2", compared.expected, Message("{count} bytes", count=compared.done))


def _read_base64_line(compared: _Comparison, reader: Reader) -> Steps:
    """Read a line, which has to be decodable alone."""
    held, before, is_over, is_padded = b"", compared.done, False, False
    while not is_over:
        piece, is_over = yield from reader.until_lf()
        held += piece
        if is_over and not held.endswith(b"\r\n"):
            raise BrokenRule(Kind.MALFORMED, "HFTP-6.1", Message("base64, ended by CR LF"), shown(held[-20:]))
        end = len(held) - 2 if is_over else (len(held) - 2) // _QUANTUM * _QUANTUM
        if end <= 0:
            continue
        if is_padded:
            raise BrokenRule(Kind.BODY, "HFTP-6.1", Message("nothing after the padding"), shown(held))
        is_padded = held[:end].endswith(b"=")
        compared.take(_decoded(held[:end]))
        held = held[end:]
    if compared.left and compared.done == before:
        raise BrokenRule(Kind.BODY, "HFTP-6.1", compared.expected, Message("an empty line"))


def _decoded(text: bytes) -> bytes:
    try:
        return pybase64.b64decode(text, validate=True)
    except binascii.Error:
        raise BrokenRule(Kind.BODY, "HFTP-6.1", Message("standard base64"), shown(text)) from None

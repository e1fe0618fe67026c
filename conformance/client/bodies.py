"""Decode the forms of a slice: those of the dialects, and those that servers send by mistake."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple, Protocol

import pybase64

from conformance.client.equal_lines import count_equal_lines
from conformance.client.recording import escape
from conformance.failures import Failure, Kind
from conformance.language import Message

_LENGTH_BYTES: Final = 20
_HEXADECIMAL: Final = 16
_HEXADECIMAL_DIGITS: Final = 2
"""How many bytes of text a byte takes at most."""
_SLACK_BYTES: Final = 1024


class Source(Protocol):
    """A source of bytes to read a body from: a client, or a buffer."""

    def read_line(self, expected: str) -> bytes:
        """Return the next line without its CR LF; raise Failure."""

    def read_pieces(self, size: int, expected: str) -> Iterator[bytes]:
        """Yield the next `size` bytes in pieces of any length; raise Failure if fewer arrive."""

    def read(self, size: int, expected: str) -> bytes:
        """Return exactly the next `size` bytes; raise Failure."""

    def read_until_line_end(self, expected: str, *, allow_bare_lf: bool = False) -> Iterator[bytes]:
        """Yield a line of any length in pieces, without its CR LF; raise Failure if it has no end."""

    def read_equal_lines(self, length: int, most: int) -> bytes:
        """Return at most so many lines that are there, without their ends, if they are like the last one read."""


Pieces = Iterator[tuple[bytes, int]]
"""Pieces of a slice, each with how many lines or fragments end in it, or after it."""
Reader = Callable[[Source, int], Pieces]
"""Reads a slice of a given number of bytes; raises Failure."""


def plain(source: Source, size: int) -> Pieces:
    """Read the bytes as they are: the form of 2018."""
    for piece in source.read_pieces(size, Message("{size} bytes of the slice", size=size)):
        yield piece, 0


def measured(source: Source, size: int) -> Pieces:
    """Read a raw slice of 2026: a Content-Length line, an empty line, and the bytes."""
    for expected in (b"Content-Length: %d" % size, b""):
        line = source.read_line(escape(expected) or Message("an empty line"))
        if line != expected:
            raise Failure(Kind.MALFORMED, escape(expected) or Message("an empty line"), escape(line))
    yield from plain(source, size)


def one_line(source: Source, size: int) -> Pieces:
    """Read one line of base64: the form of 2019."""
    got = 0
    for data in _base64_line(source):
        got += len(data)
        yield data, 0
    yield b"", 1
    if 0 < got < size:
        raise Failure(
            Kind.BODY,
            Message("{size} bytes on one line of base64", size=size),
            Message("{got} bytes on the first line", got=got),
        )


def lines(source: Source, size: int, *, allow_bare_lf: bool = False) -> Pieces:
    """Read one or more lines of base64, the form of 2026; `allow_bare_lf` accepts lines that end in a bare LF."""
    left = size
    while True:
        got = 0
        for data in _base64_line(source, allow_bare_lf=allow_bare_lf):
            got += len(data)
            yield data, 0
        yield b"", 1
        left -= got
        if left <= 0 or got == 0:
            return
        length = (got + 2) // 3 * 4
        # The last line is read by itself.
        while text := source.read_equal_lines(length, (left - 1) // (length // 4 * 3)):
            for data in _decoded_lines(text, length):
                left -= len(data)
                yield data, 0
            yield b"", len(text) // length


def _decoded_lines(text: bytes, length: int) -> Iterator[bytes]:
    """Decode lines of base64 of so many bytes each, without their ends."""
    if b"=" not in text:
        yield _decoded(text, is_last=True)
        return
    for start in range(0, len(text), length):
        yield _decoded(text[start : start + length], is_last=True)


def _base64_line(source: Source, *, allow_bare_lf: bool = False) -> Iterator[bytes]:
    text = b""
    for piece in source.read_until_line_end(Message("a line of base64"), allow_bare_lf=allow_bare_lf):
        text += piece
        whole = max(0, len(text) - 4) // 4 * 4  # keep the last group of four: only it may be padded
        if whole:
            yield _decoded(text[:whole], is_last=False)
            text = text[whole:]
    yield _decoded(text, is_last=True)


def _decoded(text: bytes, *, is_last: bool) -> bytes:
    try:
        if not is_last and b"=" in text:
            raise binascii.Error  # noqa: TRY301  (as the decoder raises it)
        return pybase64.b64decode(text, validate=True)
    except binascii.Error:
        raise Failure(
            Kind.MALFORMED, Message("standard base64 with padding (RFC 4648 section 4)"), escape(text[-80:])
        ) from None


class _Fragments(NamedTuple):
    """The syntax of fragments."""

    base: int = 10
    """The base of lengths."""
    counted: int = 0
    """How many bytes of the line end a length includes."""
    end: bytes = b"0 \r\n"
    """The final fragment; empty if there is none."""

    def read(self, source: Source, size: int) -> Pieces:
        """Read fragments (LENGTH SP DATA CR LF) up to the final one."""
        left = size
        while left or self.end:
            length, head = self._read_length(source)
            if not length:
                _require(source, self.end.removeprefix(head))
                return
            if length > left:
                raise Failure(
                    Kind.BODY,
                    Message("a fragment of at most {left} bytes", left=left),
                    Message("one of {length} bytes", length=length),
                )
            for piece in source.read_pieces(length, Message("a fragment of {length} bytes", length=length)):
                yield piece, 0
            _require(source, b"\r\n")
            yield b"", 1
            left -= length

    def _read_length(self, source: Source) -> tuple[int, bytes]:
        """Return a length, without the line-end bytes that it includes, and the bytes read so far."""
        expected = Message("a fragment: LENGTH SP DATA CR LF")
        head = b""
        while not head.endswith(b" "):
            head += source.read(1, expected)
            if head.endswith(b"\r") and self.end.startswith(head):
                return 0, head
            number = head.removesuffix(b" ")
            is_number = re.fullmatch(
                rb"0|[1-9a-f][0-9a-f]*" if self.base == _HEXADECIMAL else rb"0|[1-9][0-9]*", number
            )
            if len(head) > _LENGTH_BYTES or not is_number:
                raise Failure(Kind.MALFORMED, expected, escape(head))
        value = int(number, self.base)
        return value and max(0, value - self.counted), head


def _require(source: Source, wanted: bytes) -> None:
    got = source.read(len(wanted), Message("the CR LF that ends a fragment"))
    if got != wanted:
        raise Failure(Kind.MALFORMED, Message("the CR LF that ends a fragment"), escape(got))


# --- Forms outside every dialect ---------------------------------------------------------------------


def _text_line(decode: Callable[[bytes], bytes]) -> Reader:
    def read(source: Source, size: int) -> Pieces:
        most = _HEXADECIMAL_DIGITS * size + _SLACK_BYTES
        text = bytearray()
        for piece in source.read_until_line_end(Message("a line of text")):
            text += piece
            if len(text) > most:
                raise Failure(
                    Kind.TOO_MUCH,
                    Message("a line of text for {size} bytes", size=size),
                    Message("more than {most} bytes", most=most),
                )
        try:
            yield decode(bytes(text)), 1
        except ValueError:
            expected = Message("a line of text that can be decoded")
            raise Failure(Kind.MALFORMED, expected, escape(bytes(text))) from None

    return read


def _unpadded(text: bytes) -> bytes:
    if b"=" in text:
        raise ValueError
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)


def _urlsafe(text: bytes) -> bytes:
    if b"+" in text or b"/" in text:
        raise ValueError
    return base64.b64decode(text, altchars=b"-_", validate=True)


READERS: Final[Mapping[str, Reader]] = {
    "2026": lines,
    "2019": one_line,
    "2018": plain,
    "2016": _Fragments().read,
    "raw": measured,
    "hexadecimal": _text_line(lambda text: base64.b16decode(text, casefold=True)),
    "unpadded": _text_line(_unpadded),
    "urlsafe": _text_line(_urlsafe),
    "lines": lines,
    "lines-lf": partial(lines, allow_bare_lf=True),
    "fragments-hex": _Fragments(base=_HEXADECIMAL).read,
    "fragments-counted": _Fragments(counted=2).read,
    "fragments-short-end": _Fragments(end=b"0\r\n").read,
    "fragments-no-end": _Fragments(end=b"").read,
}
"""By dialect, or by the name of a form outside every dialect."""

INSTEAD: Final[Mapping[str, str]] = {
    "2019": Message("as a line of base64"),
    "2018": Message("as its bytes alone"),
    "2016": Message("in fragments"),
    "lines": Message("as several lines of base64"),
    "lines-lf": Message("as several lines of base64 that end in a bare LF"),
    "hexadecimal": Message("in hexadecimal"),
    "unpadded": Message("as base64 without padding"),
    "urlsafe": Message("as base64 in the URL-safe alphabet"),
    "fragments-hex": Message("in fragments whose lengths are hexadecimal"),
    "fragments-counted": Message("in fragments whose lengths count their CR LF, too"),
    "fragments-short-end": Message("in fragments, the last of which is 0 without a space"),
    "fragments-no-end": Message("in fragments without an empty one at the end"),
}
"""Forms that a server may send instead of its dialect's, as phrases, in the order in which they are tried."""


class Received:
    """A buffer as a source."""

    def __init__(self, data: bytes) -> None:
        self.left = data
        self._end = b"\r\n"

    def read_line(self, expected: str) -> bytes:
        """Return the next line without its CR LF; raise Failure."""
        return b"".join(self.read_until_line_end(expected))

    def read_pieces(self, size: int, expected: str) -> Iterator[bytes]:
        """Yield the next `size` bytes as one piece; raise Failure if there are fewer."""
        yield self.read(size, expected)

    def read(self, size: int, expected: str) -> bytes:
        """Return exactly the next `size` bytes; raise Failure."""
        if len(self.left) < size:
            raise Failure(Kind.CLOSED, expected, escape(self.left))
        data, self.left = self.left[:size], self.left[size:]
        return data

    def read_until_line_end(self, expected: str, *, allow_bare_lf: bool = False) -> Iterator[bytes]:
        """Yield the next line without its CR LF; raise Failure if there is none."""
        line, end, rest = self.left.partition(b"\n")
        if not end or not (line.endswith(b"\r") or allow_bare_lf):
            raise Failure(Kind.MALFORMED, expected, escape(self.left))
        self.left = rest
        self._end = b"\r\n" if line.endswith(b"\r") else b"\n"
        yield line.removesuffix(b"\r")

    def read_equal_lines(self, length: int, most: int) -> bytes:
        """Return at most so many lines, without their ends, if they are like the last one read."""
        size = count_equal_lines(self.left, length, self._end, most) * (length + len(self._end))
        block, self.left = self.left[:size], self.left[size:]
        return block.replace(self._end, b"")


def decode(data: bytes, form: str, size: int) -> tuple[bytes, bytes] | None:
    """Decode a slice of a given form; return it and what follows it, or None if it has another form."""
    source = Received(data)
    try:
        got = b"".join(piece for piece, _ in READERS[form](source, size))
    except Failure:
        return None
    return (got, source.left) if len(got) == size else None

"""Decode slices of a known size while they arrive: base64, raw bytes with and without a length, and fragments."""

import binascii
from abc import ABC, abstractmethod
from typing import Final, TypeAlias

import pybase64

from greenserver.protocol.errors import RemoteProtocolError

Decoded: TypeAlias = bytes | memoryview

_EOL: Final = b"\r\n"
_FRAGMENT_HEAD_BYTES: Final = 20
"""Digits of a fragment's length, at most, and a space."""
_SHORT_LINE_BYTES: Final = 4096
_SHOWN_BYTES: Final = 40


class Decoder(ABC):
    """Decodes one slice."""

    def __init__(self, size: int) -> None:
        self.left = size
        """How many bytes of the slice are missing."""
        self.is_finished = False
        """Whether the slice, and what ends it, have been decoded."""

    @abstractmethod
    def decode(self, received: memoryview) -> tuple[Decoded, int]:
        """Return decoded bytes, and how many received ones they took; 0 if more have to arrive first.

        What is returned may be a view of `received`. Raise RemoteProtocolError.
        """


class PlainDecoder(Decoder):
    """The bytes alone: the form of 2018."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.is_finished = not size

    def decode(self, received: memoryview) -> tuple[Decoded, int]:
        data = received[: self.left]
        self.left -= len(data)
        self.is_finished = not self.left
        return data, len(data)


class MeasuredDecoder(PlainDecoder):
    """Content-Length, an empty line, and the bytes: the raw form of 2026."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._head = b"Content-Length: %d\r\n\r\n" % size
        self.is_finished = False

    def decode(self, received: memoryview) -> tuple[Decoded, int]:
        if not self._head:
            return super().decode(received)
        begin = bytes(received[: len(self._head)])
        if not self._head.startswith(begin):
            message = f"a raw slice does not begin with {show(self._head)} but with {show(begin)}"
            raise RemoteProtocolError(message)
        self._head = self._head[len(begin) :]
        self.is_finished = not (self._head or self.left)
        return b"", len(begin)


class Base64Decoder(Decoder):
    """Base64 on one line, the form of 2019, or on several that can each be decoded alone, which 2026 permits."""

    _is_line_begun = False

    def decode(self, received: memoryview) -> tuple[Decoded, int]:
        if not self.left:
            return self._end(received)
        awaited = (self.left + 2) // 3 * 4
        count = min(len(received), awaited) & ~3
        if not count:
            return self._line(received) if bytes(received[: len(_EOL)]) == _EOL else (b"", 0)
        try:
            data = pybase64.b64decode(received[:count], validate=True)
        except binascii.Error:
            return self._line(received)
        if len(data) != (self.left if count == awaited else count // 4 * 3):  # padding: a line ends here
            return self._line(received)
        self.left -= len(data)
        self._is_line_begun = True
        return data, count

    def _end(self, received: memoryview) -> tuple[Decoded, int]:
        end = bytes(received[: len(_EOL)])
        if not _EOL.startswith(end):
            message = f"a base64 slice does not end where it should, but goes on with {show(end)}"
            raise RemoteProtocolError(message)
        self.is_finished = end == _EOL
        return b"", len(_EOL) if self.is_finished else 0

    def _line(self, received: memoryview) -> tuple[Decoded, int]:
        """Decode the rest of a line that ends before the slice does."""
        text = bytes(received[:_SHORT_LINE_BYTES])
        line, end, _ = text.partition(_EOL)
        if not end:
            text = bytes(received)
            line, end, _ = text.partition(_EOL)
        if not end:
            line = line[: max(0, len(line) - 4) & ~3]  # what may be padded, or the first half of a line end, waits
            if not line and len(text) > 2 * len(_EOL) + 4:
                raise self._malformed(text)
        try:
            data = pybase64.b64decode(line, validate=True)
        except binascii.Error:
            raise self._malformed(text) from None
        if end and not (data or self._is_line_begun):
            message = f"a base64 slice ends {self.left} bytes too early"
            raise RemoteProtocolError(message)
        if len(data) > self.left or (not end and len(data) != len(line) // 4 * 3):
            raise self._malformed(text)
        self.left -= len(data)
        self._is_line_begun = not end
        self.is_finished = bool(end) and not self.left
        return data, len(line) + len(end)

    @staticmethod
    def _malformed(text: bytes) -> RemoteProtocolError:
        return RemoteProtocolError(f"a slice is not the base64 that was asked for: {show(text)}")


class FragmentsDecoder(Decoder):
    """Fragments `LENGTH SP DATA CR LF`, ended by an empty one: the form of 2016 and before."""

    _END: Final = b"0 \r\n"

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._fragment = 0  # how much of the current one is missing
        self._is_inside = False

    def decode(self, received: memoryview) -> tuple[Decoded, int]:
        if self._fragment:
            data = received[: self._fragment]
            self._fragment -= len(data)
            self.left -= len(data)
            return data, len(data)
        if self._is_inside:
            return b"", self._expect(received, _EOL)
        if not self.left:
            taken = self._expect(received, self._END)
            self.is_finished = bool(taken)
            return b"", taken
        head = bytes(received[: _FRAGMENT_HEAD_BYTES + 1])
        digits, space, _ = head.partition(b" ")
        if not space and len(head) <= _FRAGMENT_HEAD_BYTES and (not digits or digits.isdigit()):
            return b"", 0
        if not (space and digits.isdigit() and 0 < int(digits) <= self.left):
            message = f"a fragment of at most {self.left} bytes is missing; the server sent {show(head)}"
            raise RemoteProtocolError(message)
        self._fragment = int(digits)
        self._is_inside = True
        return b"", len(digits) + 1

    def _expect(self, received: memoryview, end: bytes) -> int:
        """Return the length of a text that has to come now; 0 if it has not arrived."""
        begin = bytes(received[: len(end)])
        if not end.startswith(begin):
            message = f"a fragment does not end with {show(end)} but with {show(begin)}"
            raise RemoteProtocolError(message)
        if begin != end:
            return 0
        self._is_inside = False
        return len(end)


class UnknownDecoder(Decoder):
    """One byte in a form that is yet to be found out, for a server that does not know `help`.

    After the byte, or what ends it, the next status line must begin: send `quit` with the request.
    """

    _KNOWN_AFTER_BYTES: Final = 4

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.form = ""
        """The key in `DECODERS`, once it is known."""
        self._decoder: Decoder | None = None

    def decode(self, received: memoryview) -> tuple[Decoded, int]:
        if self._decoder is None:
            begin = bytes(received[: self._KNOWN_AFTER_BYTES])
            if len(begin) < self._KNOWN_AFTER_BYTES:
                return b"", 0
            if begin[2:] == b"==":
                self.form = BASE64
            else:
                self.form = FRAGMENTS if begin[:2] == b"1 " else PLAIN
            self._decoder = DECODERS[self.form](self.left)
        data, taken = self._decoder.decode(received)
        self.left = self._decoder.left
        self.is_finished = self._decoder.is_finished
        return data, taken


def show(text: bytes) -> str:
    r"""Return what a server sent as printable text, quoted and cut.

    >>> show(b"\x1b[2J hello")
    "'\\x1b[2J hello'"
    """
    cut = text[:_SHOWN_BYTES]
    return repr(cut)[1:] + ("..." if len(text) > len(cut) else "")


BASE64: Final = "base64"
RAW: Final = "raw"
PLAIN: Final = "plain"
FRAGMENTS: Final = "fragments"

DECODERS: Final[dict[str, type[Decoder]]] = {
    BASE64: Base64Decoder,
    RAW: MeasuredDecoder,
    PLAIN: PlainDecoder,
    FRAGMENTS: FragmentsDecoder,
}
"""By the name of the form."""

FORMS: Final = {"2026": RAW, "2019": BASE64, "2018": PLAIN, "2016": FRAGMENTS}
"""The form that is asked for, by dialect."""

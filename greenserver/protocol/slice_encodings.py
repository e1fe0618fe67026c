"""Encode slices: base64, raw bytes with and without a length, and fragments; each as a whole reply or in parts."""

from abc import abstractmethod

import pybase64

from greenserver.config import limits
from greenserver.protocol.responses import EOL, Body, Data, new_buffer
from greenserver.protocol.status import OK_LINE
from greenserver.protocol.store import Source


class SliceBody(Body):
    """A large slice of a file in the encoding of a dialect."""

    __slots__ = ("_slice",)

    def __init__(self, source: Source) -> None:
        self._slice = source

    @staticmethod
    @abstractmethod
    def whole(data: bytearray) -> bytes:
        """Return the whole reply with a small slice, its status line included."""

    def close(self) -> None:
        self._slice.close()


SliceForm = type[SliceBody]
"""An encoding of slices."""


class Base64Slice(SliceBody):
    """Standard base64 with padding, on one line: https://www.rfc-editor.org/rfc/rfc4648#section-4."""

    __slots__ = ()

    @staticmethod
    def whole(data: bytearray) -> bytes:
        return b"%b%b\r\n" % (OK_LINE, pybase64.b64encode(data))

    def chunk(self, position: int, buffer: memoryview | None = None, *, may_block: bool = True) -> Data:
        size = self._slice.size
        groups, skip = divmod(position, 4)
        start = 3 * groups
        if start >= size:
            end_of_text = (size + 2) // 3 * 4
            return EOL[position - end_of_text :]
        data = self._slice.read_into(new_buffer() if buffer is None else buffer, start, may_block=may_block)
        text: bytes = pybase64.b64encode(data)
        if start + len(data) == size:
            text += EOL
        return text[skip:] if skip else text


class PlainSlice(SliceBody):
    """The raw bytes only."""

    __slots__ = ()

    @staticmethod
    def whole(data: bytearray) -> bytes:
        return OK_LINE + data

    def chunk(self, position: int, buffer: memoryview | None = None, *, may_block: bool = True) -> Data:
        return self._slice.read_into(new_buffer() if buffer is None else buffer, position, may_block=may_block)


class MeasuredSlice(PlainSlice):
    """A ``Content-Length`` header line, an empty line, and the raw bytes."""

    __slots__ = ("_header",)

    _HEADER = b"Content-Length: %d\r\n\r\n"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._header = self._HEADER % source.size

    @staticmethod
    def whole(data: bytearray) -> bytes:
        return OK_LINE + MeasuredSlice._HEADER % len(data) + data

    def chunk(self, position: int, buffer: memoryview | None = None, *, may_block: bool = True) -> Data:
        return self._header[position:] or super().chunk(position - len(self._header), buffer, may_block=may_block)


class FragmentedSlice(SliceBody):
    """Fragments ``LENGTH SP DATA CR LF``, ended by an empty fragment."""

    __slots__ = ("_length",)

    _STRIDE = len(b"%d " % limits.FRAGMENT_BYTES) + limits.FRAGMENT_BYTES + len(EOL)
    _END = b"0 \r\n"

    @staticmethod
    def whole(data: bytearray) -> bytes:
        fragment = b"%d %b\r\n" % (len(data), bytes(data)) if data else b""
        return OK_LINE + fragment + FragmentedSlice._END

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        full, rest = divmod(source.size, limits.FRAGMENT_BYTES)
        last = len(b"%d " % rest) + rest + len(EOL) if rest else 0
        self._length = full * self._STRIDE + last + len(self._END)

    def chunk(self, position: int, buffer: memoryview | None = None, *, may_block: bool = True) -> Data:  # noqa: ARG002  (fragments have a fixed length)
        if position >= self._length:
            return b""
        index = min(position // self._STRIDE, self._slice.size // limits.FRAGMENT_BYTES)
        data = self._slice.read(index * limits.FRAGMENT_BYTES, limits.FRAGMENT_BYTES, may_block=may_block)
        fragment = b"%d %b\r\n" % (len(data), bytes(data))
        if 0 < len(data) < limits.FRAGMENT_BYTES:
            fragment += self._END
        return fragment[position - index * self._STRIDE :]

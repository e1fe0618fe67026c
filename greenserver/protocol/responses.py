"""Format replies: status lines, and bodies in parts.

A body is addressed by its position on the wire and holds no data between two parts: if only half a part was
sent, the sender asks for the next part from there. So a stalled client costs no buffer, whatever the size of
the slice.
"""

from abc import ABC, abstractmethod
from mmap import mmap

import pybase64

from greenserver.config import limits
from greenserver.protocol.status import OK_LINE, Status
from greenserver.protocol.store import Source

EOL = b"\r\n"

OK_NUMBER = OK_LINE + b"%d" + EOL
"""The format of a whole reply with a number."""


def new_room() -> memoryview:
    """Allocate a page-aligned read buffer for a slice.

    The kernel copies file pages twice as fast to the start of a page as to 16 bytes past it, where malloc would place
    the buffer: there each load waits for a store whose address differs only in the page (4K aliasing).
    """
    return memoryview(mmap(-1, limits.CHUNK_BYTES))


Data = bytes | bytearray | memoryview


class Body(ABC):
    """The part of a reply after the status line, if it is too large to buffer while waiting for a client."""

    __slots__ = ()

    @abstractmethod
    def part(self, position: int, room: memoryview | None = None, *, patient: bool = True) -> Data:
        """Return some bytes of the body from a position on; none at its end.

        `room` is an optional read buffer, a multiple of 3 bytes, which limits the read; the part may be a view of it.
        A position is never before the start of the part returned last.
        Raise any exception of the source; the reply then cannot be completed.
        Raise WouldBlockError if reading the source would block and `patient` is false.
        """

    def close(self) -> None:  # noqa: B027  (a listing holds nothing)
        """Release the source."""


class Lines(Body):
    """Text lines with their CR LF, then an empty line. The text may be large, and shared by several connections."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def part(self, position: int, room: memoryview | None = None, *, patient: bool = True) -> Data:  # noqa: ARG002  (in memory)
        return self._data[position : position + limits.TEXT_PART_BYTES] or EOL[position - len(self._data) :]


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

    def part(self, position: int, room: memoryview | None = None, *, patient: bool = True) -> Data:
        size = self._slice.size
        groups, skip = divmod(position, 4)
        start = 3 * groups
        if start >= size:
            end_of_text = (size + 2) // 3 * 4
            return EOL[position - end_of_text :]
        data = self._slice.read_into(new_room() if room is None else room, start, patient=patient)
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

    def part(self, position: int, room: memoryview | None = None, *, patient: bool = True) -> Data:
        return self._slice.read_into(new_room() if room is None else room, position, patient=patient)


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

    def part(self, position: int, room: memoryview | None = None, *, patient: bool = True) -> Data:
        return self._header[position:] or super().part(position - len(self._header), room, patient=patient)


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

    def part(self, position: int, room: memoryview | None = None, *, patient: bool = True) -> Data:  # noqa: ARG002  (fragments have a fixed length)
        if position >= self._length:
            return b""
        index = min(position // self._STRIDE, self._slice.size // limits.FRAGMENT_BYTES)
        data = self._slice.read(index * limits.FRAGMENT_BYTES, limits.FRAGMENT_BYTES, patient=patient)
        fragment = b"%d %b\r\n" % (len(data), bytes(data))
        if 0 < len(data) < limits.FRAGMENT_BYTES:
            fragment += self._END
        return fragment[position - index * self._STRIDE :]


class Response:
    """A reply: a status, a short text or a body, and whether to close the connection after it."""

    __slots__ = ("body", "closes", "status", "text")

    def __init__(self, status: Status, text: bytes = b"", *, body: Body | None = None, closes: bool = False) -> None:
        self.status = status
        self.text = text
        self.body = body
        self.closes = closes or status.is_fatal

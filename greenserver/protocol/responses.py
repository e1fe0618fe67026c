"""The only reply formatting: status lines, and bodies that come in parts.

A body is addressed by its position on the wire and holds nothing between two parts: the sender that
got rid of half a part asks again from there. So a reader that stalls costs no buffer, whatever the
size of the slice.
"""

from abc import ABC, abstractmethod
from mmap import mmap

import pybase64

from greenserver.config import limits
from greenserver.protocol.status import Status
from greenserver.protocol.store import Source

EOL = b"\r\n"

NUMBER_LINE = b"%d" + EOL
OK_NUMBER = Status.OK.line + NUMBER_LINE
"""A whole reply that tells a number."""


def new_room() -> memoryview:
    """Return room for what a slice reads at a time, on pages of its own.

    The kernel copies the pages of a file twice as fast to the start of a page as to 16 bytes past it, where malloc
    would have it: there each load waits for a store whose address differs only in the page.
    """
    return memoryview(mmap(-1, limits.CHUNK_BYTES))


Data = bytes | bytearray | memoryview


class Body(ABC):
    """What follows a status line, if it is more than a few bytes that are known."""

    __slots__ = ()

    is_large = False
    """Whether its parts are too large to be held while a client is waited for."""

    @abstractmethod
    def part(self, position: int, room: memoryview | None = None, *, patient: bool = True) -> Data:
        """Return some bytes of the body from a position on; none at its end.

        `room` may be used for what is read, and limits it; a multiple of 3 bytes. A part can be a view of it.
        Positions never go back before the start of the part that was returned last.
        Raises what reading the source raises; the reply can then not be completed.
        Raises WouldBlockError if it must not wait for the source (`patient`), and would.
        """

    def close(self) -> None:  # noqa: B027  (a listing holds nothing)
        """Give back what the body holds."""


class Lines(Body):
    """Lines that are known, each with its line end, and an empty one; they can be many, and shared by many."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def part(self, position: int, room: memoryview | None = None, *, patient: bool = True) -> Data:  # noqa: ARG002  (at hand)
        return self._data[position : position + limits.TEXT_PART_BYTES] or EOL[position - len(self._data) :]


class SliceBody(Body):
    """A slice of a file in the form that a dialect gives it."""

    __slots__ = ("_slice", "is_large")

    def __init__(self, source: Source) -> None:
        self._slice = source
        self.is_large = source.size > limits.SMALL_SLICE_BYTES

    def close(self) -> None:
        self._slice.close()


class Base64Slice(SliceBody):
    """Standard base64 with padding (RFC 4648 section 4) on one line."""

    __slots__ = ()

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
    """The bytes and nothing else."""

    __slots__ = ()

    def part(self, position: int, room: memoryview | None = None, *, patient: bool = True) -> Data:
        return self._slice.read_into(new_room() if room is None else room, position, patient=patient)


class MeasuredSlice(PlainSlice):
    """The number of bytes in a header line, an empty line, the bytes."""

    __slots__ = ("_header",)

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._header = b"Content-Length: %d\r\n\r\n" % source.size

    def part(self, position: int, room: memoryview | None = None, *, patient: bool = True) -> Data:
        return self._header[position:] or super().part(position - len(self._header), room, patient=patient)


class FragmentedSlice(SliceBody):
    """Fragments ``LENGTH SP DATA CR LF``, ended by the empty one."""

    __slots__ = ("_length",)

    _STRIDE = len(b"%d " % limits.FRAGMENT_BYTES) + limits.FRAGMENT_BYTES + len(EOL)
    _END = b"0 \r\n"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        full, rest = divmod(source.size, limits.FRAGMENT_BYTES)
        last = len(b"%d " % rest) + rest + len(EOL) if rest else 0
        self._length = full * self._STRIDE + last + len(self._END)

    def part(self, position: int, room: memoryview | None = None, *, patient: bool = True) -> Data:  # noqa: ARG002  (fragments have one length)
        if position >= self._length:
            return b""
        index = min(position // self._STRIDE, self._slice.size // limits.FRAGMENT_BYTES)
        data = self._slice.read(index * limits.FRAGMENT_BYTES, limits.FRAGMENT_BYTES, patient=patient)
        fragment = b"%d %b\r\n" % (len(data), bytes(data))
        if 0 < len(data) < limits.FRAGMENT_BYTES:
            fragment += self._END
        return fragment[position - index * self._STRIDE :]


class Response:
    """A whole reply: a status, then a short text or a body, and whether the connection ends with it."""

    __slots__ = ("body", "closes", "status", "text")

    def __init__(self, status: Status, text: bytes = b"", *, body: Body | None = None, closes: bool = False) -> None:
        self.status = status
        self.text = text
        self.body = body
        self.closes = closes or status.is_fatal

"""Format replies: status lines, and bodies in chunks.

A body is addressed by its position on the wire and holds no data between two chunks: if only half a chunk was
sent, the sender asks for the next chunk from there. So a stalled client costs no buffer, whatever the size of
the slice.
"""

from abc import ABC, abstractmethod
from mmap import mmap

from greenserver.config import limits
from greenserver.protocol.status import OK_LINE, Status
from greenserver.protocol.store import Text

EOL = b"\r\n"

OK_NUMBER = OK_LINE + b"%d" + EOL
"""The format of a whole reply with a number."""


def new_buffer() -> memoryview:
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
    def chunk(self, position: int, buffer: memoryview | None = None, *, may_block: bool = True) -> Data:
        """Return some bytes of the body from a position on; none at its end.

        `buffer` is an optional buffer, a multiple of 3 bytes, which limits the read; the result may be a view of it.
        A position is never before the start of the chunk returned last.
        Raise any exception of the source; the reply then cannot be completed.
        Raise WouldBlockError if reading the source would block and `may_block` is false.
        """

    def close(self) -> None:  # noqa: B027  (a listing holds nothing)
        """Release the source."""


class Lines(Body):
    """Text lines with their CR LF, then an empty line. The text may be large, and shared by several connections."""

    __slots__ = ("_text",)

    def __init__(self, text: Text) -> None:
        self._text = text

    def chunk(self, position: int, buffer: memoryview | None = None, *, may_block: bool = True) -> Data:  # noqa: ARG002  (in memory)
        return self._text.read(position, limits.TEXT_CHUNK_BYTES) or EOL[position - self._text.size :]


class Response:
    """A reply: a status, a short text or a body, and whether to close the connection after it."""

    __slots__ = ("body", "closes", "status", "text")

    def __init__(self, status: Status, text: bytes = b"", *, body: Body | None = None, closes: bool = False) -> None:
        self.status = status
        self.text = text
        self.body = body
        self.closes = closes or status.is_fatal

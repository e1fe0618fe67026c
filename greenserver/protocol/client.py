r"""The client's side of a connection without I/O: requests become bytes, and received bytes become events.

>>> connection = ClientConnection()
>>> connection.send(Metadata("hello.txt"))
b'get_metadata hello.txt\r\n'
>>> connection.receive_data(b"0 OK\r\n14\r\n")
>>> connection.next_event(), connection.next_event(), connection.next_event()
(Size(size=14), Done(), None)
"""

import re
from collections import deque
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple, TypeAlias

from greenserver.config import limits
from greenserver.protocol.errors import DisconnectedError, RemoteProtocolError
from greenserver.protocol.slice_decodings import BASE64, DECODERS, RAW, Decoded, Decoder, show
from greenserver.protocol.status import Status

_STATUS_LINE: Final = re.compile(rb"(0|[1-9][0-9]{0,2})(?: (.*))?", re.DOTALL)
_NUMBER: Final = re.compile(rb"0|[1-9][0-9]{0,18}")
_LINE_BYTES: Final = limits.WHOLE_LINE_BYTES
"""Longest line of a reply that is no data."""
_FATAL: Final = range(100, 200)
_FAILED: Final = range(100, 300)
_NAME: Final = re.compile(r"[!-~]+")


# --- Requests --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ListFiles:
    """Ask which files there are: `Names` until `Done`."""

    words: ClassVar[str] = "get_file_listing"


@dataclass(frozen=True)
class Help:
    """Ask for the commands: `Names` until `Done`."""

    words: ClassVar[str] = "help"


@dataclass(frozen=True)
class Quit:
    """Ask the server to close the connection."""

    words: ClassVar[str] = "quit"


@dataclass(frozen=True)
class Metadata:
    """Ask for the size of a file: `Size`, then `Done`."""

    name: str

    @property
    def words(self) -> str:
        """Return the command."""
        return f"get_metadata {self.name}"


@dataclass(frozen=True)
class Slice:
    """Ask for a part of a file: `Data` until `Done`."""

    name: str
    offset: int
    size: int
    decoder: type[Decoder] = DECODERS[BASE64]

    @property
    def words(self) -> str:
        """Return the command."""
        raw = " raw" if self.decoder is DECODERS[RAW] else ""
        return f"get_slice {self.name} {self.offset} {self.size}{raw}"


Request: TypeAlias = ListFiles | Help | Quit | Metadata | Slice


# --- Events ----------------------------------------------------------------------------------------


class Refused(NamedTuple):
    """The whole reply: the server cannot do what was asked."""

    status: int
    text: str

    @property
    def is_fatal(self) -> bool:
        """Whether the server closes the connection now."""
        return self.status in _FATAL

    def __str__(self) -> str:
        return f"{self.status} {self.text}".strip()


class Names(NamedTuple):
    """Lines of a listing, as they were sent: they may be anything."""

    names: list[bytes]


class Size(NamedTuple):
    """The size of a file, in bytes."""

    size: int


class Data(NamedTuple):
    """Bytes of a slice. Valid until the next event is asked for, or more is received."""

    data: Decoded


class Done(NamedTuple):
    """The reply is complete."""


Event: TypeAlias = Refused | Names | Size | Data | Done


class ClientConnection:
    """The state of one connection, as h11 has it: `send`, `receive_data`, `next_event`.

    Requests may be pipelined; the events of their replies come in order. Memory is bounded, whatever a server sends.
    To save a copy, receive into `get_buffer()` and tell how much with `received`.
    """

    def __init__(self, buffer_bytes: int = limits.CLIENT_BUFFER_BYTES) -> None:
        self._buffer = memoryview(bytearray(buffer_bytes))
        self._start = self._end = 0  # of what is received and not yet used
        self._requests: deque[Request] = deque()
        self._is_in_body = False
        self._is_at_eof = False
        self.decoder: Decoder | None = None
        """Of the slice that is being received, or was last."""

    def send(self, request: Request) -> bytes:
        """Return the bytes that ask for something. Raise ValueError for a name that cannot be asked for."""
        if isinstance(request, (Metadata, Slice)) and not _NAME.fullmatch(request.name):
            message = f"{request.name!a} cannot be asked for: a name has no spaces, and ASCII only"
            raise ValueError(message)
        self._requests.append(request)
        return request.words.encode("ascii") + b"\r\n"

    @property
    def awaited(self) -> int:
        """How many replies are missing."""
        return len(self._requests)

    def get_buffer(self) -> memoryview:
        """Return where to receive to, after all events have been taken."""
        left = self._end - self._start
        if self._start:
            self._buffer[:left] = self._buffer[self._start : self._end]
            self._start, self._end = 0, left
        return self._buffer[left:]

    def received(self, count: int) -> None:
        """Note that so many bytes are in the buffer now; 0: the server has closed the connection."""
        self._end += count
        self._is_at_eof = self._is_at_eof or not count

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; none: the server has closed the connection. Raise BufferError beyond the buffer."""
        buffer = self.get_buffer()
        if len(data) > len(buffer):
            message = "take all events before more is received"
            raise BufferError(message)
        buffer[: len(data)] = data
        self.received(len(data))

    def next_event(self) -> Event | None:
        """Return the next event, or None if more has to be received first.

        Raise DisconnectedError at the end of the stream, RemoteProtocolError for what is no reply.
        """
        event = self._next_event()
        if event is None and self._is_at_eof:
            what = f"in the reply to {self._requests[0].words!r}" if self._requests else "the connection"
            message = f"the server closed {what}" if not self._requests else f"the server closed the connection {what}"
            raise DisconnectedError(message)
        return event

    def _next_event(self) -> Event | None:
        if not self._requests:
            if self._end > self._start:
                message = f"the server sent what nobody asked for: {show(bytes(self._unused()))}"
                raise RemoteProtocolError(message)
            return None
        request = self._requests[0]
        if not self._is_in_body:
            line = self._line()
            if line is None:
                return None
            refused = _refused(line)
            if refused is not None:
                self._requests.popleft()
                return refused
            self._is_in_body = True
            if isinstance(request, Slice):
                self.decoder = request.decoder(request.size)
        if isinstance(request, Slice) and self.decoder is not None:
            return self._data(self.decoder)
        if isinstance(request, (ListFiles, Help)):
            return self._names()
        return self._done() if isinstance(request, Quit) else self._size()

    def _done(self) -> Done:
        self._requests.popleft()
        self._is_in_body = False
        return Done()

    def _data(self, decoder: Decoder) -> Event | None:
        while not decoder.is_finished:
            data, taken = decoder.decode(self._unused())
            if not taken:
                return None
            self._start += taken
            if data:
                return Data(data)
        return self._done()

    def _size(self) -> Event | None:
        line = self._line()
        if line is None:
            return None
        if not _NUMBER.fullmatch(line):
            message = f"the server sent {show(line)} for the size of a file"
            raise RemoteProtocolError(message)
        self._requests[0] = Quit()  # nothing is left but the end of the reply
        return Size(int(line))

    def _names(self) -> Event | None:
        text = bytes(self._unused())
        end = text.rfind(b"\r\n") + 2
        if end < 2:  # noqa: PLR2004  (not found)
            self._line()  # which looks at how long it is
            return None
        if text.startswith(b"\r\n"):
            self._start += 2
            return self._done()
        last = text.find(b"\r\n\r\n", 0, end)
        end = end if last < 0 else last + 2
        names = text[: end - 2].split(b"\r\n")
        if max(map(len, names)) > _LINE_BYTES or any(b"\n" in name for name in names):
            bad = next(name for name in names if len(name) > _LINE_BYTES or b"\n" in name)
            message = f"a line of the listing is no name: {show(bad)}"
            raise RemoteProtocolError(message)
        self._start += end
        return Names(names)

    def _unused(self) -> memoryview:
        return self._buffer[self._start : self._end]

    def _line(self) -> bytes | None:
        """Return the next line, without its CR LF; None if it is incomplete."""
        text = bytes(self._buffer[self._start : min(self._end, self._start + _LINE_BYTES + 2)])
        line, end, _ = text.partition(b"\r\n")
        if b"\n" in line or (not end and len(text) > _LINE_BYTES):
            message = f"a line of the reply does not end in CR LF: {show(text)}"
            raise RemoteProtocolError(message)
        if not end:
            return None
        self._start += len(line) + 2
        return line


def _refused(line: bytes) -> Refused | None:
    """Return what a status line refuses; None if it is OK."""
    found = _STATUS_LINE.fullmatch(line)
    code = int(found[1]) if found else -1
    if not found or (code and code not in _FAILED):
        message = f"the server sent {show(line)} instead of a status line"
        raise RemoteProtocolError(message)
    if code == Status.OK:
        return None
    text = (found[2] or b"").decode("ascii", "backslashreplace")
    return Refused(code, "".join(each if each.isprintable() else repr(each)[1:-1] for each in text))

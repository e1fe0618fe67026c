"""Record traffic in both directions, in order and in bounded memory; long payloads keep their length and hash."""

import base64
import hashlib
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Annotated, Any, Final

import msgspec

from conformance.language import Message

HEAD_BYTES: Final = 512
"""How many bytes of the head of a long payload are kept."""
TAIL_BYTES: Final = 64
WHOLE_BYTES: Final = 2048
"""Up to this length, a payload is kept whole."""
PACKED_BYTES: Final = 16384
"""Maximum compressed length of a sent payload to keep, so that it can be replayed."""
_QUICKLY: Final = 1
"""The compression level: the fastest."""
MOST_EVENTS: Final = 2000
"""How many events of one scenario are kept; later ones are only counted."""
RECEIVED_BYTES: Final = 1 << 16
"""How many bytes of what one scenario receives are kept; of later payloads only length and hash."""
_SHOWN_BYTES: Final = 120
"""How many bytes of a payload are shown where it stands in a sentence."""
REPLAYED_BYTES: Final = 1 << 25
"""The longest payload that is read from a recording; what the suite sends is shorter."""

_Latin1 = Annotated[str, msgspec.Meta(pattern=r"\A[\x00-\xff]*\Z")]
"""Bytes as text, one character per byte."""


class WireEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event on a connection, as recorded runs store it."""

    at: float
    """Seconds since the scenario began."""
    peer: int
    """Which connection of the scenario, from 1 on; 0 for a note about the scenario."""
    what: str
    """connected, refused, sent, received, half-closed, closed, reset, end, reset by server, silence, note."""
    size: Annotated[int, msgspec.Meta(ge=0)] | None = msgspec.field(name="bytes", default=None)
    """How many bytes were sent or received."""
    data: _Latin1 | None = None
    """The whole payload, if it is short; otherwise the following fields are set."""
    head: _Latin1 | None = None
    tail: _Latin1 | None = None
    sha256: str | None = None
    zlib: str | None = None
    """The sent payload, compressed, in base64; missing if that is too long."""
    note: str = ""
    deviates: tuple[int, int] | None = None
    """In the entry that fails the scenario: from which byte to which the payload is not what was expected; 0 and 0 for
    an event, or for all of a long payload."""


class Payload:
    """A payload of one direction, of which a bounded part is kept."""

    __slots__ = ("_hash", "_is_sent", "_packer", "_tail", "_tail_bytes", "_whole_bytes", "head", "packed", "size")

    def __init__(self, data: bytes, *, is_sent: bool, whole_bytes: int = WHOLE_BYTES) -> None:
        self.size = 0
        self._whole_bytes = whole_bytes
        self._tail_bytes = min(TAIL_BYTES, whole_bytes)
        self.head = b""
        self.packed: bytes | None = None
        self._tail = b""
        self._hash: hashlib._Hash | None = None
        self._is_sent = is_sent
        self._packer: zlib._Compress | None = None
        if len(data) <= whole_bytes:
            self.size, self.head = len(data), data
        else:
            self.add(data)

    def add(self, data: bytes) -> None:
        """Add bytes."""
        if self.size <= self._whole_bytes < self.size + len(data):
            self._prepare_for_more()
        self.size += len(data)
        if len(self.head) < self._whole_bytes:
            self.head += data[: self._whole_bytes - len(self.head)]
        if self._hash is not None:
            self._take_more(self._hash, data)

    def _prepare_for_more(self) -> None:
        """Start the hash and the compression, which only long payloads need."""
        self._hash = hashlib.sha256(self.head)
        self._tail = self.head
        if self._is_sent:
            self._packer = zlib.compressobj(_QUICKLY)
            self.packed = self._packer.compress(self.head)

    def _take_more(self, found: "hashlib._Hash", data: bytes) -> None:
        found.update(data)
        if self._tail_bytes:
            self._tail = (self._tail + data[-self._tail_bytes :])[-self._tail_bytes :]
        if self._packer is not None and self.packed is not None:
            self.packed += self._packer.compress(data)
            if len(self.packed) > PACKED_BYTES:
                self.packed = None

    def describe(self) -> dict[str, Any]:
        """Return fields for a report: `size`, and `data` or, if it is long, head, tail, hash and compressed data."""
        if self._hash is None:
            return {"size": self.size, "data": self.head.decode("latin-1")}
        found: dict[str, Any] = {
            "size": self.size,
            "head": self.head[:HEAD_BYTES].decode("latin-1"),
            "tail": self._tail.decode("latin-1"),
            "sha256": self._hash.hexdigest(),
        }
        if self._packer is not None and self.packed is not None:
            packed = self.packed + self._packer.copy().flush()
            if len(packed) <= PACKED_BYTES:
                found["zlib"] = base64.b64encode(packed).decode()
        return found


@dataclass
class WireEvent:
    """An event on a connection."""

    at_seconds: float
    peer: int
    """Which connection of the scenario, from 1 on."""
    what: str
    """As in WireEntry."""
    payload: Payload | None = None
    note: str = ""
    deviates: tuple[int, int] | None = None
    """As in WireEntry."""


@dataclass(eq=False)
class Recording:
    """The events of one scenario; thread-safe."""

    events: list[WireEvent] = field(default_factory=list)
    dropped: int = 0
    connections: int = 0
    """How many connections were made."""
    waiting: tuple[float, str] | None = None
    """Since when, by `monotonic`, a client has been waiting, and for what; of several clients the last one."""
    reader: int = 0
    """The connection that was read last."""
    before_sending: Callable[[], None] | None = None
    """Called before each piece that is sent by itself."""
    _started: float = field(default_factory=monotonic)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _latest: dict[int, WireEvent] = field(default_factory=dict)
    _received: int = 0

    def note(self, peer: int, what: str, note: str = "", *, payload: Payload | None = None) -> None:
        """Record an event on a connection."""
        with self._lock:
            event = WireEvent(monotonic() - self._started, peer, what, payload, note)
            self._latest[peer] = event
            self.connections += what == "connected"
            if len(self.events) < MOST_EVENTS:
                self.events.append(event)
            else:
                self.dropped += 1

    def payload(self, peer: int, what: str, data: bytes, *, is_apart: bool = False) -> None:
        """Record bytes that were `sent` or `received`; append them to the previous event if it is alike.

        `is_apart` begins a new event.
        """
        with self._lock:
            latest = self._latest.get(peer)
            if is_apart or latest is None or latest.what != what or latest.payload is None:
                is_full = what == "received" and self._received >= RECEIVED_BYTES
                payload = Payload(data, is_sent=what == "sent", whole_bytes=0 if is_full else WHOLE_BYTES)
                before = 0
                self.note(peer, what, payload=payload)
            else:
                payload = latest.payload
                before = len(payload.head)
                payload.add(data)
            self._received += (len(payload.head) - before) * (what == "received")

    def describe(self) -> list[WireEntry]:
        """Return the events for a report."""
        found = []
        with self._lock:
            for event in self.events:
                payload = event.payload.describe() if event.payload is not None else {}
                at, deviates = round(event.at_seconds, 4), event.deviates
                entry = WireEntry(at, event.peer, event.what, note=event.note, deviates=deviates, **payload)
                found.append(entry)
        if self.dropped:
            found.append(WireEntry(found[-1].at, 0, "note", note=Message("{count} moments more", count=self.dropped)))
        return found

    def events_of(self, *what: str) -> list[WireEvent]:
        """Return the events of some kinds."""
        with self._lock:
            return [event for event in self.events if event.what in what]

    def last_sent(self) -> str:
        """Return the last sent payload, for display; if it ends a line that was sent in pieces, the whole line."""
        with self._lock:
            sent = [(event.peer, event.payload) for event in self.events if event.what == "sent" and event.payload]
        if not sent:
            return Message("nothing")
        last_peer, last = sent.pop()
        data, pieces = last.head, 1
        while sent and len(data) < _SHOWN_BYTES:
            peer, piece = sent.pop()
            if peer != last_peer or piece.head.endswith(b"\n") or piece.size > _SHOWN_BYTES:
                break
            data, pieces = piece.head + data, pieces + 1
        if pieces == 1:
            return escape(last.head, last.size)
        return Message("{sent} (in {pieces} pieces)", sent=escape(data, most=_SHOWN_BYTES), pieces=pieces)


def escape(data: bytes, size: int | None = None, most: int = _SHOWN_BYTES) -> str:
    r"""Return bytes for display: printable ASCII as it is, the rest as \r \n \x00, truncated to `most` bytes."""
    size = len(data) if size is None else size
    text = data[:most].decode("latin-1").encode("unicode_escape").decode()
    return text if size <= most else f"{text}... ({size} bytes)"

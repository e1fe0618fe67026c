"""A scenario's recorded traffic as the steps of a ladder: who sent what and when, and where the server deviated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from conformance.client.recording import WireEntry, escape
from conformance.language import Message, gettext, translated
from conformance.model.events import Result

CLIENT: Final = "client"
SERVER: Final = "server"
EVENT: Final = "event"
STEPS: Final = 100
"""Maximum number of steps; the event stream has everything."""
EXCERPT: Final = 10
"""How many steps an excerpt has."""
AFTERWARDS: Final = 1
"""How many of them follow the one that deviates."""
_LINES: Final = 12
"""How many lines of one payload are shown."""
_LINE_BYTES: Final = 400
_PIECE_BYTES: Final = 8
"""Shorter payloads that follow each other are one step."""
_PIECES: Final = 40
_WORDS: Final = {
    "connected": Message("connects"),
    "closed": Message("closes the connection"),
    "half-closed": Message("ends its half of the connection"),
    "reset": Message("resets the connection"),
    "end": Message("closes the connection"),
    "reset by server": Message("resets the connection"),
    "refused": Message("accepts no connection"),
    "silence": Message("sends nothing"),
}
_BY_CLIENT: Final = frozenset({"connected", "closed", "half-closed", "reset"})
_BY_SERVER: Final = frozenset({"end", "reset by server", "refused", "silence"})
_MORE_STEPS: Final = Message("truncated; the event stream has the rest")
_LEFT_OUT: Final = Message("steps that are left out here: {number}")
_MORE_BYTES: Final = Message("... ({number} bytes more)")


@dataclass(frozen=True)
class Step:
    """A line that one side sends, or something that it does."""

    at: float
    """Seconds since the scenario began."""
    side: str
    """CLIENT, SERVER or EVENT: a note about the scenario."""
    text: str
    peer: int = 0
    """Which client; 0 if it does not matter."""
    is_act: bool = False
    """Whether the text says what the side does, and is not what it sends."""
    deviates: bool = False
    """Whether it is not what was expected."""


def conversation(result: Result) -> list[Step]:
    """Return the whole conversation, up to STEPS."""
    peers = {entry.peer for entry in result.transcript if entry.peer}
    steps: list[Step] = []
    for step in _joined(result.transcript):
        if len(steps) >= STEPS:
            return [*steps, Step(step.at, EVENT, gettext(_MORE_STEPS))]
        steps.append(step if len(peers) > 1 else replace(step, peer=0))
    return steps


def excerpt(result: Result) -> list[Step]:
    """Return the steps around the one that deviates, or the last ones."""
    steps = conversation(result)
    marked = next((number for number, step in enumerate(steps) if step.deviates), len(steps) - 1)
    end = min(len(steps), marked + 1 + AFTERWARDS)
    first = max(0, end - EXCERPT)
    found = steps[first:end]
    if first:
        found.insert(0, Step(found[0].at, EVENT, gettext(_LEFT_OUT, number=first)))
    if end < len(steps):
        found.append(Step(steps[end].at, EVENT, gettext(_LEFT_OUT, number=len(steps) - end)))
    return found


def _joined(transcript: Sequence[WireEntry]) -> Iterator[Step]:
    """Yield the steps, with short pieces that one client sends after each other on one line, separated by ` | `."""
    pieces: list[str] = []
    first: WireEntry | None = None
    for entry in transcript:
        is_short = entry.what == "sent" and (entry.size or 0) <= _PIECE_BYTES
        if first is not None and not (is_short and entry.peer == first.peer and len(pieces) < _PIECES):
            yield Step(first.at, CLIENT, " | ".join(pieces), first.peer)
            pieces, first = [], None
        if is_short:
            first = first or entry
            pieces.append(escape((entry.data or "").encode("latin-1")))
        else:
            yield from _steps(entry)
    if first is not None:
        yield Step(first.at, CLIENT, " | ".join(pieces), first.peer)


def _steps(entry: WireEntry) -> Iterator[Step]:
    if entry.what in {"sent", "received"}:
        side = CLIENT if entry.what == "sent" else SERVER
        yield from (replace(step, at=entry.at, side=side, peer=entry.peer) for step in _lines(entry))
        return
    side = CLIENT if entry.what in _BY_CLIENT else SERVER if entry.what in _BY_SERVER else EVENT
    word = translated(_WORDS.get(entry.what, entry.what))
    text = entry.note if side == EVENT and entry.note else f"{word} ({entry.note})" if entry.note else word
    yield Step(entry.at, side, text, entry.peer, is_act=side != EVENT, deviates=entry.deviates is not None)


def _lines(entry: WireEntry) -> Iterator[Step]:
    """Yield a payload line by line, with the part of it that deviates on a line of its own."""
    data = ((entry.head if entry.data is None else entry.data) or "").encode("latin-1")
    size = entry.size or len(data)
    start, end = entry.deviates or (-1, -1)
    is_whole = entry.deviates == (0, 0)
    if entry.data is None or is_whole:
        digest = f" SHA-256 {entry.sha256[:16]}..." if entry.sha256 else ""
        yield Step(0.0, SERVER, escape(data, size, _LINE_BYTES) + digest, deviates=is_whole)
        return
    position, skipped, shown = 0, 0, 0
    for line in _cut(data, start, end):
        deviates = start <= position < end
        position += len(line)
        if not deviates and shown >= _LINES:
            skipped += len(line)
            continue
        if skipped:
            yield Step(0.0, SERVER, gettext(_MORE_BYTES, number=skipped))
            skipped = 0
        shown += 1
        yield Step(0.0, SERVER, escape(line, len(line), _LINE_BYTES), deviates=deviates)
    if skipped:
        yield Step(0.0, SERVER, gettext(_MORE_BYTES, number=skipped))


def _cut(data: bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield the lines of a payload; those inside of what deviates begin and end with it."""
    if start < 0:
        yield from _split(data)
        return
    for part in (data[:start], data[start:end], data[end:]):
        yield from _split(part)


def _split(data: bytes) -> Iterator[bytes]:
    """Yield the lines of bytes; only LF ends one."""
    while data:
        line, separator, data = data.partition(b"\n")
        yield line + separator

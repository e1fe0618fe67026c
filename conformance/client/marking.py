"""Mark in a recording what the server sent that was not expected, or where it fell silent or closed."""

from typing import Final

from conformance.client.recording import Recording, WireEvent, escape
from conformance.failures import Failure, Kind

_EVENTS: Final = frozenset({"silence", "end", "reset by server", "refused"})
"""Events that are a failure themselves."""
_WHOLE: Final = (0, 0)
_SHOWN_BYTES: Final = 40
"""How much of a line has to stand in the text of a failure."""


def mark(record: Recording, failure: Failure, unread: int) -> None:
    """Mark what a failure is about: the last line read, or what remains unread where nothing more may come.

    `unread` counts the bytes that the connection read last has received, and nobody has read. Marks nothing where it is
    not clear what to mark.
    """
    events = [event for event in record.events_of("received", *_EVENTS) if event.peer == record.reader]
    if not events:
        refused = record.events_of("refused")
        events = refused[-1:]
    if not events:
        return
    if events[-1].what in _EVENTS:
        events[-1].deviates = _WHOLE
        return
    where = _unread(events, unread) if failure.kind is Kind.EXTRA else _last_line(events, unread)
    if where is not None and failure.kind is Kind.STATUS and not _is_in(failure.got, *where):
        where = _line_in(failure.got, record.events_of("received"))
    if where is not None:
        event, start, end = where
        event.deviates = start, end


_Place = tuple[WireEvent, int, int]


def _unread(events: list[WireEvent], unread: int) -> _Place | None:
    """Return what was not read of the payload that holds its first byte."""
    left = unread
    for event in reversed(events):
        if event.payload is None or not left:
            return None
        if left <= event.payload.size:
            start = event.payload.size - left
            return _known(event, start, event.payload.size)
        left -= event.payload.size
    return None


def _last_line(events: list[WireEvent], unread: int) -> _Place | None:
    """Return the line that ends where the unread bytes begin."""
    left = unread
    for event in reversed(events):
        if event.payload is None:
            return None
        if left < event.payload.size:
            end = event.payload.size - left
            return _known(event, event.payload.head.rfind(b"\n", 0, end - 1) + 1, end)
        left -= event.payload.size
    return None


def _known(event: WireEvent, start: int, end: int) -> _Place:
    """Return a place, or the whole payload if that is too long to have been kept."""
    is_kept = event.payload is not None and end <= len(event.payload.head)
    return (event, start, end) if is_kept else (event, *_WHOLE)


def _is_in(got: str, event: WireEvent, start: int, end: int) -> bool:
    """Return whether the text of a failure begins with a place's first bytes."""
    line = event.payload.head[start:end].rstrip(b"\r\n") if event.payload is not None else b""
    return bool(line) and got.startswith(escape(line[:_SHOWN_BYTES]))


def _line_in(got: str, events: list[WireEvent]) -> _Place | None:
    """Return the last received line with which the text of a failure begins."""
    for event in reversed(events):
        data = event.payload.head if event.payload is not None else b""
        start, places = 0, []
        for line in data.split(b"\n"):
            places.append((event, start, min(start + len(line) + 1, len(data))))
            start += len(line) + 1
        for place in reversed(places):
            if _is_in(got, *place):
                return place
    return None

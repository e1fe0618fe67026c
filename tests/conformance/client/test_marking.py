"""What fails a scenario is marked in its recording: a line, unread bytes, an event, or nothing rather than another."""

import pytest

from conformance.client.marking import mark
from conformance.client.recording import Payload, Recording
from conformance.failures import Failure, Kind

OK = "0 OK"
TWO = b"0 OK\r\n201 INVALID\r\n"


def recording(*events: tuple[int, str, bytes]) -> Recording:
    """Return a recording of events: connection, what happened, and what was sent or received."""
    record = Recording()
    for peer, what, data in events:
        is_payload = what in {"sent", "received"}
        record.note(peer, what, payload=Payload(data, is_sent=what == "sent") if is_payload else None)
    record.reader = events[-1][0]
    return record


def marked(record: Recording) -> list[tuple[int, tuple[int, int]]]:
    """Return what is marked: the number of the event, and which bytes."""
    return [(number, event.deviates) for number, event in enumerate(record.events) if event.deviates is not None]


@pytest.mark.parametrize(
    ("kind", "got", "data", "unread", "place"),
    [
        (Kind.STATUS, "0 OK", TWO, 13, (0, 6)),
        (Kind.STATUS, "201 INVALID", TWO, 0, (6, 19)),
        (Kind.STATUS, "0 OK, followed by 56", TWO, 0, (0, 6)),  # more was read before it failed
        (Kind.BODY, "5", b"0 OK\r\n5\r\n", 0, (6, 9)),
        (Kind.EXTRA, "201 INVALID", TWO, 13, (6, 19)),
        (Kind.MALFORMED, "0 OK, ended by a bare LF", b"0 OK\n", 0, (0, 5)),
    ],
)
def test_marks_the_bytes_that_are_not_as_expected(
    kind: Kind, got: str, data: bytes, unread: int, place: tuple[int, int]
) -> None:
    record = recording((1, "connected", b""), (1, "sent", b"quit\r\n"), (1, "received", data))
    mark(record, Failure(kind, OK, got), unread)
    assert marked(record) == [(2, place)]


@pytest.mark.parametrize("what", ["silence", "end", "reset by server", "refused"])
def test_marks_an_event(what: str) -> None:
    record = recording((1, "received", b"0 OK\r\n"), (1, what, b""))
    mark(record, Failure(Kind.CLOSED, OK, "the end of the stream"), 0)
    assert marked(record) == [(1, (0, 0))]


def test_marks_the_line_of_the_connection_that_was_read_last() -> None:
    record = recording((1, "received", b"0 OK\r\n"), (2, "received", b"0 OK\r\n"), (1, "sent", b"x"))
    mark(record, Failure(Kind.STATUS, "202", OK), 0)
    assert marked(record) == [(0, (0, 6))]


def test_marks_the_line_although_another_connection_was_read_since() -> None:
    record = recording((1, "received", b"0 OK\r\n"), (2, "received", b"202 FILE NOT FOUND\r\n"))
    mark(record, Failure(Kind.STATUS, "202", "0 OK, followed by 56"), 0)
    assert marked(record) == [(0, (0, 6))]


def test_marks_nothing_rather_than_another_line() -> None:
    record = recording((1, "received", b"202 FILE NOT FOUND\r\n"))
    mark(record, Failure(Kind.STATUS, "an error", "0 for all of them"), 0)
    mark(Recording(), Failure(Kind.STATUS, OK, "201"), 0)
    assert marked(record) == []


def test_a_payload_that_was_too_long_to_keep_is_marked_as_a_whole() -> None:
    record = recording((1, "received", b"x" * 5000 + b"\r\n"))
    mark(record, Failure(Kind.BODY, "y", "x"), 0)
    assert marked(record) == [(0, (0, 0))]
    assert record.describe()[0].deviates == (0, 0)

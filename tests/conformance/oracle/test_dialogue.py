"""The model follows a conversation byte by byte, and says what is not allowed, and by which requirement."""

import base64
import itertools

import pytest

from conformance.failures import Kind
from conformance.fixtures.content import Generated, InMemory
from conformance.oracle.choices import Choices
from conformance.oracle.dialogue import Dialogue
from conformance.oracle.served import Entry, EntryKind, Served

pytestmark = pytest.mark.once

BIG = Generated(200_000, 1)
SERVED = Served({b"text.txt": Entry(EntryKind.FILE, InMemory(b"Hello")), b"big": Entry(EntryKind.FILE, BIG)})
OK = b"0 OK\r\n"
ASK = b"get_metadata text.txt\r\n"
SLICE = b"get_slice text.txt 0 5\r\n"
QUIT = b"quit\r\n"


def found(sent: bytes, received: bytes, ending: str = "", dialect: str = "2026") -> tuple[str, Kind] | None:
    """Return what the model says of a stream, whole and byte by byte alike."""
    whole, bytewise = Dialogue(SERVED, dialect), Dialogue(SERVED, dialect)
    whole.sent(sent)
    whole.received(received)
    for number in sent:
        bytewise.sent(bytes([number]))
    for number in received:
        bytewise.received(bytes([number]))
    for dialogue in (whole, bytewise):
        if ending == "half-close":
            dialogue.half_closed()
        if ending == "silence":
            dialogue.silent(1.0)
        elif ending:
            dialogue.ended(is_reset=ending == "reset")
    results = [
        dialogue.violation and (dialogue.violation.requirement, dialogue.violation.kind)
        for dialogue in (whole, bytewise)
    ]
    assert results[0] == results[1]
    return results[0]


ALLOWED = [
    (ASK + QUIT, OK + b"5\r\n" + OK, "end", "2026"),
    (ASK + QUIT, OK + b"5\r\n" + OK, "reset", "2026"),
    (b"x\r\n" * 3 + QUIT, b"200 no\r\n" * 3 + OK, "end", "2026"),
    (b"x\r\nqui\nt\r\n" + ASK, b"200 no\r\n100 bad\r\n", "end", "2026"),
    (b"get_file_listing\r\n" + QUIT, OK + b"text.txt\r\nbig\r\n\r\n" + OK, "end", "2026"),
    (b"get_file_listing\r\n" + QUIT, OK + b"big\r\ntext.txt\r\n\r\n" + OK, "end", "2016"),
    (SLICE + QUIT, OK + b"SGVsbG8=\r\n" + OK, "end", "2019"),
    (SLICE + QUIT, OK + b"SGVs\r\nbG8=\r\n" + OK, "end", "2026"),
    (SLICE + QUIT, OK + b"Hello" + OK, "end", "2018"),
    (SLICE + QUIT, OK + b"2 He\r\n3 llo\r\n0 \r\n" + OK, "end", "2016"),
    (b"get_slice text.txt 5 0\r\n" + QUIT, OK + b"\r\n" + OK, "end", "2026"),
    (b"get_slice text.txt 1 2 raw\r\n" + QUIT, OK + b"Content-Length: 2\r\n\r\nel" + OK, "end", "2026"),
    (b"\r\n", b"101 empty\r\n", "end", "2026"),
    (b"x\r\nunfinished", b"200 no\r\n", "half-close", "2026"),
    (ASK, OK + b"5\r\n", "silence", "2026"),
    (b" quit\r\n", b"101 no\r\n", "end", "2026"),
    (b" quit\r\n" + ASK, b"201 no\r\n" + OK + b"5\r\n", "silence", "2026"),
    (b"a\rb", b"101 no\r\n", "end", "2026"),
]


@pytest.mark.parametrize(("sent", "received", "ending", "dialect"), ALLOWED)
def test_allows_what_is_right(sent: bytes, received: bytes, ending: str, dialect: str) -> None:
    assert found(sent, received, ending, dialect) is None


VIOLATIONS = [
    (b"", b"220 welcome\r\n", "", "2026", "HFTP-2.6", Kind.EXTRA),
    (ASK, OK + b"6\r\n", "", "2026", "HFTP-5.2", Kind.BODY),
    (ASK, OK + b"five\r\n", "", "2026", "HFTP-5.1", Kind.BODY),
    (ASK, OK + b"5\n", "", "2026", "HFTP-5.1", Kind.MALFORMED),
    (ASK, b"00 OK\r\n", "", "2026", "HFTP-2.1", Kind.MALFORMED),
    (ASK, b"7 OK\r\n", "", "2026", "HFTP-2.2", Kind.STATUS),
    (ASK, b"0\r\n5\r\n", "", "2026", "HFTP-2.5", Kind.MALFORMED),
    (ASK, b"202 no\r\n", "", "2026", "HFTP-8.6", Kind.STATUS),
    (ASK, OK + b"5\r\n\r\n", "", "2026", "HFTP-2.3", Kind.EXTRA),
    (ASK, OK, "silence", "2026", "HFTP-8.6", Kind.TIMEOUT),
    (ASK, b"", "end", "2026", "HFTP-8.6", Kind.CLOSED),
    (ASK + ASK, OK + b"5\r\n", "end", "2026", "HFTP-1.6", Kind.CLOSED),
    (ASK, OK + b"5\r\n", "end", "2026", "HFTP-2.8", Kind.CLOSED),
    (ASK, b"", "half-close", "2026", "HFTP-1.14", Kind.CLOSED),
    (QUIT, OK, "silence", "2026", "HFTP-3.6", Kind.OPEN),
    (QUIT + ASK, OK + OK, "", "2026", "HFTP-3.6", Kind.EXTRA),
    (b"\r\n" + ASK, b"101 no\r\n" + OK, "", "2026", "HFTP-2.7", Kind.EXTRA),
    (b"q\nx\r\n" + ASK, b"100 no\r\n" + OK, "", "2026", "HFTP-1.5", Kind.EXTRA),
    (b"q\n", b"", "silence", "2026", "HFTP-1.3", Kind.TIMEOUT),
    (b"q\nx\r\n", b"", "reset", "2026", "HFTP-2.9", Kind.RESET),
    (b"get_file_listing\r\n", OK + b"big\r\n\r\n", "", "2026", "HFTP-4.3", Kind.BODY),
    (b"get_file_listing\r\n", OK + b"big\r\nbig\r\ntext.txt\r\n\r\n", "", "2026", "HFTP-4.3", Kind.BODY),
    (b"get_file_listing\r\n", OK + b"big\r\ntext.txt\r\nother\r\n\r\n", "", "2026", "HFTP-4.5", Kind.BODY),
    (b"help\r\n", OK + b"help\r\nquit\r\n\r\n", "", "2026", "HFTP-3.8", Kind.BODY),
    (SLICE, OK + b"SGVs bG8=\r\n", "", "2026", "HFTP-6.1", Kind.BODY),
    (SLICE, OK + b"SGVsbGE=\r\n", "", "2026", "HFTP-6.2", Kind.BODY),
    (SLICE, OK + b"SGVsbG8hIQ==\r\n", "", "2026", "HFTP-6.2", Kind.BODY),
    (SLICE, OK + b"SGVs\r\nbG8=\r\n", "", "2019", "HFTP-6.2", Kind.BODY),
    (SLICE, OK + b"3 Hel\r\n0 \r\n", "", "2016", "HFTP-6.2", Kind.BODY),
    (SLICE, OK + b"Hello", "", "2016", "HFTP-6.11", Kind.BODY),
    (b"get_slice text.txt 1 2 raw\r\n", OK + b"Content-Length: 3\r\n", "", "2026", "HFTP-6.8", Kind.BODY),
]


@pytest.mark.parametrize(("sent", "received", "ending", "dialect", "requirement", "kind"), VIOLATIONS)
def test_names_the_requirement_that_is_broken(  # noqa: PLR0913, PLR0917  (the columns of a table)
    sent: bytes, received: bytes, ending: str, dialect: str, requirement: str, kind: Kind
) -> None:
    assert found(sent, received, ending, dialect) == (requirement, kind)


@pytest.mark.parametrize("changed", [0, 65_535, 131_071, 199_998])
@pytest.mark.parametrize("form", ["base64", "raw"])
def test_finds_one_wrong_byte_wherever_it_is(changed: int, form: str) -> None:
    data = bytearray(BIG.read(1, 199_999))
    data[changed] ^= 1
    body = b"Content-Length: 199999\r\n\r\n" + data if form == "raw" else base64.b64encode(data) + b"\r\n"
    dialogue = Dialogue(SERVED, "2026")
    dialogue.sent(b"get_slice big 1 199999" + (b" raw" if form == "raw" else b"") + b"\r\n")
    for start in range(0, len(OK + body), 10_007):
        dialogue.received((OK + body)[start : start + 10_007])
    assert dialogue.violation is not None
    assert dialogue.violation.expected.startswith(f"byte {changed + 1} of the file")


def test_keeps_no_more_of_a_large_slice_than_what_it_has_not_read() -> None:
    dialogue = Dialogue(SERVED, "2026")
    dialogue.sent(b"get_slice big 0 200000\r\n")
    dialogue.received(OK)
    text = base64.b64encode(BIG.read(0, 200_000)) + b"\r\n"
    for start in range(0, len(text), 1000):
        dialogue.received(text[start : start + 1000])
        assert len(dialogue._reader.buffer) <= 1000  # noqa: SLF001
    assert dialogue.violation is None
    assert dialogue.is_settled


def test_a_should_does_not_hide_a_must() -> None:
    assert found(b"get_slice text.txt +0 5\r\n" + ASK, OK + b"SGVsbG8=\r\n" + OK + b"6\r\n") == ("HFTP-5.2", Kind.BODY)


def test_remembers_what_a_server_has_chosen() -> None:
    choices = Choices()
    for reply in (b"201 no\r\n", OK + b"SGVsbG8=\r\n"):
        dialogue = Dialogue(SERVED, "2026", choices)
        dialogue.sent(b"get_slice text.txt 00 5\r\n")
        dialogue.received(reply)
        assert dialogue.violation is None
    assert choices.first == {"leading zeros": 201}
    assert choices.others == {"leading zeros": {0}}


def test_judges_by_the_directory_of_the_time_of_the_request() -> None:
    dialogue = Dialogue(SERVED, "2026")
    for served, reply in itertools.zip_longest((SERVED.without(b"text.txt"), SERVED), (b"202 no\r\n", OK + b"5\r\n")):
        dialogue.served = served
        dialogue.sent(ASK)
        dialogue.received(reply)
        assert dialogue.violation is None
        assert dialogue.replies

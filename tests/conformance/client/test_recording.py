"""A recording has a bounded size; omitted data is represented by its length and hash."""

import hashlib

import pytest

from conformance.client.recording import MOST_EVENTS, RECEIVED_BYTES, WHOLE_BYTES, Recording
from conformance.model.events import LINE_BYTES, Result
from conformance.model.verdicts import Verdict
from conformance.reports.ndjson import line

MOST_BYTES = 1 << 20
"""The maximum length of a line of NDJSON, as in README.md."""


@pytest.mark.parametrize(
    "reply", [b"\x00" * WHOLE_BYTES, b"\xff" * 100, b"\xff" * 70_000], ids=["whole", "short", "long"]
)
def test_limits_the_length_of_a_recorded_line(reply: bytes) -> None:
    record = Recording()
    for number in range(2 * MOST_EVENTS):
        record.payload(number % 7, "sent", b"get_metadata text.txt\r\n", is_apart=True)
        record.payload(number % 7, "received", reply)
    result = Result("a.b", "HFTP-1.1", "MUST", Verdict.FAIL, transcript=record.describe())
    assert len(line(result)) < MOST_BYTES < LINE_BYTES


def test_records_length_and_hash_of_omitted_data() -> None:
    record = Recording()
    while sum(len(entry.data or "") for entry in record.describe()) < RECEIVED_BYTES:
        record.payload(1, "sent", b"?", is_apart=True)
        record.payload(1, "received", bytes(WHOLE_BYTES))
    record.payload(1, "sent", b"?", is_apart=True)
    record.payload(1, "received", b"late")
    *_, sent, late = record.describe()
    assert (sent.data, late.data, late.head, late.tail, late.size) == ("?", None, "", "", 4)
    assert late.sha256 == hashlib.sha256(b"late").hexdigest()


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ([], "nothing"),
        ([b"quit\r\n"], r"quit\r\n"),
        ([b"a\r\n", *(bytes([byte]) for byte in b"quit\r\n")], r"quit\r\n (in 6 pieces)"),
        ([b"quit\r", b"\n"], r"quit\r\n (in 2 pieces)"),
        ([b"quit\r\n", b"a\r\n"], r"a\r\n"),
        ([b"x" * 500, b"\r\n"], r"\r\n"),
    ],
)
def test_tells_a_line_that_was_sent_in_pieces_as_a_whole(sent: list[bytes], shown: str) -> None:
    record = Recording()
    for data in sent:
        record.payload(1, "sent", data, is_apart=True)
    assert record.last_sent() == shown


def test_tells_no_pieces_of_another_client() -> None:
    record = Recording()
    record.payload(2, "sent", b"qu", is_apart=True)
    record.payload(1, "sent", b"it\r\n", is_apart=True)
    assert record.last_sent() == r"it\r\n"

"""Each form of a slice is read up to its end, and distinguished from the others."""

import base64
import socket
import threading
from time import monotonic

import pytest

from conformance.client.bodies import READERS, decode
from conformance.client.client import Client
from conformance.client.recording import Recording
from conformance.fixtures.content import InMemory

pytestmark = pytest.mark.once

DATA = bytes(range(200, 256)) * 2
LINES = base64.encodebytes(DATA)
SENT = {
    "2026": LINES.replace(b"\n", b"\r\n"),
    "2019": base64.b64encode(DATA) + b"\r\n",
    "2018": DATA,
    "2016": b"100 %b\r\n12 %b\r\n0 \r\n" % (DATA[:100], DATA[100:]),
    "raw": b"Content-Length: 112\r\n\r\n" + DATA,
    "hexadecimal": DATA.hex().encode() + b"\r\n",
    "unpadded": base64.b64encode(DATA).rstrip(b"=") + b"\r\n",
    "urlsafe": base64.urlsafe_b64encode(DATA) + b"\r\n",
    "lines": LINES.replace(b"\n", b"\r\n"),
    "lines-lf": LINES,
    "fragments-hex": b"64 %b\r\nc %b\r\n0 \r\n" % (DATA[:100], DATA[100:]),
    "fragments-counted": b"102 %b\r\n14 %b\r\n0 \r\n" % (DATA[:100], DATA[100:]),
    "fragments-short-end": b"112 %b\r\n0\r\n" % DATA,
    "fragments-no-end": b"112 %b\r\n" % DATA,
}


def test_covers_every_form() -> None:
    assert SENT.keys() == READERS.keys()


@pytest.mark.parametrize("form", READERS)
@pytest.mark.parametrize("after", [b"", b"\r\n", b"0 OK\r\n"])
def test_reads_a_slice_up_to_its_end(form: str, after: bytes) -> None:
    assert decode(SENT[form] + after, form, len(DATA)) == (DATA, after)


def wrapped(data: bytes, line: int, end: bytes) -> bytes:
    """Return data as lines of base64 for so many bytes each, each padded by itself."""
    return b"".join(base64.b64encode(data[at : at + line]) + end for at in range(0, len(data), line))


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("line", [1, 2, 3, 57, 100, 111, 112, 113])
def test_reads_lines_of_any_length_up_to_the_end(line: int, end: bytes) -> None:
    after = wrapped(DATA, line, end)  # the same lines follow: not one of them may be taken
    form = "lines" if end == b"\r\n" else "lines-lf"
    assert decode(wrapped(DATA, line, end) + after, form, len(DATA)) == (DATA, after)


@pytest.mark.parametrize(
    "sent", [LINES.replace(b"\n", b"\r\n", 1), b"QUJD\r\n" * 5 + b"QUI\r\nQ" * 2, b"AAAA\r\n" * 9 + b"A=AA\r\n"]
)
def test_rejects_a_line_among_others_that_ends_otherwise_or_is_no_base64(sent: bytes) -> None:
    assert decode(sent + b"AAAA\r\n" * 40, "lines", 60) is None


def send_in_pieces(sock: socket.socket, data: bytes) -> None:
    """Send data in pieces that end anywhere in a line."""
    for at in range(0, len(data), 997):
        sock.sendall(data[at : at + 997])


def test_reads_lines_as_they_arrive() -> None:
    sent = wrapped(DATA * 40, 57, b"\r\n")
    near, far = socket.socketpair()
    with far:
        client = Client(lambda *_: near, Recording(), 1, timeout_seconds=5.0, deadline=monotonic() + 60.0)
        sending = threading.Thread(target=send_in_pieces, args=(far, sent))
        sending.start()
        found = client.slice(InMemory(DATA * 40), 0, len(DATA) * 40)
        sending.join()
        assert (found.data, found.lines, client.unread) == (DATA * 40, sent.count(b"\n"), b"")
        client.close()


@pytest.mark.parametrize("form", READERS)
def test_rejects_a_truncated_slice(form: str) -> None:
    assert decode(SENT[form][: len(SENT[form]) // 2], form, len(DATA)) is None


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        ("2019", SENT["unpadded"]),
        ("2019", SENT["urlsafe"]),
        ("2019", SENT["2026"]),
        ("2016", SENT["fragments-hex"]),
        ("2016", SENT["fragments-counted"]),
        ("2016", SENT["fragments-short-end"]),
        ("2016", b"00112 %b\r\n0 \r\n" % DATA),
        ("unpadded", SENT["2019"]),
    ],
)
def test_rejects_a_slice_in_another_form(form: str, sent: bytes) -> None:
    assert decode(sent + b"0 OK\r\n", form, len(DATA)) is None

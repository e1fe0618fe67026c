"""Each form of a slice is read up to its end, and distinguished from the others."""

import base64

import pytest

from conformance.client.bodies import READERS, decode

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

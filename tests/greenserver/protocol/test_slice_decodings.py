"""Decoders give back what the server's encoders made of a slice, in whatever pieces it arrives, and refuse the rest."""

import base64
from collections.abc import Iterable

import hypothesis
import pytest
from hypothesis import strategies as st

from greenserver.protocol.errors import RemoteProtocolError
from greenserver.protocol.slice_decodings import (
    BASE64,
    DECODERS,
    FORMS,
    FRAGMENTS,
    PLAIN,
    RAW,
    Decoder,
    UnknownDecoder,
    show,
)
from tests.greenserver.conftest import PURE


def encode(form: str, data: bytes) -> bytes:
    """Return a slice in a form, as the protocol describes it."""
    if form == BASE64:
        return base64.b64encode(data) + b"\r\n"
    if form == RAW:
        return b"Content-Length: %d\r\n\r\n%b" % (len(data), data)
    if form == FRAGMENTS:
        parts = [data[start : start + 7] for start in range(0, len(data), 7)]
        return b"".join(b"%d %b\r\n" % (len(part), part) for part in parts) + b"0 \r\n"
    return data


def decode(decoder: Decoder, pieces: Iterable[bytes]) -> bytes:
    """Feed pieces, as a connection does: what is not taken comes again, with more."""
    decoded = b""
    left = b""
    for piece in pieces:
        left += piece
        while left and not decoder.is_finished:
            data, taken = decoder.decode(memoryview(left))
            decoded += bytes(data)
            left = left[taken:]
            if not taken:
                break
    assert not left
    return decoded


def cut(text: bytes, lengths: list[int]) -> Iterable[bytes]:
    """Yield a text in pieces of these lengths, and the rest."""
    for length in lengths:
        yield text[:length]
        text = text[length:]
    yield text


@pytest.mark.parametrize("form", DECODERS)
@hypothesis.given(data=st.binary(max_size=60), lengths=st.lists(st.integers(0, 9), max_size=20))
@PURE
def test_a_slice_in_any_pieces_is_what_was_encoded(form: str, data: bytes, lengths: list[int]) -> None:
    decoder = DECODERS[form](len(data))
    assert decode(decoder, cut(encode(form, data), lengths)) == data
    assert decoder.is_finished
    assert not decoder.left


@hypothesis.given(
    lines=st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=8),
    lengths=st.lists(st.integers(0, 9), max_size=20),
)
@PURE
def test_base64_may_come_on_several_lines_that_can_each_be_decoded_alone(
    lines: list[bytes], lengths: list[int]
) -> None:
    text = b"".join(base64.b64encode(line) + b"\r\n" for line in lines)
    decoder = DECODERS[BASE64](len(b"".join(lines)))
    assert decode(decoder, cut(text, lengths)) == b"".join(lines)
    assert decoder.is_finished


def test_long_lines_of_base64_are_decoded_in_bounded_steps() -> None:
    data = bytes(range(256)) * 800
    text = b"".join(base64.b64encode(data[start : start + 57]) + b"\r\n" for start in range(0, len(data), 57))
    assert decode(DECODERS[BASE64](len(data)), [text]) == data
    longer = b"".join(base64.b64encode(data[start : start + 9000]) + b"\r\n" for start in range(0, len(data), 9000))
    assert decode(DECODERS[BASE64](len(data)), cut(longer, [5000] * 60)) == data


@pytest.mark.parametrize(
    ("form", "size", "text"),
    [
        (BASE64, 3, b"QUJDQUJD\r\n"),  # longer than asked for
        (BASE64, 3, b"QUJD\n"),
        (BASE64, 6, b"QUJD\r\n\r\n"),  # shorter
        (BASE64, 3, b"Q!JD\r\n"),
        (BASE64, 3, b"QQ==\r\nQUJD\r\n"),
        (BASE64, 9, b"QU=DQUJDQUJD\r\n"),
        (BASE64, 9, b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"),
        (BASE64, 9, b"QUI\r\nQUJDQUJD\r\n"),
        (BASE64, 300, b"hello, world, this is no base64 at all" * 20),
        (RAW, 3, b"Content-Length: 4\r\n\r\nabcd"),
        (RAW, 3, b"QUJD\r\n"),
        (FRAGMENTS, 3, b"4 abcd\r\n0 \r\n"),
        (FRAGMENTS, 3, b"3 abcX\r\n0 \r\n"),
        (FRAGMENTS, 3, b"0 \r\n"),
        (FRAGMENTS, 3, b"-1 a\r\n"),
        (FRAGMENTS, 3, b"3 abc\r\n1 d\r\n0 \r\n"),
        (FRAGMENTS, 3, b"111111111111111111111111111111"),
        (FRAGMENTS, 3, b"03x abc"),
    ],
)
def test_what_is_not_the_slice_is_refused(form: str, size: int, text: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        decode(DECODERS[form](size), [text])
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("form", [BASE64, PLAIN, FRAGMENTS])
def test_the_form_of_a_slice_of_one_byte_is_found_out_whatever_the_byte(form: str) -> None:
    for byte in (bytes([value]) for value in range(256)):
        decoder = UnknownDecoder(1)
        text = encode(form, byte) + b"0 OK\r\n"
        decoded = b""
        while not decoder.is_finished:
            data, taken = decoder.decode(memoryview(text))
            assert taken
            decoded += bytes(data)
            text = text[taken:]
        assert (decoder.form, decoded, text) == (form, byte, b"0 OK\r\n")


def test_the_form_is_not_guessed_before_enough_has_arrived() -> None:
    assert UnknownDecoder(1).decode(memoryview(b"X0 ")) == (b"", 0)


def test_each_dialect_has_a_form() -> None:
    assert FORMS == {"2026": RAW, "2019": BASE64, "2018": PLAIN, "2016": FRAGMENTS}


def test_what_is_shown_is_printable_and_short() -> None:
    assert show(b"\x1b]0;title\x07" * 20).isprintable()
    assert len(show(b"\x1b" * 1000)) < 200

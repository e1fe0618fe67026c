"""Input is cut into command lines: the same ones in any segmentation, and in bounded memory."""

import re
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenserver.config import limits
from greenserver.protocol.framing import OVERLONG, LineBuffer
from tests.greenserver.conftest import PURE


def lines_of(pieces: Iterable[bytes]) -> list[bytes]:
    """Feed pieces into a line buffer, and return the lines, each read as soon as it is complete."""
    buffer = LineBuffer()
    lines = []
    for piece in pieces:
        buffer.feed(piece)
        while (line := buffer.next_line()) is not None:
            lines.append(line)
    return lines


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[position : position + 1] for position in range(len(data))]


LONG = b"a" * (limits.WHOLE_LINE_BYTES + 1)
SHORTENED = b"a" * limits.ELEMENT_BYTES

# The input, the lines, and whether the last line is fatal.
CASES = {
    "nothing": (b"", [], False),
    "no line end": (b"quit", [], False),
    "a CR only": (b"quit\r", [], False),
    "one line": (b"quit\r\n", [b"quit"], False),
    "an empty line": (b"\r\n", [b""], False),
    "two empty lines": (b"\r\n\r\n", [b"", b""], False),
    "two lines": (b"help\r\nquit\r\n", [b"help", b"quit"], False),
    "a line and a half": (b"help\r\nqu", [b"help"], False),
    "a CR in a line": (b"he\rlp\r\n", [b"he\rlp"], False),
    "a CR before the end": (b"help\r\r\n", [b"help\r"], False),
    "other line ends": ("a\x0bb\x0cc\x85d\u2028".encode() + b"\r\n", ["a\x0bb\x0cc\x85d\u2028".encode()], False),
    "NUL and high bytes": (b"\0\xff\r\n", [b"\0\xff"], False),
    "a bare LF": (b"\n", [b"\n"], True),
    "a line that ends with LF": (b"quit\n", [b"quit\n"], True),
    "a LF in a line": (b"qui\nt\n\r\n", [b"qui\n"], True),
    "a LF after good lines": (b"help\r\nquit\r\na\n", [b"help", b"quit", b"a\n"], True),
    "a LF before a CR": (b"quit\n\r", [b"quit\n"], True),
    "a line at the limit of whole lines": (LONG[1:] + b"\r\n", [LONG[1:]], False),
    "a long element": (LONG + b"\r\n", [SHORTENED], False),
    "a long line with a CR, then a LF": (b"a\rb" + LONG + b"\n", [b"a\rb" + SHORTENED[3:] + b"\n"], True),
    "a long line whose start ends in a CR, with a LF": (
        SHORTENED[1:] + b"\r" + LONG + b"\n",
        [SHORTENED[1:] + b"\n"],
        True,
    ),
    "a long line of short elements": (
        b"get_metadata " + LONG + b" b\r\n",
        [b"get_metadata " + SHORTENED + b" b"],
        False,
    ),
    "a long line of many elements": (b"a " * 3000 + b"\r\n", [b"a a a a a a a " + b"a " * 512], False),
    "a long line with an invalid byte": (LONG + b"\xe9\0\r\n", [SHORTENED + b"\xe9"], False),
    "a long line with a CR in it": (LONG + b"\rb\r\n", [SHORTENED + b"\r"], False),
    "a long line with two CR before its LF": (LONG + b"\r\r\n", [SHORTENED + b"\r"], False),
    "a long line, then a short one": (LONG + b"\r\nquit\r\n", [SHORTENED, b"quit"], False),
    "two long lines": ((LONG + b"\r\n") * 2, [SHORTENED] * 2, False),
    "a long line with a LF": (LONG + b"\nquit\r\n", [SHORTENED + b"\n"], True),
    "a short line with a LF, then a long one": (b"a\n" + LONG + b"\r\n", [b"a\n"], True),
    "a long line, then one with a LF": (LONG + b"\r\na\nb\r\n", [SHORTENED, b"a\n"], True),
}
each_case = pytest.mark.parametrize(("sent", "lines", "is_fatal"), CASES.values(), ids=CASES)


@each_case
def test_lines_received_at_once(sent: bytes, lines: list[bytes], is_fatal: bool) -> None:
    assert lines_of([sent]) == lines
    assert is_fatal or lines_of([sent, b"\r\n"])[: len(lines)] == lines


@each_case
def test_lines_received_byte_by_byte(sent: bytes, lines: list[bytes], is_fatal: bool) -> None:
    assert lines_of(byte_by_byte(sent)) == lines
    assert is_fatal == (lines_of([*byte_by_byte(sent), b"\r\nmore\r\n"]) == lines)


@each_case
def test_lines_received_in_two_pieces(sent: bytes, lines: list[bytes], is_fatal: bool) -> None:
    ends = {match.end() for match in re.finditer(rb"\n", sent)} | {0, len(sent)}
    positions = {end + step for end in ends for step in range(-3, 4) if 0 <= end + step <= len(sent)}
    assert all(lines_of([sent[:position], sent[position:]]) == lines for position in positions)
    assert is_fatal or lines_of([sent, b"\r\nquit\r\n"])[-1] == b"quit"


@each_case
def test_lines_followed_by_more_data(sent: bytes, lines: list[bytes], is_fatal: bool) -> None:
    if is_fatal:
        assert lines_of([sent + b"more\r\n\n"]) == lines
    elif sent.endswith(b"\r\n"):
        assert lines_of([sent + b"more\r\nand"]) == [*lines, b"more"]
    else:
        assert lines_of([sent + b"\r\nmore\r\n"])[-1] == b"more"


def test_a_line_at_the_limit_is_accepted_and_a_longer_one_is_the_last() -> None:
    fits = b"get_metadata ".ljust(limits.LINE_BYTES, b"a")
    start = b"get_metadata " + SHORTENED
    assert lines_of([fits + b"\r\nquit\r\n"]) == [start, b"quit"]
    assert lines_of([fits + b"a\r\nquit\r\n"]) == [start + OVERLONG]
    assert lines_of([fits, b"a", b"\r\nquit\r\n"]) == [start + OVERLONG]
    assert lines_of([fits + b"\r", b"\nquit\r\n"]) == [start, b"quit"]
    assert lines_of([b"quit\r\n" + fits + b"a\r\nquit\r\n"]) == [b"quit", start + OVERLONG]


def test_an_unterminated_line_ends_as_soon_as_it_is_too_long() -> None:
    buffer = LineBuffer()
    piece = b"a" * limits.RECEIVE_BYTES
    for _ in range(limits.LINE_BYTES // len(piece)):
        buffer.feed(piece)
        assert buffer.next_line() is None
    buffer.feed(b"a")
    assert buffer.next_line() == SHORTENED + OVERLONG
    buffer.feed(b"\r\nquit\r\n")
    assert buffer.next_line() is None
    assert not buffer.is_at_start


@pytest.mark.parametrize("piece", [b"a" * 65536, b"\0" * 65536, b" " * 65536, b"a " * 32768], ids=repr)
def test_a_line_of_100_mib_takes_a_few_kib_of_memory(piece: bytes) -> None:
    buffer = LineBuffer()
    buffer.feed(piece)
    tracemalloc.start()
    try:
        for _ in range(100 * limits.MIB // len(piece)):
            buffer.feed(piece)
            tracemalloc.reset_peak()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 64 * limits.KIB


@pytest.mark.parametrize(
    ("sent", "is_at_start"),
    [
        (b"", True),
        (b"q", False),
        (b"\r", False),
        (b"quit\r\n", True),
        (b"quit\r\nh", False),
        (LONG, False),
        (b"q\n", False),
    ],
)
def test_is_at_start_tells_whether_the_next_byte_begins_a_line(sent: bytes, is_at_start: bool) -> None:
    buffer = LineBuffer()
    buffer.feed(sent)
    assert buffer.is_at_start == is_at_start


SHORT_OR_LONG = st.sampled_from([b"a", b" ", b"\r", b"\n", b"\r\n", b"\xff", b"\0", b"quit", b"b" * 3000, b"c" * 5000])


@PURE
@given(st.lists(SHORT_OR_LONG | st.binary(max_size=9), max_size=12).map(b"".join), st.lists(st.integers(0, 30000)))
@example(LONG + b"\r\n" + LONG + b"\r", [len(LONG) + 1])
@example(LONG + b"\r\nquit\r\n", [len(LONG) + 4])
@example(LONG + b"\r\r\n", [len(LONG) + 1, len(LONG) + 2])
def test_any_bytes_in_any_segmentation_are_the_same_lines(sent: bytes, cuts: list[int]) -> None:
    positions = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    pieces = [sent[start:end] for start, end in pairwise(positions)]
    assert lines_of(pieces) == lines_of([sent]) == lines_of(byte_by_byte(sent))


@PURE
@given(st.lists(st.sampled_from([b"a", b" ", b"\r", b"\n", b"\r\n", b"\xff"]), max_size=30).map(b"".join))
def test_short_lines_are_those_that_a_regular_expression_matches(sent: bytes) -> None:
    good, broken = re.fullmatch(rb"((?:[^\n]*\r\n)*)(.*)", sent, re.DOTALL).groups()  # type: ignore[union-attr]
    expected = good.split(b"\r\n")[:-1] if b"\n" not in good.replace(b"\r\n", b"") else None
    before, line_feed, _ = broken.partition(b"\n")
    assert expected is not None
    assert lines_of([sent]) == expected + ([before + line_feed] if line_feed else [])

"""OFFSET and SIZE: valid and invalid numbers, and numbers that exceed 32 or 64 bits.

Each form is tried as OFFSET, with SIZE 1, and as SIZE, with OFFSET 0. Its value would give a valid slice if the form
were accepted: so a lenient server sends a slice, and a server that refuses SIZE 0 does not pass as a strict one.
"""

from typing import Final

from conformance.diagnosis import numbers as causes
from conformance.failures import Failure
from conformance.language import Message
from conformance.model.likely_causes import CauseSpec
from conformance.model.scenario import Chapter, Kind, ScenarioContext

chapter = Chapter()

_PLACES: Final = (("offset", "OFFSET", "{0} 1"), ("size", "SIZE", "0 {0}"))


_Row = tuple[str, str, str, CauseSpec | None]
"""Slug, number as sent (escapes allowed), description, and causes for another status; None: causes of wrapping."""


def _add(requirement: str, codes: str, row: _Row) -> None:
    """Add two scenarios: the number as OFFSET, and as SIZE."""
    slug, number, what, cause = row
    for place, name, pattern in _PLACES:
        chapter.transcript(
            f"arguments.{slug}-{place}",
            requirement,
            f"{name} {what} is answered with {codes.replace('|', ' or ')}",
            f"""
            C| get_slice {{text}} {pattern.format(number)}\\r\\n
            S: {codes} *
            <in step>
            """,
            causes=causes.UNCONVERTED | {Kind.STATUS: causes.wraps(place) if cause is None else cause},
        )


_NEGATIVES: Final[tuple[_Row, ...]] = (
    ("minus-one", "-1", "-1", causes.NEGATIVE),
    ("minus-much", "-1000000", "-1000000 (far before the beginning)", causes.NEGATIVE),
    ("minus-2-31", "-2147483648", "-2**31", causes.NEGATIVE),
    ("minus-2-63", "-9223372036854775808", "-2**63", causes.NEGATIVE),
    (
        "minus-2-64",
        "-18446744073709551615",
        "1 - 2**64 (1 in 64 bits)",
        (causes.NEGATIVE_WRAPS, causes.NEGATIVE),
    ),
)
for _row in _NEGATIVES:
    _add("HFTP-7.1", "201", _row)

_LENIENT: Final[tuple[_Row, ...]] = (
    ("plus", "+1", "with a plus sign", causes.SIGN),
    ("plus-zero", "+0", "+0", causes.SIGN),
    ("minus-zero", "-0", "-0", causes.SIGN),
    ("underscore", "0_1", "with an underscore (0_1)", causes.UNDERSCORE),
    ("underscores-of-zero", "0_0", "with an underscore (0_0)", causes.UNDERSCORE),
)
for _row in _LENIENT:
    _add("HFTP-7.2", "201", _row)

_SCRIPTED: Final = (
    ("arabic", "\u0661", "as an Arabic digit (UTF-8)"),
    ("fullwidth", "\uff11", "as a full-width digit (UTF-8)"),
    ("devanagari", "\u0967", "as a Devanagari digit (UTF-8)"),
    ("superscript", "\u00b9", "as a superscript digit (UTF-8; isdigit() accepts it, int() does not)"),
    ("mixed-scripts", "0\u0661", "in mixed ASCII and Arabic digits (UTF-8)"),
    ("latin-1", "", "as a superscript digit (Latin-1, not UTF-8)"),
)
for _slug, _number, _what in _SCRIPTED:
    _bytes = "".join(f"\\x{byte:02x}" for byte in _number.encode()) or "\\xb9"
    _add("HFTP-7.2", "101|200|201|202", (_slug, _bytes, _what, causes.SCRIPTS))

_NO_NUMBERS: Final[tuple[_Row, ...]] = (
    ("letters", "abc", "abc", causes.ZERO),
    ("one-letter", "x", "x", causes.ZERO),
    ("digit-letter", "1a", "1a", causes.ATOI),
    ("letter-digit", "a1", "a1", causes.ZERO),
    ("fraction", "1.0", "1.0", causes.FLOAT),
    ("half", "0.5", "0.5", causes.FLOAT),
    ("point-at-end", "1.", "with a trailing point (1.)", causes.FLOAT),
    ("point-alone", ".", "of only a point (.)", causes.ZERO),
    ("exponent", "1e0", "with an exponent (1e0)", causes.FLOAT),
    ("exponent-capital", "1E0", "with an exponent (1E0)", causes.FLOAT),
    ("nan", "nan", "nan", causes.NOT_FINITE),
    ("infinity", "inf", "inf", causes.NOT_FINITE),
    ("hexadecimal", "0x1", "in hexadecimal (0x1)", causes.BASE),
    ("hexadecimal-digit", "a", "as a hexadecimal digit (a)", causes.HEXADECIMAL),
    ("octal", "0o1", "in octal (0o1)", causes.BASE),
    ("binary", "0b1", "in binary (0b1)", causes.BASE),
    ("comma", "1,0", "with a comma (1,0)", causes.ATOI),
    ("separators", "1,000", "with a thousands separator (1,000)", causes.ATOI),
    ("quotation-marks", "'1'", "in quotation marks ('1')", causes.QUOTED),
    ("sum", "1+0", "as a sum (1+0)", causes.EVALUATED),
    ("true", "True", "True", causes.EVALUATED),
    ("two-minuses", "--1", "with two minus signs (--1)", causes.EVALUATED),
    ("minus-alone", "-", "of only a minus sign (-)", causes.ZERO),
    ("plus-alone", "+", "of only a plus sign (+)", causes.ZERO),
    ("underscore-alone", "_", "of only an underscore (_)", causes.ZERO),
    ("unit", "1k", "with a unit (1k)", causes.ATOI),
    ("long", "1L", "with the suffix of a long integer (1L)", causes.ATOI),
    ("range", "0-1", "as a range (0-1)", causes.ATOI),
    ("percent", "%31", "URL-encoded (%31)", causes.URL),
)
for _row in _NO_NUMBERS:
    _add("HFTP-7.3", "201", _row)

# --- Leading zeros: a choice, but exactly one reply --------------------------------------------------


def _add_zeros(slug: str, requirement: str, words: tuple[bytes, bytes], codes: tuple[int, ...], title: str) -> None:
    """Add a scenario that requests a slice with leading zeros in OFFSET or SIZE."""

    @chapter.play(
        f"arguments.{slug}",
        requirement,
        title,
        needs=["text"],
        causes=causes.UNCONVERTED,
    )
    def zeros(context: ScenarioContext) -> None:
        """Accept the slice or an error, and require exactly one reply."""
        text = context.fixture("text")
        client = context.connect()
        client.send_line(b"get_slice %b %b %b" % (text.name, *words))
        status = client.status(*codes)
        if status.code == 0:
            client.slice(text.content, int(words[0][-9:]), int(words[1][-9:]))
        client.in_step()
        context.observe(Message("answered {status}", status=status))


_add_zeros(
    "leading-zeros-offset", "HFTP-7.4", (b"0001", b"1"), (0, 201), "OFFSET with leading zeros is answered with 0 or 201"
)
_add_zeros(
    "leading-zeros-size", "HFTP-7.4", (b"0", b"0001"), (0, 201), "SIZE with leading zeros is answered with 0 or 201"
)
_add_zeros("two-zeros", "HFTP-7.4", (b"00", b"00"), (0, 201), "00 instead of 0 is answered with 0 or 201")
_THOUSANDS: Final = b"0" * 5000
_add_zeros(
    "zeros-5000-offset",
    "HFTP-7.5",
    (_THOUSANDS + b"1", b"1"),
    (0, 201, 203),
    "OFFSET with 5,000 leading zeros is answered with 0, 201 or 203",
)
_add_zeros(
    "zeros-5000-size",
    "HFTP-7.5",
    (b"0", _THOUSANDS + b"1"),
    (0, 201, 203),
    "SIZE with 5,000 leading zeros is answered with 0, 201 or 203",
)

# --- Large numbers -----------------------------------------------------------------------------------

_LARGE: Final = (
    ("2-31-less-1", 2**31 - 1, "2**31 - 1 (the largest int32)"),
    ("2-31", 2**31, "2**31 (exceeds int32)"),
    ("2-32-less-1", 2**32 - 1, "2**32 - 1 (the largest uint32; -1 as int32)"),
    ("2-32", 2**32, "2**32 (0 in 32 bits)"),
    ("2-32-and-1", 2**32 + 1, "2**32 + 1 (1 in 32 bits)"),
    ("2-63-less-1", 2**63 - 1, "2**63 - 1 (the largest int64)"),
    ("2-63", 2**63, "2**63 (exceeds int64)"),
    ("2-64-less-1", 2**64 - 1, "2**64 - 1 (the largest uint64; -1 as int64)"),
    ("2-64", 2**64, "2**64 (0 in 64 bits)"),
    ("2-64-and-1", 2**64 + 1, "2**64 + 1 (1 in 64 bits)"),
    ("2-128-and-1", 2**128 + 1, "2**128 + 1"),
    ("100-digits", 10**99, "of 100 digits"),
    ("400-digits", 10**399, "of 400 digits (infinity as a double)"),
)
for _slug, _value, _what in _LARGE:
    _codes = "203" if _value < 2**31 else "201|203"
    _add("HFTP-6.4" if _value < 2**31 else "HFTP-7.5", _codes, (_slug, str(_value), _what, None))

_add(
    "HFTP-7.5",
    "201|203",
    (
        "5000-digits",
        "9" * 5000,
        "of 5,000 digits",
        causes.TOO_LONG,
    ),
)

_SUMS: Final = (
    ("2-32-from-1", 1, 2**32 - 1, "1 + (2**32 - 1) (0 in 32 bits)"),
    ("2-32-from-2", 2**32 - 1, 2, "(2**32 - 1) + 2 (1 in 32 bits)"),
    ("2-32-halves", 2**31, 2**31, "2**31 + 2**31 (0 in 32 bits)"),
    ("2-31-ends", 2**31 - 1, 1, "(2**31 - 1) + 1 (negative in 32 bits)"),
    ("2-31-size", 1, 2**31 - 1, "1 + (2**31 - 1) (negative in 32 bits)"),
    ("2-63-ends", 2**63 - 1, 1, "(2**63 - 1) + 1 (negative in 64 bits)"),
    ("2-63-size", 1, 2**63 - 1, "1 + (2**63 - 1) (negative in 64 bits)"),
    ("2-64-from-1", 1, 2**64 - 1, "1 + (2**64 - 1) (0 in 64 bits)"),
    ("2-64-from-2", 2**64 - 1, 2, "(2**64 - 1) + 2 (1 in 64 bits)"),
    ("2-64-halves", 2**63, 2**63, "2**63 + 2**63 (0 in 64 bits)"),
)
for _slug, _offset, _size, _what in _SUMS:
    chapter.transcript(
        f"arguments.sum-{_slug}",
        "HFTP-7.5",
        f"OFFSET + SIZE = {_what} is answered with 201 or 203",
        f"""
        C: get_slice {{text}} {_offset} {_size}
        S: 201|203 *
        <in step>
        """,
        causes=causes.UNCONVERTED | {Kind.STATUS: causes.OVERFLOW},
    )


@chapter.play(
    "arguments.exact-at-the-edge",
    "HFTP-6.4",
    "Around the file size, exactly the valid slices are accepted",
    needs=["text"],
    causes=causes.EDGE,
)
def exact_at_the_edge(context: ScenarioContext) -> None:
    """Request every OFFSET within two bytes of the end, with every SIZE from 0 to 3."""
    text = context.fixture("text")
    client = context.connect()
    for offset in range(max(0, text.size - 2), text.size + 3):
        for size in range(4):
            client.send_line(b"get_slice %b %d %d" % (text.name, offset, size))
            wanted = 0 if offset + size <= text.size else 203
            status = client.status()
            if status.code != wanted:
                expected = Message(
                    "{wanted} for OFFSET {offset} and SIZE {size} in a file of {length} bytes",
                    wanted=wanted,
                    offset=offset,
                    size=size,
                    length=text.size,
                )
                raise Failure(Kind.STATUS, expected, str(status))
            if wanted == 0:
                client.slice(text.content, offset, size)
    client.finish()

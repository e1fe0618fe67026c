"""OFFSET and SIZE: what is a number, what is none, and numbers larger than anybody's integers.

Each form is tried as OFFSET, with SIZE 1, and as SIZE, with OFFSET 0. Its value would be a valid slice if the form were
accepted: so a lenient server shows itself by a slice, and a server that refuses SIZE 0 does not pass for a strict one.
"""

from typing import Final

from conformance.failure import Failure
from conformance.scenario import Chapter, Kind, Stage

chapter = Chapter()

_DIED: Final = "converting it raised an exception that nobody catches, and the client's thread or the process ended"
_ENDED: Final = {Kind.CLOSED: _DIED, Kind.RESET: _DIED, Kind.TIMEOUT: _DIED, Kind.GONE: _DIED}
_PLACES: Final = (("offset", "OFFSET", "{0} 1"), ("size", "SIZE", "0 {0}"))


_Row = tuple[str, str, str, str]
"""A slug, the number as it is sent (escapes allowed), what it is, and what is likely wrong where it is accepted."""


def _add(requirement: str, codes: str, row: _Row) -> None:
    """Add two scenarios: the number as OFFSET, and as SIZE."""
    slug, number, what, cause = row
    for place, name, pattern in _PLACES:
        chapter.transcript(
            f"arguments.{slug}-{place}",
            requirement,
            f"{name} {what}: {codes.replace('|', ' or ')}",
            f"""
            C| get_slice {{text}} {pattern.format(number)}\\r\\n
            S: {codes} *
            <in step>
            """,
            causes=_ENDED | {Kind.STATUS: cause},
        )


_NEGATIVE: Final = (
    "a negative OFFSET counts from the end of the file, or a negative SIZE reads all of it, unless checked"
)
_INT: Final = "int() accepts it; a number is ASCII digits and nothing else: re.fullmatch(rb'[0-9]+', word)"
_FLOAT: Final = "float() accepts it, and int(float()) makes a number of it"
_BASE: Final = "int(word, 0), strtol(.., 0) or eval() accepts it: numbers are decimal"
_ATOI: Final = "the conversion stops at the first byte that is no digit, as atoi(), strtol() and parseInt() do"
_ZERO: Final = "what cannot be converted is taken for 0, as atoi() does"
_SCRIPTS: Final = "str.isdigit() and int() know the digits of every script: work on bytes, or use isascii() too"

_NEGATIVES: Final = (
    ("minus-one", "-1", "-1", _NEGATIVE),
    ("minus-much", "-1000000", "of -1000000, far before the beginning", _NEGATIVE),
    ("minus-2-31", "-2147483648", "of -2**31", _NEGATIVE),
    ("minus-2-63", "-9223372036854775808", "of -2**63", _NEGATIVE),
    ("minus-2-64", "-18446744073709551615", "of 1 - 2**64, which is 1 in 64 bits", "strtoull() accepts it, as 1"),
)
for _row in _NEGATIVES:
    _add("HFTP-7.1", "201", _row)

_LENIENT: Final = (
    ("plus", "+1", "with a plus sign", _INT),
    ("plus-zero", "+0", "+0", _INT),
    ("minus-zero", "-0", "-0", _INT),
    ("underscore", "0_1", "with an underscore, 0_1", _INT),
    ("underscores-of-zero", "0_0", "with an underscore, 0_0", _INT),
)
for _row in _LENIENT:
    _add("HFTP-7.2", "201", _row)

_SCRIPTED: Final = (
    ("arabic", "\u0661", "in an Arabic digit (UTF-8)"),
    ("fullwidth", "\uff11", "in a full-width digit (UTF-8)"),
    ("devanagari", "\u0967", "in a Devanagari digit (UTF-8)"),
    ("superscript", "\u00b9", "in a superscript digit (UTF-8), which isdigit() accepts and int() does not"),
    ("mixed-scripts", "0\u0661", "in ASCII and Arabic digits (UTF-8)"),
    ("latin-1", "", "in a superscript digit (Latin-1, no UTF-8)"),
)
for _slug, _number, _what in _SCRIPTED:
    _bytes = "".join(f"\\x{byte:02x}" for byte in _number.encode()) or "\\xb9"
    _add("HFTP-7.2", "101|200|201|202", (_slug, _bytes, _what, _SCRIPTS))

_NO_NUMBERS: Final = (
    ("letters", "abc", "of letters", _ZERO),
    ("one-letter", "x", "of one letter", _ZERO),
    ("digit-letter", "1a", "of a digit and a letter", _ATOI),
    ("letter-digit", "a1", "of a letter and a digit", _ZERO),
    ("fraction", "1.0", "1.0", _FLOAT),
    ("half", "0.5", "0.5", _FLOAT),
    ("point-at-end", "1.", "with a point at its end", _FLOAT),
    ("point-alone", ".", "of a point alone", _ZERO),
    ("exponent", "1e0", "with an exponent, 1e0", _FLOAT),
    ("exponent-capital", "1E0", "with an exponent, 1E0", _FLOAT),
    ("nan", "nan", "nan", "float() accepts it, and no comparison with it is ever true"),
    ("infinity", "inf", "inf", "float() accepts it, and int() of it raises OverflowError"),
    ("hexadecimal", "0x1", "in hexadecimal, 0x1", _BASE),
    ("hexadecimal-digit", "a", "of a hexadecimal digit", "int(word, 16)"),
    ("octal", "0o1", "in octal, 0o1", _BASE),
    ("binary", "0b1", "in binary, 0b1", _BASE),
    ("comma", "1,0", "with a comma", _ATOI),
    ("separators", "1,000", "with separators of thousands", _ATOI),
    ("quotation-marks", "'1'", "in quotation marks", _BASE),
    ("sum", "1+0", "as a sum, 1+0", "eval() accepts it, and everything else that a client wants to be executed"),
    ("true", "True", "True", "eval() accepts it, and everything else that a client wants to be executed"),
    ("two-minuses", "--1", "with two minus signs", _BASE),
    ("minus-alone", "-", "of a minus sign alone", _ZERO),
    ("plus-alone", "+", "of a plus sign alone", _ZERO),
    ("underscore-alone", "_", "of an underscore alone", _ZERO),
    ("unit", "1k", "with a unit, 1k", _ATOI),
    ("long", "1L", "with the suffix of a long integer", _ATOI),
    ("range", "0-1", "as a range, 0-1", _ATOI),
    ("percent", "%31", "as in a URL, %31", "the line is decoded as a URL is"),
)
for _row in _NO_NUMBERS:
    _add("HFTP-7.3", "201", _row)

# --- Leading zeros: a choice, but in step ------------------------------------------------------------


def _add_zeros(slug: str, requirement: str, words: tuple[bytes, bytes], codes: tuple[int, ...], title: str) -> None:
    """Add a scenario that asks for the slice 0 1, or 1 0, in a long way of writing it."""

    @chapter.play(
        f"arguments.{slug}",
        requirement,
        title,
        needs=["text"],
        causes=_ENDED | {Kind.BODY: "a leading zero makes the number octal, or it is cut after some digits"},
    )
    def zeros(stage: Stage) -> None:
        """Accept the slice or an error, and require that it is one reply."""
        text = stage.fixture("text")
        client = stage.connect()
        client.say(b"get_slice %b %b %b" % (text.name, *words))
        status = client.status(*codes)
        if status.code == 0:
            client.slice(text.content, int(words[0][-9:]), int(words[1][-9:]))
        client.in_step()
        stage.saw(f"answered {status}")


_add_zeros("leading-zeros-offset", "HFTP-7.4", (b"0001", b"1"), (0, 201), "OFFSET with leading zeros: 0 or 201")
_add_zeros("leading-zeros-size", "HFTP-7.4", (b"0", b"0001"), (0, 201), "SIZE with leading zeros: 0 or 201")
_add_zeros("two-zeros", "HFTP-7.4", (b"00", b"00"), (0, 201), "00 for 0: 0 or 201")
_THOUSANDS: Final = b"0" * 5000
_add_zeros(
    "zeros-5000-offset",
    "HFTP-7.5",
    (_THOUSANDS + b"1", b"1"),
    (0, 201, 203),
    "5,000 zeros in front of OFFSET: an answer",
)
_add_zeros(
    "zeros-5000-size", "HFTP-7.5", (b"0", _THOUSANDS + b"1"), (0, 201, 203), "5,000 zeros in front of SIZE: an answer"
)

# --- Large numbers -----------------------------------------------------------------------------------

_WRAPS: Final = "the number is kept in 32 or 64 bits and wraps, so that it points into the file again"
_LARGE: Final = (
    ("2-31-less-1", 2**31 - 1, "of 2**31 - 1, the last that fits int32"),
    ("2-31", 2**31, "of 2**31, past int32"),
    ("2-32-less-1", 2**32 - 1, "of 2**32 - 1, the last that fits uint32; -1 in int32"),
    ("2-32", 2**32, "of 2**32, 0 in 32 bits"),
    ("2-32-and-1", 2**32 + 1, "of 2**32 + 1, 1 in 32 bits"),
    ("2-63-less-1", 2**63 - 1, "of 2**63 - 1, the last that fits int64"),
    ("2-63", 2**63, "of 2**63, past int64"),
    ("2-64-less-1", 2**64 - 1, "of 2**64 - 1, the last that fits uint64; -1 in int64"),
    ("2-64", 2**64, "of 2**64, 0 in 64 bits"),
    ("2-64-and-1", 2**64 + 1, "of 2**64 + 1, 1 in 64 bits"),
    ("2-128-and-1", 2**128 + 1, "of 2**128 + 1"),
    ("100-digits", 10**99, "of 100 digits"),
    ("400-digits", 10**399, "of 400 digits, which is infinite for a double"),
)
for _slug, _value, _what in _LARGE:
    _codes = "203" if _value < 2**31 else "201|203"
    _add("HFTP-6.4" if _value < 2**31 else "HFTP-7.5", _codes, (_slug, str(_value), _what, _WRAPS))

_add(
    "HFTP-7.5",
    "201|203",
    (
        "5000-digits",
        "9" * 5000,
        "of 5,000 digits",
        "int() raises ValueError past 4,300 digits; that may be 201, but nothing else",
    ),
)

_SUMS: Final = (
    ("2-32-from-1", 1, 2**32 - 1, "1 + (2**32 - 1), which is 0 in 32 bits"),
    ("2-32-from-2", 2**32 - 1, 2, "(2**32 - 1) + 2, which is 1 in 32 bits"),
    ("2-32-halves", 2**31, 2**31, "2**31 + 2**31, which is 0 in 32 bits"),
    ("2-31-ends", 2**31 - 1, 1, "(2**31 - 1) + 1, which is negative in 32 bits"),
    ("2-31-size", 1, 2**31 - 1, "1 + (2**31 - 1), which is negative in 32 bits"),
    ("2-63-ends", 2**63 - 1, 1, "(2**63 - 1) + 1, which is negative in 64 bits"),
    ("2-63-size", 1, 2**63 - 1, "1 + (2**63 - 1), which is negative in 64 bits"),
    ("2-64-from-1", 1, 2**64 - 1, "1 + (2**64 - 1), which is 0 in 64 bits"),
    ("2-64-from-2", 2**64 - 1, 2, "(2**64 - 1) + 2, which is 1 in 64 bits"),
    ("2-64-halves", 2**63, 2**63, "2**63 + 2**63, which is 0 in 64 bits"),
)
for _slug, _offset, _size, _what in _SUMS:
    chapter.transcript(
        f"arguments.sum-{_slug}",
        "HFTP-7.5",
        f"OFFSET + SIZE = {_what}: 201 or 203",
        f"""
        C: get_slice {{text}} {_offset} {_size}
        S: 201|203 *
        <in step>
        """,
        causes=_ENDED | {Kind.STATUS: "OFFSET + SIZE overflows; compare SIZE with (file size - OFFSET) instead"},
    )


@chapter.play(
    "arguments.exact-at-the-edge",
    "HFTP-6.4",
    "Of all numbers around the file's size exactly the right ones are accepted",
    needs=["text"],
    causes={Kind.STATUS: "the range is checked by < where <= belongs, or the other way round"},
)
def exact_at_the_edge(stage: Stage) -> None:
    """Ask for every OFFSET and SIZE up to two bytes from the end and beyond."""
    text = stage.fixture("text")
    client = stage.connect()
    for offset in range(max(0, text.size - 2), text.size + 3):
        for size in range(4):
            client.say(b"get_slice %b %d %d" % (text.name, offset, size))
            wanted = 0 if offset + size <= text.size else 203
            status = client.status()
            if status.code != wanted:
                raise Failure(Kind.STATUS, f"{wanted} for {offset} {size} of {text.size} bytes", str(status))
            if wanted == 0:
                client.slice(text.content, offset, size)
    client.finish()

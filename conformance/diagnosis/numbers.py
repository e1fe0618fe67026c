"""Causes that several scenarios of OFFSET and SIZE share: the range, and what is taken for a number."""

from typing import Final

from conformance.diagnosis import controls
from conformance.diagnosis.controls import accepts, refuses
from conformance.diagnosis.lines import unanswered
from conformance.failures import Kind
from conformance.model.causes import Cause, Told

# --- The range ---------------------------------------------------------------------------------------

_FAR: Final = "1000000000"
UNCHECKED: Final = Cause(
    "the range is not checked: OFFSET + SIZE must not exceed the file's size", codes=(0,), control=accepts(_FAR, "1")
)
_SIZE_UNCHECKED: Final = Cause(
    "SIZE is not checked: OFFSET + SIZE must not exceed the file's size", codes=(0,), control=accepts("0", _FAR)
)
_OFF_BY_ONE: Final = Cause(
    "the comparison with the file's size is off by one: OFFSET + SIZE = file size is the last slice",
    codes=(0,),
    control=f"""{refuses("0", "{text.size+5}")}<reconnect>{refuses("{text.size+5}", "1")}""",
)
FAR_PAST_END: Final[dict[Kind, Told]] = {
    Kind.STATUS: [UNCHECKED, _SIZE_UNCHECKED],
    Kind.GONE: "to read past the end of the file ends the server's process, or stops it",
}
PAST_END: Final[dict[Kind, Told]] = FAR_PAST_END | {Kind.STATUS: [_OFF_BY_ONE, _SIZE_UNCHECKED]}
EDGE: Final[dict[Kind, Told]] = {
    Kind.STATUS: [
        Cause("a slice that ends at the end of the file is refused: < stands where <= belongs", codes=(203,)),
        _OFF_BY_ONE,
        _SIZE_UNCHECKED,
    ]
}
LAST: Final = Cause(
    "a slice that ends at the end of the file is refused: OFFSET + SIZE = file size is valid (<=, not <)",
    codes=(203,),
    control=controls.SLICE_WORKS,
)

# --- Numbers -----------------------------------------------------------------------------------------


def accepted(text: str, control: str = "") -> Cause:
    """Return a cause that is told if a wrong number is accepted."""
    return Cause(text, codes=(0,), control=control or None)


_PREFIX: Final = accepts("1x", "1")
_NOTHING: Final = accepts("x", "1")
ATOI: Final = accepted("what follows the digits is ignored, as atoi(), strtol() and parseInt() do")
_ATOI: Final = accepted(ATOI.text, _PREFIX)
ZERO: Final = accepted("what is no number is taken for 0, as atoi() does")
_ZERO: Final = accepted(ZERO.text, _NOTHING)
NEGATIVE: Final = accepted(
    "negative numbers are not refused: a negative OFFSET may count from the end, a negative SIZE may mean all the rest"
)
NEGATIVE_WRAPS: Final = accepted("the number is read as an unsigned one and wraps", refuses("-1", "1", 201))
SIGN: Final = accepted("the conversion accepts a sign; a number is ASCII digits and nothing else")
UNDERSCORE: Final = (_ATOI, accepted("int() of Python accepts underscores; a number is ASCII digits and nothing else"))
FLOAT: Final = (_ATOI, accepted("the number is read as a floating-point one"))
NOT_FINITE: Final = (_ZERO, accepted("the number is read as a floating-point one, for which nan and inf are numbers"))
BASE: Final = (_ATOI, accepted("the number may have another base: int(word, 0) and strtol(.., 0) accept that"))
HEXADECIMAL: Final = (_ZERO, accepted("the number is read as a hexadecimal one"))
EVALUATED: Final = (
    _ATOI,
    _ZERO,
    accepted("the word is evaluated as an expression (eval()): a client can have anything executed"),
)
QUOTED: Final = (_ZERO, accepted("quotation marks are removed, or evaluated with what is between them"))
URL: Final = (_ZERO, accepted("the line is decoded as a URL is"))
SCRIPTS: Final = (
    _ZERO,
    accepted("digits of every script are accepted, as isdigit() and int() of Python do: look at bytes, not at text"),
)
UNCONVERTED: Final[dict[Kind, Told]] = unanswered(
    "this number ends the connection without a reply: catch the error that it causes, and answer 201 or 203"
) | {Kind.GONE: "this number ends the server's process, or stops it: catch the error that it causes"}
_IS_FAILURE: Final = Cause(
    "that the file is shorter than this is taken for a failure of the server; answer 203 or 201", codes=(199,)
)


def wraps(place: str) -> tuple[Cause, ...]:
    """Return the causes of a number past 32 or 64 bits that is accepted; `place` is offset or size."""
    far = ("1000000000", "1") if place == "offset" else ("0", "1000000000")
    return (
        UNCHECKED if place == "offset" else _SIZE_UNCHECKED,
        _IS_FAILURE,
        accepted("the number is kept in 32 or 64 bits, and wraps into the file's size", refuses(*far)),
    )


OVERFLOW: Final = (
    UNCHECKED,
    _IS_FAILURE,
    accepted(
        "OFFSET + SIZE overflows 32 or 64 bits; compare SIZE with (file size - OFFSET) instead",
        f"""{refuses("1000000000", "1")}<reconnect>{refuses("0", "1000000000")}""",
    ),
)
TOO_LONG: Final = Cause(
    "a number that is too long to be converted is taken for a failure of the server; answer 203 or 201", codes=(199,)
)

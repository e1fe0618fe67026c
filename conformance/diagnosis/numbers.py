"""Causes shared by several scenarios about OFFSET and SIZE: the range check and the number format."""

from typing import Final

from conformance.diagnosis import controls
from conformance.diagnosis.controls import accepts, refuses
from conformance.diagnosis.lines import unanswered
from conformance.failures import Kind
from conformance.model.likely_causes import Cause, CauseSpec

# --- The range ---------------------------------------------------------------------------------------

_FAR: Final = "1000000000"
UNCHECKED: Final = Cause(
    "the range is not checked: OFFSET + SIZE must not exceed the file size", codes=(0,), control=accepts(_FAR, "1")
)
_SIZE_UNCHECKED: Final = Cause(
    "SIZE is not checked: OFFSET + SIZE must not exceed the file size", codes=(0,), control=accepts("0", _FAR)
)
_OFF_BY_ONE: Final = Cause(
    "the range check is off by one: OFFSET + SIZE = file size is the last valid slice",
    codes=(0,),
    control=f"""{refuses("0", "{text.size+5}")}<reconnect>{refuses("{text.size+5}", "1")}""",
)
FAR_PAST_END: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: [UNCHECKED, _SIZE_UNCHECKED],
    Kind.GONE: "reading past the end of the file crashes or hangs the server",
}
PAST_END: Final[dict[Kind, CauseSpec]] = FAR_PAST_END | {Kind.STATUS: [_OFF_BY_ONE, _SIZE_UNCHECKED]}
EDGE: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: [
        Cause("a slice that ends at the end of the file is refused: use <= instead of <", codes=(203,)),
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
    """Return a cause that applies if an invalid number is accepted."""
    return Cause(text, codes=(0,), control=control or None)


_PREFIX: Final = accepts("1x", "1")
_NOTHING: Final = accepts("x", "1")
ATOI: Final = accepted("atoi(), strtol() and parseInt() ignore everything after the digits")
_ATOI: Final = accepted(ATOI.text, _PREFIX)
ZERO: Final = accepted("atoi() returns 0 for text that is not a number")
_ZERO: Final = accepted(ZERO.text, _NOTHING)
NEGATIVE: Final = accepted(
    "negative numbers are accepted: a negative OFFSET may count from the end, a negative SIZE may mean the whole rest"
)
NEGATIVE_WRAPS: Final = accepted("the number is parsed as unsigned and wraps around", refuses("-1", "1", 201))
SIGN: Final = accepted("the conversion accepts a sign; a number consists of ASCII digits only")
UNDERSCORE: Final = (_ATOI, accepted("Python's int() accepts underscores; a number consists of ASCII digits only"))
FLOAT: Final = (_ATOI, accepted("the number is parsed as floating point"))
NOT_FINITE: Final = (_ZERO, accepted("the number is parsed as floating point, which accepts nan and inf"))
BASE: Final = (_ATOI, accepted("int(word, 0) and strtol(..., 0) accept other bases"))
HEXADECIMAL: Final = (_ZERO, accepted("the number is parsed as hexadecimal"))
EVALUATED: Final = (
    _ATOI,
    _ZERO,
    accepted("the argument is evaluated as an expression (eval()): a client can execute any code"),
)
QUOTED: Final = (_ZERO, accepted("quotation marks are removed, or the quoted text is evaluated"))
URL: Final = (_ZERO, accepted("the line is URL-decoded (%31 becomes 1)"))
SCRIPTS: Final = (
    _ZERO,
    accepted("Python's isdigit() and int() accept digits of every script: check the bytes, not the decoded text"),
)
UNCONVERTED: Final[dict[Kind, CauseSpec]] = unanswered(
    "this number closes the connection without a reply: catch the error and answer 201 or 203"
) | {Kind.GONE: "this number crashes or hangs the server: catch the error and answer 201 or 203"}
_IS_FAILURE: Final = Cause(
    "a number past the end of the file is reported as a server error (199); answer 203 or 201", codes=(199,)
)


def wraps(place: str) -> tuple[Cause, ...]:
    """Return causes for accepting a number that exceeds 32 or 64 bits; `place` is offset or size."""
    far = ("1000000000", "1") if place == "offset" else ("0", "1000000000")
    return (
        UNCHECKED if place == "offset" else _SIZE_UNCHECKED,
        _IS_FAILURE,
        accepted("the number is stored in 32 or 64 bits and wraps around to a valid one", refuses(*far)),
    )


OVERFLOW: Final = (
    UNCHECKED,
    _IS_FAILURE,
    accepted(
        "OFFSET + SIZE overflows 32 or 64 bits: compare SIZE with (file size - OFFSET) instead",
        f"""{refuses("1000000000", "1")}<reconnect>{refuses("0", "1000000000")}""",
    ),
)
TOO_LONG: Final = Cause(
    "a number too long to convert is reported as a server error (199); answer 203 or 201", codes=(199,)
)

"""Causes that several scenarios of slices share: which bytes come, and in which form."""

import re
from typing import Final

from conformance.diagnosis import controls
from conformance.diagnosis.controls import accepts
from conformance.diagnosis.lines import TOGETHER
from conformance.failures import Failure, Kind
from conformance.model.causes import Cause, Told

# --- Which bytes -------------------------------------------------------------------------------------


def _is_without_cr(failure: Failure) -> bool:
    """Tell whether a LF came where a CR belongs."""
    expected, _, wanted = failure.expected.partition("of the file: ")
    return expected.startswith("at offset") and wanted.startswith(r"\r") and failure.got.startswith(r"\n")


def _is_replaced(failure: Failure) -> bool:
    """Tell whether a byte from 0x80 on came as a question mark, as U+FFFD, or as its UTF-8."""
    wanted = failure.expected.partition("of the file: ")[2]
    byte = re.match(r"\\x([89a-f][0-9a-f])", wanted)
    if byte is None:
        return False
    encoded = "".join(f"\\x{value:02x}" for value in chr(int(byte[1], 16)).encode())
    return failure.got.startswith(("?", r"\xef\xbf\xbd", encoded))


_TEXT_MODE: Final = "the file is opened as text, which changes its bytes: open it as binary ('rb'), and decode nothing"
_DECODED: Final = Cause(
    "bytes that are no text end the connection: open the file as binary ('rb'), and decode nothing",
    control=controls.WHOLE_TEXT_WORKS,
)
BYTES: Final[dict[Kind, Told]] = {
    Kind.BODY: [
        Cause(f"line ends are changed: {_TEXT_MODE}", when=_is_without_cr),
        Cause(_TEXT_MODE, when=_is_replaced),
        Cause("OFFSET is ignored: the slice begins at the beginning of the file", control=controls.ignores_offset),
        Cause("another number of bytes than SIZE is sent", got=r"^\d+ bytes$", seen="the numbers of bytes differ"),
    ]
}
BINARY: Final[dict[Kind, Told]] = BYTES | {Kind.CLOSED: _DECODED, Kind.RESET: _DECODED}


def _is_short(failure: Failure) -> bool:
    """Tell whether fewer bytes came than were asked for."""
    numbers = [re.fullmatch(r"(\d+) bytes", text) for text in (failure.expected, failure.got)]
    return all(numbers) and int(numbers[1][1]) < int(numbers[0][1])  # type: ignore[index]  # there are both


_NOT_WHOLE: Final = (
    "a slice of this size does not arrive whole: read() and send() may do less than they are asked to;"
    " sendall() does all"
)
OF_SIZE: Final[dict[Kind, Told]] = BYTES | {
    Kind.TIMEOUT: Cause(_NOT_WHOLE, control=controls.SLICE_INSIDE_WORKS),
}
LARGE: Final[dict[Kind, Told]] = {
    Kind.CLOSED: Cause(_NOT_WHOLE, control=controls.SLICE_WORKS),
    Kind.TIMEOUT: Cause(_NOT_WHOLE, control=controls.SLICE_WORKS),
    Kind.BODY: Cause("less is sent than was asked for: read() and send() may return early", when=_is_short),
    Kind.MALFORMED: Cause(
        "parts of the slice are encoded alone, though their lengths are no multiples of 3 bytes",
        got="=[A-Za-z0-9+/]",
        seen="padding is followed by more base64",
    ),
}
_DROPPED: Final = [
    Cause("a client that does not read for a moment is dropped", control=controls.LARGE_WORKS),
    Cause(_NOT_WHOLE, control=controls.SLICE_WORKS),
]
LARGE_LATE: Final[dict[Kind, Told]] = LARGE | {Kind.CLOSED: _DROPPED, Kind.RESET: _DROPPED}
MANY: Final[dict[Kind, Told]] = {kind: LARGE[kind] for kind in (Kind.BODY, Kind.MALFORMED)} | TOGETHER
LEFT: Final[dict[Kind, Told]] = {
    Kind.REFUSED: "a client that leaves in the middle of a slice ends the server's process:"
    " catch the errors of sending",
    Kind.GONE: "a client that leaves in the middle of a slice ends the server's process, or keeps something locked:"
    " catch the errors of sending, and release what it held",
}

_EMPTY_BEGINS: Final = """
    C: get_slice {text} 0 0
    S: 0 *
    """
EMPTY: Final[dict[Kind, Told]] = {
    Kind.STATUS: [
        Cause(
            "SIZE 0 is taken for an error; it is a valid slice, and an empty one",
            codes=(101, 201, 202, 203),
            control="""
            C: get_slice {text} 0 0
            S: 101|201|202|203 *
            """,
        ),
        Cause(
            "OFFSET = file size is refused, though with SIZE 0 nothing is past the end",
            codes=(203,),
            control=accepts("0", "0"),
        ),
    ],
    Kind.TIMEOUT: Cause(
        "an empty slice is a status line alone; its line end (or, in 2016, the fragment of 0) has to come",
        control=_EMPTY_BEGINS,
    ),
    Kind.BODY: Cause(
        "bytes are sent where SIZE is 0; it is an empty slice, and does not mean all the rest",
        expected="^0 bytes$",
        seen="no bytes were expected",
    ),
}

# --- Forms -------------------------------------------------------------------------------------------

_ENDS_TWICE: Final = Cause(
    "a second line end follows the slice", got="^$", seen="an empty line comes", control=controls.SLICE_WORKS
)


def _is_url_safe(failure: Failure) -> bool:
    """Tell whether the line has - or _, and otherwise only characters of base64."""
    return bool(re.fullmatch(r"[A-Za-z0-9+/=_-]+", failure.got) and re.search("[-_]", failure.got))


def _is_unpadded(failure: Failure) -> bool:
    """Tell whether the line is base64 of a length that needs padding, and has none."""
    return len(failure.got) % 4 > 0 and bool(re.fullmatch(r"[A-Za-z0-9+/]+", failure.got))


BASE64: Final[dict[Kind, Told]] = {
    Kind.MALFORMED: [
        Cause("the alphabet is the URL-safe one (- and _), not the standard one (+ and /)", when=_is_url_safe),
        Cause("the padding (=) is left out", when=_is_unpadded, control=controls.sends_unpadded),
        Cause(
            "parts of the slice are encoded alone, though their lengths are no multiples of 3 bytes",
            got="=[A-Za-z0-9+/]",
            seen="padding is followed by more base64",
        ),
        _ENDS_TWICE,
    ],
    Kind.BODY: Cause(
        "the base64 is split into lines, which 2019 forbids",
        expected="on one line of base64",
        seen="the first line has too few bytes",
    ),
    Kind.TIMEOUT: Cause("the CR LF at the end of the slice is missing", control=controls.ends_no_base64),
}
ONE_LINE: Final[dict[Kind, Told]] = {
    Kind.BODY: Cause(
        "the base64 is split into lines, as base64.encodebytes() and MIME do",
        expected="on one line of base64",
        seen="the first line has too few bytes",
    ),
    Kind.MALFORMED: Cause(
        "the base64 is split into lines that end in LF alone, as base64.encodebytes() does",
        got="LF alone",
        seen="a line ends in LF alone",
    ),
}
RAW: Final[dict[Kind, Told]] = {
    Kind.STATUS: Cause("the fourth argument raw is not known", codes=(101, 201), control=controls.SLICE_WORKS),
    Kind.MALFORMED: [
        Cause(
            "Content-Length is not SIZE, the number of bytes that follow",
            got="^Content-Length: ",
            seen="a line Content-Length comes, with another number",
        ),
        Cause(
            "the line Content-Length: SIZE is missing",
            expected="^Content-Length",
            seen="another line comes where Content-Length belongs",
        ),
        Cause(
            "the empty line between Content-Length and the bytes is missing",
            expected="^an empty line$",
            seen="another line comes where the empty one belongs",
        ),
        Cause(
            "a line end follows a raw slice, which has none",
            got="^$",
            seen="an empty line comes",
            control="""
            C: get_slice {text} 0 1 raw
            S: 0 *
            S: <slice text 0 1 raw>
            """,
        ),
    ],
}
PLAIN: Final[dict[Kind, Told]] = {
    Kind.BODY: Cause("the slice is encoded as base64, as later dialects have it", control=controls.sends_base64),
    Kind.MALFORMED: [
        Cause("the slice is encoded as base64, as later dialects have it", control=controls.sends_base64),
        Cause(
            "a line end follows the bytes of the slice, which have none",
            got="^$",
            seen="an empty line comes",
            control=controls.SLICE_WORKS,
        ),
    ],
}
FRAGMENTS: Final[dict[Kind, Told]] = {
    Kind.MALFORMED: Cause(
        "the slice is base64, as later dialects have it, not fragments", control=controls.sends_base64
    ),
    Kind.TIMEOUT: Cause("the empty fragment at the end, `0 SP CR LF`, is missing", control=controls.ends_no_fragments),
    Kind.BODY: Cause(
        "the lengths of the fragments do not sum up to SIZE",
        got=r"^(one of \d+|\d+ bytes)$",
        seen="the numbers of bytes differ",
    ),
}
FOURTH: Final[dict[Kind, Told]] = {
    Kind.STATUS: Cause("a fourth argument that is not raw, as a whole and in lower case, is accepted", codes=(0,))
}

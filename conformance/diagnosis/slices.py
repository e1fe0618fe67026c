"""Causes shared by several scenarios about slices: which bytes are sent, and in which form."""

import re
from typing import Final

from conformance.diagnosis import controls
from conformance.diagnosis.controls import accepts
from conformance.diagnosis.lines import TOGETHER
from conformance.failures import Failure, Kind
from conformance.model.likely_causes import Cause, CauseSpec

# --- Which bytes -------------------------------------------------------------------------------------


def _is_without_cr(failure: Failure) -> bool:
    """Tell whether a LF was received instead of a CR."""
    expected, _, wanted = failure.expected.partition("of the file: ")
    return expected.startswith("at offset") and wanted.startswith(r"\r") and failure.got.startswith(r"\n")


def _is_replaced(failure: Failure) -> bool:
    """Tell whether a byte >= 0x80 was received as a question mark, as U+FFFD, or encoded as UTF-8."""
    wanted = failure.expected.partition("of the file: ")[2]
    byte = re.match(r"\\x([89a-f][0-9a-f])", wanted)
    if byte is None:
        return False
    encoded = "".join(f"\\x{value:02x}" for value in chr(int(byte[1], 16)).encode())
    return failure.got.startswith(("?", r"\xef\xbf\xbd", encoded))


_TEXT_MODE: Final = (
    "the file is opened in text mode, which changes its bytes: open it in binary mode ('rb') and do not decode it"
)
_DECODED: Final = Cause(
    "bytes that are not text close the connection: open the file in binary mode ('rb') and do not decode it",
    control=controls.WHOLE_TEXT_WORKS,
)
BYTES: Final[dict[Kind, CauseSpec]] = {
    Kind.BODY: [
        Cause(f"line ends are converted: {_TEXT_MODE}", when=_is_without_cr),
        Cause(_TEXT_MODE, when=_is_replaced),
        Cause("OFFSET is ignored: the slice starts at the beginning of the file", control=controls.ignores_offset),
        Cause("the number of bytes sent is not SIZE", got=r"^\d+ bytes$", seen="the numbers of bytes differ"),
    ]
}
BINARY: Final[dict[Kind, CauseSpec]] = BYTES | {Kind.CLOSED: _DECODED, Kind.RESET: _DECODED}


def _is_short(failure: Failure) -> bool:
    """Tell whether fewer bytes were received than requested."""
    numbers = [re.fullmatch(r"(\d+) bytes", text) for text in (failure.expected, failure.got)]
    return all(numbers) and int(numbers[1][1]) < int(numbers[0][1])  # type: ignore[index]  # there are both


_NOT_WHOLE: Final = (
    "a slice of this size arrives incomplete: read() and send() may process fewer bytes than requested;"
    " use a loop, or sendall()"
)
OF_SIZE: Final[dict[Kind, CauseSpec]] = BYTES | {
    Kind.TIMEOUT: Cause(_NOT_WHOLE, control=controls.SLICE_INSIDE_WORKS),
}
LARGE: Final[dict[Kind, CauseSpec]] = {
    Kind.CLOSED: Cause(_NOT_WHOLE, control=controls.SLICE_WORKS),
    Kind.TIMEOUT: Cause(_NOT_WHOLE, control=controls.SLICE_WORKS),
    Kind.BODY: Cause(
        "fewer bytes are sent than requested: read() and send() may process fewer than you ask for", when=_is_short
    ),
    Kind.MALFORMED: Cause(
        "the slice is base64-encoded in chunks whose lengths are not multiples of 3 bytes",
        got="=[A-Za-z0-9+/]",
        seen="more base64 follows the padding",
    ),
}
_DROPPED: Final = [
    Cause("a client that stops reading for a moment is disconnected", control=controls.LARGE_WORKS),
    Cause(_NOT_WHOLE, control=controls.SLICE_WORKS),
]
LARGE_LATE: Final[dict[Kind, CauseSpec]] = LARGE | {Kind.CLOSED: _DROPPED, Kind.RESET: _DROPPED}
MANY: Final[dict[Kind, CauseSpec]] = {kind: LARGE[kind] for kind in (Kind.BODY, Kind.MALFORMED)} | TOGETHER
LEFT: Final[dict[Kind, CauseSpec]] = {
    Kind.REFUSED: "a client that disconnects in the middle of a slice crashes the server: catch the errors from send()",
    Kind.GONE: "a client that disconnects in the middle of a slice crashes the server, or leaves a lock held:"
    " catch the errors from send() and release the lock",
}

_EMPTY_BEGINS: Final = """
    C: get_slice {text} 0 0
    S: 0 *
    """
EMPTY: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: [
        Cause(
            "SIZE 0 is refused; it is a valid, empty slice",
            codes=(101, 201, 202, 203),
            control="""
            C: get_slice {text} 0 0
            S: 101|201|202|203 *
            """,
        ),
        Cause(
            "OFFSET = file size is refused; with SIZE 0 it is valid",
            codes=(203,),
            control=accepts("0", "0"),
        ),
    ],
    Kind.TIMEOUT: Cause(
        "only the status line of an empty slice is sent; its line end (in 2016, the empty fragment) is missing",
        control=_EMPTY_BEGINS,
    ),
    Kind.BODY: Cause(
        "bytes are sent for SIZE 0; it means an empty slice, not the rest of the file",
        expected="^0 bytes$",
        seen="no bytes were expected",
    ),
}

# --- Forms -------------------------------------------------------------------------------------------

_ENDS_TWICE: Final = Cause(
    "the slice is followed by a second line end",
    got="^$",
    seen="an empty line was received",
    control=controls.SLICE_WORKS,
)


def _is_url_safe(failure: Failure) -> bool:
    """Tell whether the line contains - or _, and otherwise only base64 characters."""
    return bool(re.fullmatch(r"[A-Za-z0-9+/=_-]+", failure.got) and re.search("[-_]", failure.got))


def _is_unpadded(failure: Failure) -> bool:
    """Tell whether the line is base64 that lacks its padding."""
    return len(failure.got) % 4 > 0 and bool(re.fullmatch(r"[A-Za-z0-9+/]+", failure.got))


BASE64: Final[dict[Kind, CauseSpec]] = {
    Kind.MALFORMED: [
        Cause(
            "the URL-safe base64 alphabet (- and _) is used instead of the standard one (+ and /)", when=_is_url_safe
        ),
        Cause("the base64 padding (=) is missing", when=_is_unpadded, control=controls.sends_unpadded),
        Cause(
            "the slice is base64-encoded in chunks whose lengths are not multiples of 3 bytes",
            got="=[A-Za-z0-9+/]",
            seen="more base64 follows the padding",
        ),
        _ENDS_TWICE,
    ],
    Kind.BODY: Cause(
        "the base64 is split over several lines, which 2019 forbids",
        expected="on one line of base64",
        seen="the first line holds too few bytes",
    ),
    Kind.TIMEOUT: Cause("the CR LF at the end of the slice is missing", control=controls.ends_no_base64),
}
ONE_LINE: Final[dict[Kind, CauseSpec]] = {
    Kind.BODY: Cause(
        "the base64 is split over several lines, as base64.encodebytes() and MIME do",
        expected="on one line of base64",
        seen="the first line holds too few bytes",
    ),
    Kind.MALFORMED: Cause(
        "the base64 is split into lines that end in a bare LF, as base64.encodebytes() does",
        got="bare LF",
        expected="a line of base64",
        seen="a line ends in a bare LF",
    ),
}
RAW: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: Cause("the fourth argument raw is not implemented", codes=(101, 201), control=controls.SLICE_WORKS),
    Kind.MALFORMED: [
        Cause(
            "Content-Length is not SIZE, the number of bytes in the slice",
            got="^Content-Length: ",
            seen="a Content-Length line with another number was received",
        ),
        Cause(
            "the Content-Length: SIZE line is missing",
            expected="^Content-Length",
            seen="another line was received instead of Content-Length",
        ),
        Cause(
            "the empty line between Content-Length and the bytes is missing",
            expected="^an empty line$",
            seen="another line was received instead of the empty line",
        ),
        Cause(
            "a raw slice is followed by a line end; it must not have one",
            got="^$",
            seen="an empty line was received",
            control="""
            C: get_slice {text} 0 1 raw
            S: 0 *
            S: <slice text 0 1 raw>
            """,
        ),
    ],
}
PLAIN: Final[dict[Kind, CauseSpec]] = {
    Kind.BODY: Cause("the slice is sent as base64, as in later dialects", control=controls.sends_base64),
    Kind.MALFORMED: [
        Cause("the slice is sent as base64, as in later dialects", control=controls.sends_base64),
        Cause(
            "the slice is followed by a line end; it must not have one",
            got="^$",
            seen="an empty line was received",
            control=controls.SLICE_WORKS,
        ),
    ],
}
FRAGMENTS: Final[dict[Kind, CauseSpec]] = {
    Kind.MALFORMED: Cause(
        "the slice is sent as base64, as in later dialects, not in fragments", control=controls.sends_base64
    ),
    Kind.TIMEOUT: Cause("the empty fragment at the end (0 SP CR LF) is missing", control=controls.ends_no_fragments),
    Kind.BODY: Cause(
        "the lengths of the fragments do not add up to SIZE",
        got=r"^(one of \d+|\d+ bytes)$",
        seen="the numbers of bytes differ",
    ),
}
FOURTH: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: Cause(
        "a fourth argument other than raw is accepted: compare the whole word, case-sensitively", codes=(0,)
    )
}

"""Causes that several scenarios of listings, metadata and names of files share."""

import re
from typing import Final

from conformance.diagnosis import controls
from conformance.diagnosis.lines import BARE_LF, unanswered
from conformance.failures import Failure, Kind
from conformance.model.causes import Cause, Told

# --- Listings ----------------------------------------------------------------------------------------

_LISTING_BEGINS: Final = """
    C: get_file_listing
    S: 0 *
    S: *
    """


def _names_among_others(failure: Failure) -> bool:
    """Tell whether the name that was expected stands on a line together with something else."""
    expected = failure.expected.removeprefix("the line ").partition(", once")[0]
    return len(expected) > 1 and expected in failure.got


LISTING_FORM: Final[dict[Kind, Told]] = {
    Kind.TIMEOUT: Cause("the names are not followed by an empty line", control=_LISTING_BEGINS),
    Kind.MALFORMED: [
        Cause("the names end in LF alone; every line ends in CR LF", got=BARE_LF, seen="a line ends in LF alone"),
        Cause(
            "a second empty line follows the listing",
            got="^$",
            seen="an empty line comes",
            control=controls.LISTING_WORKS,
        ),
    ],
    Kind.BODY: Cause("the lines of the listing are not names alone", when=_names_among_others),
}
LISTING_WHOLE: Final[dict[Kind, Told]] = {
    Kind.BODY: [
        Cause(
            "the directory is read once, at the start, so that new files are not listed",
            got="^0 of them",
            seen="none of the new files is listed",
            control=controls.lists_no_new_files,
        ),
        Cause("a long listing is cut off", got=r"^[1-9]\d* of them", seen="some of the new files are listed"),
        Cause("the lines of the listing are not names alone", when=_names_among_others),
    ],
    Kind.TIMEOUT: Cause(
        "a long listing does not arrive whole: send() may take less than it is given, use sendall()",
        control=controls.LISTING_WORKS,
    ),
    Kind.MALFORMED: [
        Cause("the names end in LF alone; every line ends in CR LF", got=BARE_LF, seen="a line ends in LF alone"),
        Cause("a long listing is cut off in the middle of a name", control=controls.LISTING_WORKS),
    ],
}
LISTING_FRESH: Final[dict[Kind, Told]] = {
    Kind.BODY: [
        Cause(
            "the directory is read once, at the start; read it for each listing", control=controls.lists_no_new_files
        ),
        Cause(
            "the directory is read once for each client; read it for each listing",
            got="other lines",
            seen="other names are listed",
            control=controls.lists_new_files,
        ),
    ]
}
LISTING_EMPTY: Final[dict[Kind, Told]] = {
    Kind.STATUS: Cause("an empty directory is taken for an error", control=controls.LISTING_WORKS),
    Kind.TIMEOUT: Cause(
        "without names the empty line that ends the listing is missing", control=controls.LISTING_WORKS
    ),
    Kind.EXTRA: "without names the listing has one line end too many",
    Kind.BODY: Cause("the directory is read once, at the start", control=controls.lists_no_new_files),
}
EMPTY_LEFT_OUT: Final = Cause("a file without bytes is left out of the listing", control=controls.lists_short_names)
LOWERED: Final = Cause("names are listed in lower case", control=controls.lists_lower_case)
ONLY_WITH_DOTS: Final = Cause(
    "only names with a dot are listed, as glob('*.*') does", control=controls.lists_names_with_dots_alone
)
UNFETCHABLE: Final[dict[Kind, Told]] = {
    Kind.BODY: Cause(
        "a name is listed that no command can hold; leave it out",
        got="which has a space",
        seen="a listed name has a space",
    ),
    Kind.STATUS: Cause(
        "a name is listed that get_metadata or get_slice refuses; leave it out",
        expected="which is listed",
        seen="the answer to a name that is listed is an error",
    ),
    Kind.CLOSED: Cause(
        "to ask for a name that is listed ends the connection without a reply", control=controls.LISTING_WORKS
    ),
    Kind.RESET: Cause(
        "to ask for a name that is listed ends the connection without a reply", control=controls.LISTING_WORKS
    ),
}

# --- Sizes -------------------------------------------------------------------------------------------

SIZE_FORM: Final[dict[Kind, Told]] = {
    Kind.MALFORMED: [
        Cause("the size ends in LF alone; every line ends in CR LF", got=BARE_LF, seen="a line ends in LF alone"),
        Cause("the size has leading zeros", got=r"^0\d+$", seen="a 0 is followed by digits"),
        Cause("the size has separators", got=r"^\d+[,._']\d", seen="a separator stands between digits"),
        Cause("the size is followed by something on its line", got=r"^\d+\D", seen="something follows the digits"),
        Cause("an empty line follows the size", got="^$", seen="an empty line comes", control=controls.METADATA_WORKS),
    ],
    Kind.TIMEOUT: [
        Cause("the size has no line end", got=r" after \d+$", seen="digits come, and no line end"),
        Cause(
            "the size stands on the status line; it has a line of its own",
            control="""
            C: get_metadata {text}
            S: 0 *{text.size}*
            """,
        ),
    ],
}
SIZES_FORM: Final[dict[Kind, Told]] = {
    Kind.MALFORMED: Cause(
        "the size ends in LF alone; every line ends in CR LF", got=BARE_LF, seen="a line ends in LF alone"
    )
}
"""The same of several sizes, where what comes may belong to another reply."""
EMPTY_IS_MISSING: Final = Cause(
    "a file without bytes is taken for a missing one", codes=(202,), control=controls.METADATA_WORKS
)


def _sizes(failure: Failure) -> tuple[int, int] | None:
    """Return the size that was expected and the one that was got, if it is about sizes."""
    expected, got = re.fullmatch(r"the size (\d+)\b.*", failure.expected), re.fullmatch(r"\d{1,19}", failure.got)
    return (int(expected[1]), int(got[0])) if expected and got else None


def _is_base64_length(failure: Failure) -> bool:
    """Tell whether the size is the length of the file's base64."""
    sizes = _sizes(failure)
    return sizes is not None and sizes[0] > 0 and sizes[1] == (sizes[0] + 2) // 3 * 4


def _is_cut_to_bits(failure: Failure) -> bool:
    """Tell whether the size is what fits of it into 8, 16, 24 or 32 bits."""
    sizes = _sizes(failure)
    return sizes is not None and any(sizes[0] != sizes[1] == sizes[0] % (1 << bits) for bits in (8, 16, 24, 32))


def _is_in_blocks(failure: Failure) -> bool:
    """Tell whether the size is the next multiple of 512 bytes or more."""
    sizes = _sizes(failure)
    return sizes is not None and sizes[0] < sizes[1] < sizes[0] + (1 << 17) and sizes[1] % 512 == 0


SIZE: Final[dict[Kind, Told]] = {
    Kind.BODY: [
        Cause("the size is the length of the file's base64; it has to be that of the file", when=_is_base64_length),
        Cause("the size is kept in too few bits", when=_is_cut_to_bits),
        Cause("the size is what the file takes on the disk; it has to be the number of its bytes", when=_is_in_blocks),
    ]
}


def found_by_slices(key: str) -> Cause:
    """Return the cause that only get_metadata does not find a file."""
    return Cause(
        "get_slice finds the file, and get_metadata does not",
        codes=(199, 201, 202),
        control=f"""
        C: get_slice {{{key}}} 0 0
        S: 0 *
        """,
    )


_DISAGREE: Final = Cause(
    "get_metadata and get_slice find different sizes of the same file",
    control=f"""{controls.refuses("{text.size}", "1")}<reconnect>{controls.accepts("{text.size}", "0")}""",
)
DISAGREE: Final[dict[Kind, Told]] = {Kind.STATUS: _DISAGREE}
CHANGED: Final[dict[Kind, Told]] = {
    Kind.BODY: Cause(
        "the size of a file is looked up once and kept; ask the file system each time", control=controls.keeps_sizes
    ),
    Kind.STATUS: Cause(
        "the files are looked up once, at the start; ask the file system each time", control=controls.finds_no_new_files
    ),
}
REPLACED: Final[dict[Kind, Told]] = CHANGED | {
    Kind.BODY: [
        Cause("the file is kept open, so that the old one is served", control=controls.follows_growth),
        Cause("the size of a file is looked up once and kept", control=controls.keeps_sizes),
    ]
}
REMOVED: Final[dict[Kind, Told]] = CHANGED | {
    Kind.STATUS: [
        Cause("a file that was removed is still found: it is kept open, or remembered", codes=(0,)),
        Cause("the files are looked up once, at the start", codes=(202,), control=controls.finds_no_new_files),
    ]
}

# --- Names that are no files -------------------------------------------------------------------------

_OPENED: Final = "catch the error of opening it, and answer 202"
DIRECTORY: Final[dict[Kind, Told]] = {
    Kind.STATUS: [
        Cause("a name that exists is taken for that of a file: look whether it is a regular one", codes=(0,)),
        Cause("that a directory cannot be read is taken for a failure of the server; it is no file: 202", codes=(199,)),
        Cause("a directory is taken for an empty file", codes=(203,)),
    ],
    **unanswered(f"a directory that is asked for ends the connection without a reply: {_OPENED}"),
    Kind.GONE: f"a directory that is asked for ends the server's process: {_OPENED}",
}
_WAITS_FOR_WRITER: Final = (
    "opening a FIFO waits until somebody writes to it: look whether the name is that of a regular file"
)
FIFO: Final[dict[Kind, Told]] = {
    Kind.TIMEOUT: Cause(_WAITS_FOR_WRITER, control=controls.MISSING_IS_202),
    Kind.GONE: "a FIFO that is asked for stops the server or ends its process: look whether it is a regular file",
    Kind.STATUS: Cause("whatever can be opened is taken for a file", codes=(0,)),
}

# --- Paths -------------------------------------------------------------------------------------------

_JOINED: Final = (
    "the name is joined to the directory's path, and where that leads is not checked, or not in this spelling"
)
OUTSIDE: Final[dict[Kind, Told]] = {Kind.STATUS: _JOINED}
SIZE_OUTSIDE: Final[dict[Kind, Told]] = {
    Kind.STATUS: "get_metadata joins the name to the directory's path, and does not check where that leads"
}
CUT_AT_NUL: Final[dict[Kind, Told]] = {
    Kind.STATUS: [
        Cause("a name is checked as a whole, and used up to its NUL, or the reverse", control=controls.refuses_parent),
        _JOINED,
    ]
}
COMPARED_AS_TEXT: Final[dict[Kind, Told]] = {
    Kind.STATUS: [
        Cause("paths are compared as text, and /served-not begins with /served", control=controls.refuses_secret),
        _JOINED,
    ]
}
LINKS: Final[dict[Kind, Told]] = {Kind.STATUS: "symbolic links are followed wherever they lead"}
NAME_REFUSED: Final[dict[Kind, Told]] = {
    Kind.STATUS: Cause("the name is refused although it has only characters that names may have", codes=(101, 201))
}

"""Causes shared by several scenarios about listings, metadata and file names."""

import re
from typing import Final

from conformance.diagnosis import controls
from conformance.diagnosis.lines import BARE_LF, unanswered
from conformance.failures import Failure, Kind
from conformance.model.likely_causes import Cause, CauseSpec

# --- Listings ----------------------------------------------------------------------------------------

_LISTING_BEGINS: Final = """
    C: get_file_listing
    S: 0 *
    S: *
    """


def _names_among_others(failure: Failure) -> bool:
    """Tell whether the expected name is on a line with something else."""
    expected = failure.expected.removeprefix("the line ").removesuffix(" once")
    return len(expected) > 1 and expected in failure.got


LISTING_FORM: Final[dict[Kind, CauseSpec]] = {
    Kind.TIMEOUT: Cause("the empty line after the names is missing", control=_LISTING_BEGINS),
    Kind.MALFORMED: [
        Cause("the names end in a bare LF; every line ends in CR LF", got=BARE_LF, seen="a line ends in a bare LF"),
        Cause(
            "the listing is followed by a second empty line",
            got="^$",
            seen="an empty line was received",
            control=controls.LISTING_WORKS,
        ),
    ],
    Kind.BODY: Cause("the lines of the listing contain more than file names", when=_names_among_others),
}
LISTING_WHOLE: Final[dict[Kind, CauseSpec]] = {
    Kind.BODY: [
        Cause(
            "the directory is read only once, at startup, so new files are not listed",
            got="^0 of them",
            seen="none of the new files is listed",
            control=controls.lists_no_new_files,
        ),
        Cause("a long listing is truncated", got=r"^[1-9]\d* of them", seen="some of the new files are listed"),
        Cause("the lines of the listing contain more than file names", when=_names_among_others),
    ],
    Kind.TIMEOUT: Cause(
        "a long listing arrives incomplete: send() may send only part of the data, use sendall()",
        control=controls.LISTING_WORKS,
    ),
    Kind.MALFORMED: [
        Cause("the names end in a bare LF; every line ends in CR LF", got=BARE_LF, seen="a line ends in a bare LF"),
        Cause("a long listing is truncated in the middle of a name", control=controls.LISTING_WORKS),
    ],
}
LISTING_FRESH: Final[dict[Kind, CauseSpec]] = {
    Kind.BODY: [
        Cause(
            "the directory is read only once, at startup: read it for each listing", control=controls.lists_no_new_files
        ),
        Cause(
            "the directory is read once per connection: read it for each listing",
            got="other lines|^no names$",
            seen="the new file is not listed",
            control=controls.lists_new_files,
        ),
    ]
}
LISTING_EMPTY: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: Cause("an empty directory is reported as an error", control=controls.LISTING_WORKS),
    Kind.TIMEOUT: Cause(
        "the empty line that ends the listing is missing if there are no names", control=controls.LISTING_WORKS
    ),
    Kind.EXTRA: "the listing of an empty directory has an extra line end",
    Kind.BODY: Cause("the directory is read only once, at startup", control=controls.lists_no_new_files),
}
EMPTY_LEFT_OUT: Final = Cause("empty files are missing from the listing", control=controls.lists_short_names)
LOWERED: Final = Cause("names are listed in lower case", control=controls.lists_lower_case)
ONLY_WITH_DOTS: Final = Cause(
    "only names with a dot are listed, as with glob('*.*')", control=controls.lists_names_with_dots_alone
)
UNFETCHABLE: Final[dict[Kind, CauseSpec]] = {
    Kind.BODY: Cause(
        "a name with a space is listed, but no command can request it: do not list it",
        got="which has a space",
        seen="a listed name has a space",
    ),
    Kind.STATUS: Cause(
        "a listed name is refused by get_metadata or get_slice: do not list it",
        expected="which is listed",
        seen="a listed name was answered with an error",
    ),
    Kind.CLOSED: Cause(
        "a request for a listed name closes the connection without a reply", control=controls.LISTING_WORKS
    ),
    Kind.RESET: Cause(
        "a request for a listed name closes the connection without a reply", control=controls.LISTING_WORKS
    ),
}

# --- Sizes -------------------------------------------------------------------------------------------

SIZE_FORM: Final[dict[Kind, CauseSpec]] = {
    Kind.MALFORMED: [
        Cause("the size ends in a bare LF; every line ends in CR LF", got=BARE_LF, seen="a line ends in a bare LF"),
        Cause("the size has leading zeros", got=r"^0\d+$", seen="a 0 is followed by digits"),
        Cause("the size has thousands separators", got=r"^\d+[,._']\d", seen="there is a separator between digits"),
        Cause("the line of the size contains something else, too", got=r"^\d+\D", seen="something follows the digits"),
        Cause(
            "the size is followed by an empty line",
            got="^$",
            seen="an empty line was received",
            control=controls.METADATA_WORKS,
        ),
    ],
    Kind.TIMEOUT: [
        Cause("the size has no line end", got=r" after \d+$", seen="digits without a line end were received"),
        Cause(
            "the size is on the status line; it needs a line of its own",
            control="""
            C: get_metadata {text}
            S: 0 *{text.size}*
            """,
        ),
    ],
}
SIZES_FORM: Final[dict[Kind, CauseSpec]] = {
    Kind.MALFORMED: Cause(
        "the size ends in a bare LF; every line ends in CR LF", got=BARE_LF, seen="a line ends in a bare LF"
    )
}
"""The same for several sizes, where a line may belong to another reply."""
EMPTY_IS_MISSING: Final = Cause("an empty file is treated as missing", codes=(202,), control=controls.METADATA_WORKS)


def _sizes(failure: Failure) -> tuple[int, int] | None:
    """Return the expected and the received size, or None if the failure is not about sizes."""
    expected, got = re.fullmatch(r"the size (\d+)\b.*", failure.expected), re.fullmatch(r"\d{1,19}", failure.got)
    return (int(expected[1]), int(got[0])) if expected and got else None


def _is_base64_length(failure: Failure) -> bool:
    """Tell whether the size is the length of the file's base64."""
    sizes = _sizes(failure)
    return sizes is not None and sizes[0] > 0 and sizes[1] == (sizes[0] + 2) // 3 * 4


def _is_cut_to_bits(failure: Failure) -> bool:
    """Tell whether the size is truncated to 8, 16, 24 or 32 bits."""
    sizes = _sizes(failure)
    return sizes is not None and any(sizes[0] != sizes[1] == sizes[0] % (1 << bits) for bits in (8, 16, 24, 32))


def _is_in_blocks(failure: Failure) -> bool:
    """Tell whether the size is rounded up to a multiple of 512 bytes or more."""
    sizes = _sizes(failure)
    return sizes is not None and sizes[0] < sizes[1] < sizes[0] + (1 << 17) and sizes[1] % 512 == 0


SIZE: Final[dict[Kind, CauseSpec]] = {
    Kind.BODY: [
        Cause("the size is the length of the base64; it has to be that of the file", when=_is_base64_length),
        Cause("the size is stored in too few bits", when=_is_cut_to_bits),
        Cause("the size is the disk usage of the file; it has to be its length in bytes", when=_is_in_blocks),
    ]
}


def found_by_slices(key: str) -> Cause:
    """Return the cause that get_slice finds a file, but get_metadata does not."""
    return Cause(
        "get_slice finds the file, but get_metadata does not",
        codes=(199, 201, 202),
        control=f"""
        C: get_slice {{{key}}} 0 0
        S: 0 *
        """,
    )


_DISAGREE: Final = Cause(
    "get_metadata and get_slice use different sizes for the same file",
    control=f"""{controls.refuses("{text.size}", "1")}<reconnect>{controls.accepts("{text.size}", "0")}""",
)
DISAGREE: Final[dict[Kind, CauseSpec]] = {Kind.STATUS: _DISAGREE}
CHANGED: Final[dict[Kind, CauseSpec]] = {
    Kind.BODY: Cause("file sizes are cached: ask the file system for each request", control=controls.keeps_sizes),
    Kind.STATUS: Cause(
        "files are looked up only once, at startup: ask the file system for each request",
        control=controls.finds_no_new_files,
    ),
}
REPLACED: Final[dict[Kind, CauseSpec]] = CHANGED | {
    Kind.BODY: [
        Cause("the file is kept open, so the old content is served", control=controls.follows_growth),
        Cause("file sizes are cached", control=controls.keeps_sizes),
    ]
}
REMOVED: Final[dict[Kind, CauseSpec]] = CHANGED | {
    Kind.STATUS: [
        Cause("a removed file is still found: it is kept open or cached", codes=(0,)),
        Cause("files are looked up only once, at startup", codes=(202,), control=controls.finds_no_new_files),
    ]
}

# --- Names of directories and FIFOs ------------------------------------------------------------------

_OPENED: Final = "catch the error from open() and answer 202"
DIRECTORY: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: [
        Cause("every existing name is treated as a file: check that it is a regular file", codes=(0,)),
        Cause("a directory is reported as a server error (199); it is not a file: answer 202", codes=(199,)),
        Cause("a directory is treated as an empty file", codes=(203,)),
    ],
    **unanswered(f"a request for a directory closes the connection without a reply: {_OPENED}"),
    Kind.GONE: f"a request for a directory crashes the server: {_OPENED}",
}
_WAITS_FOR_WRITER: Final = (
    "opening a FIFO blocks until another process opens it for writing: check that the name is a regular file"
)
FIFO: Final[dict[Kind, CauseSpec]] = {
    Kind.TIMEOUT: Cause(_WAITS_FOR_WRITER, control=controls.MISSING_IS_202),
    Kind.GONE: "a request for a FIFO crashes or hangs the server: check that the name is a regular file",
    Kind.STATUS: Cause("everything that can be opened is treated as a file", codes=(0,)),
}

# --- Paths -------------------------------------------------------------------------------------------

_JOINED: Final = "the name is joined to the directory path, and the result is not checked, or not for this spelling"
OUTSIDE: Final[dict[Kind, CauseSpec]] = {Kind.STATUS: _JOINED}
SIZE_OUTSIDE: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: "get_metadata joins the name to the directory path and does not check the result"
}
CUT_AT_NUL: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: [
        Cause(
            "the whole name is checked, but only the part before the NUL is used, or the reverse",
            control=controls.refuses_parent,
        ),
        _JOINED,
    ]
}
COMPARED_AS_TEXT: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: [
        Cause("paths are compared as strings, and /served-not starts with /served", control=controls.refuses_secret),
        _JOINED,
    ]
}
LINKS: Final[dict[Kind, CauseSpec]] = {Kind.STATUS: "symbolic links are followed wherever they lead"}
REFUSED_SILENTLY: Final[dict[Kind, CauseSpec]] = {
    **unanswered("an error closes the connection without a reply: catch it and answer 201 or 202"),
    Kind.GONE: "such a name crashes the server: catch the error and answer 201 or 202",
}
NAME_REFUSED: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: Cause("the name is refused, although it has only valid characters", codes=(101, 201))
}

"""Known and unknown commands: names, arguments, the order of the checks, and unreadable files."""

from typing import Final

from conformance.diagnosis import commands as causes
from conformance.failures import Failure
from conformance.language import Message
from conformance.model.scenario import DESTRUCTIVE, EXCLUSIVE, Cause, Chapter, Kind, ScenarioContext
from conformance.scenarios.answering import COMMANDS, survive

chapter = Chapter()

_MISSING: Final = "{missing}"
_UNKNOWN: Final = "{unknown-word}"

# --- Unknown commands --------------------------------------------------------------------------------

_WHOLE: Final = "the whole command has to be compared"
_BY_START: Final = f"{_WHOLE}: startswith() also accepts longer words"
_BY_PREFIX: Final = f"{_WHOLE}: the beginning of a command is accepted"
_UNKNOWN_LINES: Final = (
    ("unknown", "{unknown-word}", "An unknown command", ""),
    ("unknown-with-arguments", "{unknown-word} a b c d e", "An unknown command with many arguments", ""),
    ("unknown-with-file", "{unknown-word} {text}", "An unknown command with a file name", ""),
    ("unknown-with-missing-file", f"{_UNKNOWN} {_MISSING}", "An unknown command with the name of a missing file", ""),
    ("unknown-with-slice", "get_slices {text} 0 1", "get_slices", _BY_START),
    ("suffix-of-metadata", "get_metadatax {text}", "get_metadatax", _BY_START),
    ("suffix-of-listing", "get_file_listings", "get_file_listings", _BY_START),
    ("suffix-of-quit", "quitx", "quitx", _BY_START),
    ("prefix-of-metadata", "get_meta {text}", "get_meta", _BY_PREFIX),
    ("prefix-of-listing", "get_file", "get_file", _BY_PREFIX),
    ("prefix-of-quit", "qui", "qui", _BY_PREFIX),
    ("one-letter", "q", "A one-letter command", _BY_PREFIX),
    ("inside-of-a-name", "slice {text} 0 1", "The end of a command name", f"{_WHOLE}: a part of a command is accepted"),
    ("hyphens", "get-metadata {text}", "get-metadata", "a hyphen is treated as an underscore"),
    ("status-as-command", "200 OK", "A status line as a command", ""),
    ("other-protocol", "GET /{text} HTTP/1.1", "An HTTP request line", "GET is treated as a command of this protocol"),
)
_FOREIGN_CHARACTERS: Final = frozenset({"hyphens", "status-as-command", "other-protocol"})
"""Commands with characters that no command has: they may also be treated as malformed."""

for _slug, _line, _what, _cause in _UNKNOWN_LINES:
    chapter.transcript(
        f"commands.{_slug}",
        "HFTP-3.1",
        f"{_what} is answered with 200{' or 101' * (_slug in _FOREIGN_CHARACTERS)}",
        f"""
        C: {_line}
        S: {"200|101" if _slug in _FOREIGN_CHARACTERS else "200"} *
        <in step>
        """,
        causes=causes.similar(_cause) if _cause else {Kind.STATUS: "the code for an unknown command is 200"},
    )


@chapter.play(
    "commands.names-of-methods",
    "HFTP-3.1",
    "Unknown commands that may be method names in the server are answered with 200",
    causes=dict.fromkeys((Kind.STATUS, Kind.CLOSED, Kind.RESET, Kind.TIMEOUT), causes.BY_METHOD),
)
def names_of_methods(context: ScenarioContext) -> None:
    """Send names that a dispatcher without a command table would find."""
    client = context.connect()
    for name in ("handle", "run", "send", "recv", "close", "stop", "start", "serve", "__init__", "__class__", "socket"):
        client.send_line(name)
        client.status(200)
    client.finish()


for _slug, _line, _what in (
    ("upper-case-quit", "QUIT", "QUIT"),
    ("title-case-quit", "Quit", "Quit"),
    ("upper-case-listing", "GET_FILE_LISTING", "GET_FILE_LISTING"),
    ("upper-case-metadata", "GET_METADATA {text}", "GET_METADATA"),
    ("mixed-case-slice", "get_Slice {text} 0 1", "get_Slice"),
):
    chapter.transcript(
        f"commands.{_slug}",
        "HFTP-3.2",
        f"{_what} is answered with 200 or 101",
        f"""
        C: {_line}
        S: 200|101 *
        <in step>
        """,
        causes=causes.ANY_CASE,
    )

# --- Number of arguments -----------------------------------------------------------------------------

_COUNTS: Final = (
    ("metadata-0", "get_metadata", causes.TOO_FEW, "get_metadata without an argument"),
    ("metadata-2", "get_metadata {text} {text}", causes.TOO_MANY, "get_metadata with two arguments"),
    ("metadata-3", "get_metadata {text} 0 1", causes.TOO_MANY, "get_metadata with three arguments"),
    ("slice-0", "get_slice", causes.TOO_FEW, "get_slice without arguments"),
    ("slice-1", "get_slice {text}", causes.TOO_FEW, "get_slice with only a file name"),
    ("slice-2", "get_slice {text} 0", causes.TOO_FEW, "get_slice without SIZE"),
    ("slice-4", "get_slice {text} 0 1 1", causes.TOO_MANY, "get_slice with a third number"),
    ("slice-5", "get_slice {text} 0 1 raw raw", causes.TOO_MANY, "get_slice with five arguments"),
    ("slice-10", "get_slice {text} 0 1 2 3 4 5 6 7 8", causes.TOO_MANY, "get_slice with ten arguments"),
    ("listing-1", "get_file_listing {text}", causes.TOO_MANY, "get_file_listing with an argument"),
    ("listing-2", "get_file_listing a b", causes.TOO_MANY, "get_file_listing with two arguments"),
    ("quit-1", "quit now", causes.TOO_MANY, "quit with an argument"),
    ("quit-2", "quit 0 OK", causes.TOO_MANY, "quit with two arguments"),
    ("metadata-200", "get_metadata" + " a" * 200, causes.TOO_MANY, "get_metadata with 200 arguments"),
)

for _slug, _line, _causes, _what in _COUNTS:
    chapter.transcript(
        f"commands.{_slug}",
        "HFTP-3.3",
        f"{_what} is answered with 201",
        f"""
        C: {_line}
        S: 201 *
        <in step>
        """,
        causes=_causes,
    )

# --- Missing files -----------------------------------------------------------------------------------

for _slug, _line, _what, _needs in (
    ("missing-metadata", f"get_metadata {_MISSING}", "get_metadata of a missing file", []),
    ("missing-slice", f"get_slice {_MISSING} 0 1", "get_slice of a missing file", []),
    ("missing-empty-slice", f"get_slice {_MISSING} 0 0", "An empty slice of a missing file", []),
    ("missing-by-prefix", "get_metadata {text}.bak", "A missing name that starts with a file name", ["own-files"]),
    ("missing-by-suffix", "get_metadata x{text}", "A missing name that ends with a file name", ["own-files"]),
):
    chapter.transcript(
        f"commands.{_slug}",
        "HFTP-3.4",
        f"{_what} is answered with 202",
        f"""
        C: {_line}
        S: 202 *
        <in step>
        """,
        needs=_needs,
        causes=causes.NEARLY_FOUND if "by-" in _slug else causes.NOT_FOUND,
    )

# --- The order of the checks -------------------------------------------------------------------------

_ORDERS: Final = (
    ("unknown-before-all", f"{_UNKNOWN} {_MISSING} x -1", 200, "An unknown command with invalid arguments"),
    ("offset-before-file", f"get_slice {_MISSING} x 1", 201, "A missing file and an invalid OFFSET"),
    ("size-before-file", f"get_slice {_MISSING} 0 x", 201, "A missing file and an invalid SIZE"),
    ("negative-before-file", f"get_slice {_MISSING} -1 1", 201, "A missing file and a negative OFFSET"),
    ("negative-size-before-file", f"get_slice {_MISSING} 0 -1", 201, "A missing file and a negative SIZE"),
    ("count-before-file", f"get_slice {_MISSING} 0", 201, "A missing file and no SIZE"),
    ("too-many-before-file", f"get_metadata {_MISSING} x", 201, "A missing file and an extra argument"),
    ("size-before-range", "get_slice {text} {text.size+1} x", 201, "OFFSET past the end and an invalid SIZE"),
    ("offset-before-range", "get_slice {text} x {text.size+1}", 201, "SIZE past the end and an invalid OFFSET"),
    ("count-before-range", "get_slice {text} {text.size+1}", 201, "OFFSET past the end and no SIZE"),
    ("file-before-offset", f"get_slice {_MISSING} 1000000 1", 202, "A missing file and a large OFFSET"),
    ("file-before-size", f"get_slice {_MISSING} 0 1000000", 202, "A missing file and a large SIZE"),
    ("form-before-all", f"get_slice {_MISSING} 1000000 x", 201, "A missing file, a large OFFSET and an invalid SIZE"),
)

for _slug, _line, _code, _what in _ORDERS:
    chapter.transcript(
        f"commands.{_slug}",
        "HFTP-3.5",
        f"{_what}: answered with {_code}",
        f"""
        C: {_line}
        S: {_code} *
        <in step>
        """,
        causes=causes.order(_line, _code),
    )


# --- Unreadable files and directories ----------------------------------------------------------------


def _ask_unreadable(context: ScenarioContext, line: bytes) -> None:
    """Require 199 and the end of the stream; before 2026 any status line."""
    client = context.connect()
    client.send_line(line)
    if context.dialect == "2026":
        client.status(199)
        client.read_end(Message("the end of the stream after 199"))
    else:
        context.observe(Message("answered {status}", status=client.status()))


@chapter.play(
    "commands.unreadable-slice",
    "HFTP-3.7",
    "A slice of a file that the server cannot read is answered with 199, and the connection closes",
    needs=["unreadable"],
    causes=causes.CANNOT_READ,
)
def unreadable_slice(context: ScenarioContext) -> None:
    """Request its first byte; before 2026 any status passes."""
    _ask_unreadable(context, b"get_slice %b 0 1" % context.fixture("unreadable").name)


@chapter.play(
    "commands.unreadable-metadata",
    "HFTP-3.7",
    "get_metadata of a file that the server cannot read is answered with 199, and the connection closes",
    needs=["unreadable"],
    level="SHOULD",  # stat() needs no read permission, and the protocol does not say which call has to fail
    causes=causes.CANNOT_READ,
)
def unreadable_metadata(context: ScenarioContext) -> None:
    """Request its size; before 2026 any status passes."""
    _ask_unreadable(context, b"get_metadata " + context.fixture("unreadable").name)


@chapter.play(
    "commands.unreadable-survived",
    "HFTP-3.11",
    "Other clients are still served after a request for a file that the server cannot read",
    needs=["unreadable"],
    isolation=DESTRUCTIVE,
    causes=causes.CANNOT_READ,
)
def unreadable_survived(context: ScenarioContext) -> None:
    """Request its size and slices of it, ignore the replies, and connect again."""
    survive(context, [command % context.fixture("unreadable").name for command in COMMANDS])


@chapter.play(
    "commands.unreadable-directory",
    "HFTP-3.7",
    "The listing of a directory that the server cannot read is answered with 199, and the connection closes",
    needs=["local", "unreadable", "text"],
    isolation=EXCLUSIVE,
    causes=causes.CANNOT_READ
    | {
        Kind.STATUS: Cause("an unreadable directory is treated as a missing file", codes=(202,)),
        Kind.BODY: Cause(
            "an unreadable directory is treated as an empty one",
            got="listing of 0 names",
            seen="no names were listed",
        ),
    },
)
def unreadable_directory(context: ScenarioContext) -> None:
    """Remove read permission from the directory for a while; a server that keeps it open may still list it.

    Before 2026 any status passes.
    """
    with context.fixtures.served.without_permissions(0o444):
        client = context.connect()
        client.send_line("get_file_listing")
        if context.dialect != "2026":
            context.observe(Message("answered {status}", status=client.status()))
        elif client.status(0, 199).code == 0:
            names = client.listing()
            if context.fixture("text").name not in names:
                raise Failure(
                    Kind.BODY,
                    Message("199, or the listing from before"),
                    Message("a listing of {count} names", count=len(names)),
                )
            context.observe(Message("the server keeps its directory open"))
            client.finish()
        else:
            client.read_end(Message("the end of the stream after 199"))

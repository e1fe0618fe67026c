"""Commands, known and unknown: their names, their arguments, the order of the checks, and what cannot be read."""

from typing import Final

from conformance.diagnosis import commands as causes
from conformance.failures import Failure
from conformance.model.scenario import DESTRUCTIVE, EXCLUSIVE, Cause, Chapter, Kind, ScenarioContext
from conformance.scenarios.answering import COMMANDS, survive

chapter = Chapter()

_MISSING: Final = "hftp-conformance-no-such-file"

# --- Unknown commands --------------------------------------------------------------------------------

_WHOLE: Final = "commands are not compared as a whole"
_BY_START: Final = f"{_WHOLE}: this line begins like one, and startswith() is not enough"
_BY_PREFIX: Final = f"{_WHOLE}: the beginning of a command is taken for it"
_UNKNOWN_LINES: Final = (
    ("unknown", "frobnicate", "An unknown command", ""),
    ("unknown-with-arguments", "frobnicate a b c d e", "An unknown command with many arguments", ""),
    ("unknown-with-file", "frobnicate {text}", "An unknown command with a file's name", ""),
    ("unknown-with-missing-file", f"frobnicate {_MISSING}", "An unknown command with a missing file's name", ""),
    ("unknown-with-slice", "get_slices {text} 0 1", "A command that is nearly get_slice", _BY_START),
    ("suffix-of-metadata", "get_metadatax {text}", "get_metadatax", _BY_START),
    ("suffix-of-listing", "get_file_listings", "get_file_listings", _BY_START),
    ("suffix-of-quit", "quitx", "quitx", _BY_START),
    ("prefix-of-metadata", "get_meta {text}", "get_meta", _BY_PREFIX),
    ("prefix-of-listing", "get_file", "get_file", _BY_PREFIX),
    ("prefix-of-quit", "qui", "qui", _BY_PREFIX),
    ("one-letter", "q", "A command of one letter", _BY_PREFIX),
    ("inside-of-a-name", "slice {text} 0 1", "The end of a command's name", f"{_WHOLE}: a part of one is taken for it"),
    ("hyphens", "get-metadata {text}", "get-metadata, with a hyphen", "a hyphen is taken for an underscore"),
    ("status-as-command", "200 OK", "A status line as a command", ""),
    ("other-protocol", "GET /{text} HTTP/1.1", "A request line of HTTP", "GET is taken for a command of this protocol"),
)
_FOREIGN_CHARACTERS: Final = frozenset({"hyphens", "status-as-command", "other-protocol"})
"""Commands with characters that no command has: they may be taken for malformed lines as well."""

for _slug, _said, _what, _cause in _UNKNOWN_LINES:
    chapter.transcript(
        f"commands.{_slug}",
        "HFTP-3.1",
        f"{_what} is answered by 200{' or 101' * (_slug in _FOREIGN_CHARACTERS)}",
        f"""
        C: {_said}
        S: {"200|101" if _slug in _FOREIGN_CHARACTERS else "200"} *
        <in step>
        """,
        causes=causes.similar(_cause)
        if _cause
        else {Kind.STATUS: "a command that is not known has a code of its own: 200"},
    )


@chapter.play(
    "commands.names-of-methods",
    "HFTP-3.1",
    "Words that are no commands, but may be methods of the server's objects, are answered by 200",
    causes=dict.fromkeys((Kind.STATUS, Kind.CLOSED, Kind.RESET, Kind.TIMEOUT), causes.BY_METHOD),
)
def names_of_methods(context: ScenarioContext) -> None:
    """Say names that a dispatcher without a table of commands would find."""
    client = context.connect()
    for name in ("handle", "run", "send", "recv", "close", "stop", "start", "serve", "__init__", "__class__", "socket"):
        client.send_line(name)
        client.status(200)
    client.finish()


for _slug, _said, _what in (
    ("upper-case-quit", "QUIT", "QUIT"),
    ("title-case-quit", "Quit", "Quit"),
    ("upper-case-listing", "GET_FILE_LISTING", "GET_FILE_LISTING"),
    ("upper-case-metadata", "GET_METADATA {text}", "GET_METADATA"),
    ("mixed-case-slice", "get_Slice {text} 0 1", "get_Slice"),
):
    chapter.transcript(
        f"commands.{_slug}",
        "HFTP-3.2",
        f"{_what} is an unknown command, or a malformed line",
        f"""
        C: {_said}
        S: 200|101 *
        <in step>
        """,
        causes=causes.ANY_CASE,
    )

# --- How many arguments ------------------------------------------------------------------------------

_COUNTS: Final = (
    ("metadata-0", "get_metadata", causes.TOO_FEW, "get_metadata without an argument"),
    ("metadata-2", "get_metadata {text} {text}", causes.TOO_MANY, "get_metadata with two arguments"),
    ("metadata-3", "get_metadata {text} 0 1", causes.TOO_MANY, "get_metadata with three arguments"),
    ("slice-0", "get_slice", causes.TOO_FEW, "get_slice without arguments"),
    ("slice-1", "get_slice {text}", causes.TOO_FEW, "get_slice with the name alone"),
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

for _slug, _said, _told, _what in _COUNTS:
    chapter.transcript(
        f"commands.{_slug}",
        "HFTP-3.3",
        f"{_what} is answered by 201",
        f"""
        C: {_said}
        S: 201 *
        <in step>
        """,
        causes=_told,
    )

# --- Files that are not there ------------------------------------------------------------------------

for _slug, _said, _what, _needs in (
    ("missing-metadata", f"get_metadata {_MISSING}", "get_metadata of a missing file", []),
    ("missing-slice", f"get_slice {_MISSING} 0 1", "get_slice of a missing file", []),
    ("missing-empty-slice", f"get_slice {_MISSING} 0 0", "An empty slice of a missing file", []),
    ("missing-by-prefix", "get_metadata {text}.bak", "A name that begins with that of a file", ["own-files"]),
    ("missing-by-suffix", "get_metadata x{text}", "A name that ends with that of a file", ["own-files"]),
):
    chapter.transcript(
        f"commands.{_slug}",
        "HFTP-3.4",
        f"{_what} is answered by 202",
        f"""
        C: {_said}
        S: 202 *
        <in step>
        """,
        needs=_needs,
        causes=causes.NEARLY_FOUND if "by-" in _slug else causes.NOT_FOUND,
    )

# --- The order of the checks -------------------------------------------------------------------------

_ORDERS: Final = (
    ("unknown-before-all", f"frobnicate {_MISSING} x -1", 200, "An unknown command, with everything else wrong"),
    ("offset-before-file", f"get_slice {_MISSING} x 1", 201, "A missing file with a wrong OFFSET"),
    ("size-before-file", f"get_slice {_MISSING} 0 x", 201, "A missing file with a wrong SIZE"),
    ("negative-before-file", f"get_slice {_MISSING} -1 1", 201, "A missing file with a negative OFFSET"),
    ("negative-size-before-file", f"get_slice {_MISSING} 0 -1", 201, "A missing file, negative SIZE"),
    ("count-before-file", f"get_slice {_MISSING} 0", 201, "A missing file without SIZE"),
    ("too-many-before-file", f"get_metadata {_MISSING} x", 201, "A missing file and an argument more"),
    ("size-before-range", "get_slice {text} {text.size+1} x", 201, "OFFSET past the end, wrong SIZE"),
    ("offset-before-range", "get_slice {text} x {text.size+1}", 201, "SIZE past the end, wrong OFFSET"),
    ("count-before-range", "get_slice {text} {text.size+1}", 201, "OFFSET past the end, no SIZE"),
    ("file-before-offset", f"get_slice {_MISSING} 1000000 1", 202, "A missing file and a large OFFSET"),
    ("file-before-size", f"get_slice {_MISSING} 0 1000000", 202, "A missing file and a large SIZE"),
    ("form-before-all", f"get_slice {_MISSING} 1000000 x", 201, "A missing file, large OFFSET, wrong SIZE"),
)

for _slug, _said, _code, _what in _ORDERS:
    chapter.transcript(
        f"commands.{_slug}",
        "HFTP-3.5",
        f"{_what}: {_code}",
        f"""
        C: {_said}
        S: {_code} *
        <in step>
        """,
        causes=causes.order(_said, _code),
    )


# --- What cannot be read -----------------------------------------------------------------------------


def _ask_unreadable(context: ScenarioContext, line: bytes) -> None:
    """Require 199 and the end of the stream; before 2026 any status line."""
    client = context.connect()
    client.send_line(line)
    if context.dialect == "2026":
        client.status(199)
        client.read_end("the end of the stream after 199")
    else:
        context.observe(f"answered {client.status()}")


@chapter.play(
    "commands.unreadable-slice",
    "HFTP-3.7",
    "A slice of a file that the server cannot read is answered by 199, and the server closes",
    needs=["unreadable"],
    causes=causes.CANNOT_READ,
)
def unreadable_slice(context: ScenarioContext) -> None:
    """Ask for its first byte; before 2026 any status line will do."""
    _ask_unreadable(context, b"get_slice %b 0 1" % context.fixture("unreadable").name)


@chapter.play(
    "commands.unreadable-metadata",
    "HFTP-3.7",
    "The size of a file that the server cannot read is not told: 199, and the server closes",
    needs=["unreadable"],
    level="SHOULD",  # stat() needs no permission to read, and the protocol does not say which call has to fail
    causes=causes.CANNOT_READ,
)
def unreadable_metadata(context: ScenarioContext) -> None:
    """Ask for its size; before 2026 any status line will do."""
    _ask_unreadable(context, b"get_metadata " + context.fixture("unreadable").name)


@chapter.play(
    "commands.unreadable-survived",
    "HFTP-3.11",
    "Other clients are served after a file that the server cannot read was asked for",
    needs=["unreadable"],
    isolation=DESTRUCTIVE,
    causes=causes.CANNOT_READ,
)
def unreadable_survived(context: ScenarioContext) -> None:
    """Ask for its size and for slices of it, whatever the answers, and connect again."""
    survive(context, [command % context.fixture("unreadable").name for command in COMMANDS])


@chapter.play(
    "commands.unreadable-directory",
    "HFTP-3.7",
    "A directory that the server cannot read is answered by 199, and the server closes",
    needs=["local", "unreadable", "text"],
    isolation=EXCLUSIVE,
    causes=causes.CANNOT_READ
    | {
        Kind.STATUS: Cause("a directory that cannot be read is taken for a missing file", codes=(202,)),
        Kind.BODY: Cause(
            "a directory that cannot be read is taken for an empty one",
            got="listing of 0 names",
            seen="no name is listed",
        ),
    },
)
def unreadable_directory(context: ScenarioContext) -> None:
    """Take the permission to read the directory away for a while; a server that has it open already may go on.

    Before 2026 any status line will do.
    """
    directory = context.fixtures.directory
    mode = directory.stat().st_mode & 0o7777
    directory.chmod(mode & 0o333)
    try:
        client = context.connect()
        client.send_line("get_file_listing")
        if context.dialect != "2026":
            context.observe(f"answered {client.status()}")
        elif client.status(0, 199).code == 0:
            names = client.listing()
            if context.fixture("text").name not in names:
                raise Failure(Kind.BODY, "199, or the files all the same", f"a listing of {len(names)} names")
            context.observe("the server keeps its directory open")
            client.finish()
        else:
            client.read_end("the end of the stream after 199")
    finally:
        directory.chmod(mode)

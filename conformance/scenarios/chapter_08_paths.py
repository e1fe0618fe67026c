"""Path traversal: no name gives access to a file outside the served directory.

The proof is a file outside the directory with a random name, which no file inside has: a server that answers with 0 has
found it. If the suite cannot create such a file, it uses files that exist on every system.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from conformance.client.client import Client
from conformance.client.recording import escape
from conformance.diagnosis import files as causes
from conformance.failures import Failure, Incomplete
from conformance.fixtures.base import Fixture
from conformance.fixtures.safe_directory import Directory
from conformance.language import Message
from conformance.model.scenario import EXCLUSIVE, Chapter, Kind, ScenarioContext
from conformance.scenarios.answering import COMMANDS, readable_answers, readable_sizes

chapter = Chapter()

_REFUSALS: Final = Message("an error status (201, 202 or 101)")
_SHOWN_BYTES: Final = 40


def require_refusal(context: ScenarioContext, names: Iterable[bytes], commands: Sequence[bytes] = COMMANDS) -> None:
    """Request the size and bytes of each name; raise Failure if a request succeeds."""
    require_refusals(context, (command % name for name in names for command in commands))


def require_refusals(context: ScenarioContext, lines: Iterable[bytes]) -> None:
    """Send lines; raise Failure if one gets status 0. A reply without a readable status line counts as a refusal."""
    for line, client, status in readable_answers(context, lines):
        if status.code == 0:
            following = _following(client)
            _require_distinction(context, line)
            got = Message("{status}, followed by {following}", status=status, following=following)
            expected = Message("{refusals} for {line}", refusals=_REFUSALS, line=escape(line))
            raise Failure(Kind.STATUS, expected, got).about(escape(line + b"\r\n"))


def _require_distinction(context: ScenarioContext, line: bytes) -> None:
    """Raise Incomplete if a missing file is also answered with 0: then a 0 does not prove that a file was found."""
    command = next(command for command in COMMANDS[::-1] if command.startswith(line[: line.find(b" ")]))
    control = command % context.words.missing
    for _, _, status in readable_answers(context, [control]):
        if status.code == 0:
            message = Message(
                "the server also answers {control} with 0, although that file does not exist", control=escape(control)
            )
            raise Incomplete(message)


def _following(client: Client) -> str:
    """Return the beginning of the data after a status line, escaped for a report."""
    client.half_close()
    with contextlib.suppress(Failure):
        for piece in client.read_pieces(_SHOWN_BYTES, Message("more data")):
            return escape(piece[:_SHOWN_BYTES])
    return "nothing"


# --- Names that lead out of the directory ------------------------------------------------------------

_Names = Callable[[bytes, bytes, bytes], Sequence[bytes]]
"""Makes names from the secret's name, the path of the served directory, and the name of a subdirectory."""

_ESCAPES: Final[tuple[tuple[str, str, _Names], ...]] = (
    ("parent", "Two dots", lambda secret, _at, _in: [b"../" + secret]),
    (
        "parents",
        "Two dots, several times",
        lambda secret, at, _in: [
            b"../../" + at.split(b"/")[-2] + b"/" + secret,
            b"../" * 30 + at.rpartition(b"/")[0].lstrip(b"/") + b"/" + secret,
            b"../" + at.rpartition(b"/")[2] + b"/../" + secret,
        ],
    ),
    (
        "down-and-up",
        "Two dots after a valid name",
        lambda secret, _at, inside: [
            inside + b"/../../" + secret,
            inside + b"-missing/../../" + secret,
            b"a/b/../../../" + secret,
        ],
    ),
    (
        "dotted",
        "Two dots among single dots and doubled slashes",
        lambda secret, _at, _in: [b"./../" + secret, b".//..//" + secret, b"..//" + secret, b".././" + secret],
    ),
    (
        "absolute",
        "An absolute path",
        lambda secret, at, _in: [
            at.rpartition(b"/")[0] + b"/" + secret,
            b"/" + at.rpartition(b"/")[0] + b"/" + secret,
            at + b"/../" + secret,
        ],
    ),
    (
        "removed-once",
        "Two dots that remain after ../ is removed once",
        lambda secret, _at, _in: [b"....//" + secret, b"..././" + secret, b".../...//" + secret],
    ),
    (
        "encoded",
        "Two dots, URL-encoded",
        lambda secret, _at, _in: [
            b"%2e%2e/" + secret,
            b"..%2f" + secret,
            b"%2e%2e%2f" + secret,
            b"%2E%2E%2F" + secret,
            b"%252e%252e%252f" + secret,
        ],
    ),
    (
        "backslash",
        "Two dots with a backslash",
        lambda secret, _at, _in: [b"..\\" + secret, b".\\..\\" + secret, b"..\\/" + secret, b"..%5c" + secret],
    ),
    (
        "trailing",
        "Two dots, with a suffix after the name",
        lambda secret, _at, _in: [b"../" + secret + end for end in (b"/", b"/.", b"//", b".", b"/..", b"?", b"#a")],
    ),
    (
        "expanded",
        "A tilde, a variable or a URL",
        lambda secret, at, _in: [
            b"~" + at.rpartition(b"/")[0] + b"/" + secret,
            b"~/../../../.." + at.rpartition(b"/")[0] + b"/" + secret,
            b"$PWD/../" + secret,
            b"file://" + at.rpartition(b"/")[0] + b"/" + secret,
            b"file:../" + secret,
        ],
    ),
    (
        "proc",
        "A path through /proc",
        lambda secret, at, _in: [
            b"/proc/self/root" + at.rpartition(b"/")[0] + b"/" + secret,
            b"../" * 30 + b"proc/self/root" + at.rpartition(b"/")[0] + b"/" + secret,
        ],
    ),
)


def secret_of(context: ScenarioContext) -> Fixture:
    """Return the secret file outside the directory; raise Incomplete if there is none."""
    if context.fixtures.secret is None:
        message = Message("needs a file outside the served directory (--serve, or --fixtures DIR)")
        raise Incomplete(message)
    return context.fixtures.secret


def _served(context: ScenarioContext) -> bytes:
    return os.fsencode(context.fixtures.directory)


def _add_escape(slug: str, what: str, names: _Names) -> None:
    """Add a scenario that tries one way to leave the directory."""

    @chapter.play(
        f"paths.{slug}",
        "HFTP-8.1",
        f"{what}: no file outside is served, nor its size",
        needs=["outside", "subdirectory"],
        causes=causes.OUTSIDE,
    )
    def refused(context: ScenarioContext) -> None:
        inside = context.fixture("subdirectory").name
        require_refusal(context, names(secret_of(context).name, _served(context), inside))

    refused.__doc__ = f"Request a file outside. {what}."


for _escape in _ESCAPES:
    _add_escape(*_escape)


@chapter.play(
    "paths.size-outside",
    "HFTP-8.1",
    "get_metadata does not return the size of a file outside",
    needs=["outside", "subdirectory"],
    causes=causes.SIZE_OUTSIDE,
)
def size_outside(context: ScenarioContext) -> None:
    """Request only sizes."""
    secret, at, inside = secret_of(context).name, _served(context), context.fixture("subdirectory").name
    require_refusal(context, (name for _, _, names in _ESCAPES for name in names(secret, at, inside)), COMMANDS[:1])


@chapter.play(
    "paths.nul",
    "HFTP-8.1",
    "A NUL in a name does not give access to a file outside",
    needs=["outside", "text"],
    causes=causes.CUT_AT_NUL,
)
def nul(context: ScenarioContext) -> None:
    """Put a NUL after, before and inside names; a server may drop the connection."""
    secret, text = secret_of(context).name, context.fixture("text").name
    names = (b"../%b\0" % secret, b"../%b\0.txt" % secret, b"%b\0/../../%b" % (text, secret), b"\0../" + secret)
    with contextlib.suppress(Incomplete):  # dropping the connection is a refusal; other scenarios judge it
        require_refusal(context, names)


@chapter.play(
    "paths.spaces",
    "HFTP-8.1",
    "Spaces around a name do not give access to a file outside",
    needs=["outside"],
    causes=causes.OUTSIDE,
)
def spaces(context: ScenarioContext) -> None:
    """Send lines with extra spaces; any reply except 0 passes."""
    secret = secret_of(context).name
    lines = (b"get_metadata  ../" + secret, b"get_metadata ../%b " % secret, b"get_slice  ../%b 0 1" % secret)
    require_refusals(context, lines)


@chapter.play(
    "paths.neighbour",
    "HFTP-8.1",
    "A file next to the directory, whose name starts with the directory's name, is not served",
    needs=["outside", "local"],
    isolation=EXCLUSIVE,
    causes=causes.COMPARED_AS_TEXT,
)
def neighbour(context: ScenarioContext) -> None:
    """Create such a file for a while, and request it by relative and absolute paths."""
    directory, above = context.fixtures.directory, context.fixtures.above
    name = os.fsencode(directory.name) + b"-" + secret_of(context).name
    with made(above, name, lambda: above.write(name, [b"Not served.\n"])):
        path, parent = os.fsencode(directory), os.fsencode(directory.parent)
        require_refusal(context, [b"../" + name, parent.rstrip(b"/") + b"/" + name, path + b"/../" + name])


@contextlib.contextmanager
def made(directory: Directory, name: bytes, make: Callable[[], object]) -> Iterator[None]:
    """Have an entry for a while that `make` creates in a directory; raise Incomplete if that fails."""
    try:
        make()
    except OSError as error:
        message = Message("cannot create {name}: {strerror}", name=os.fsdecode(name), strerror=error.strerror)
        raise Incomplete(message) from error
    try:
        yield
    finally:
        directory.remove(name)


_WAYS_UP: Final = (
    *(b"/", b"//", b"../" * 12, b"a/../" + b"../" * 12, b"....//" * 12, b"..././" * 12),
    *(b"..\\" * 12, b"%2e%2e/" * 12, b"..%2f" * 12, b"%2e%2e%2f" * 12, b"file:///"),
)
_KNOWN_FILES: Final = (b"etc/passwd", b"etc/hosts", b"etc/services", b"bin/sh", b"Windows/win.ini")


@chapter.play(
    "paths.known-files",
    "HFTP-8.1",
    "Files that exist on every system are not served, nor their sizes",
    causes=causes.OUTSIDE,
)
def known_files(context: ScenarioContext) -> None:
    """Request them by absolute paths and two dots, except those whose names the server itself serves."""
    controls = [name for file in _KNOWN_FILES for name in (file, file.rpartition(b"/")[2])]
    served = {
        line.partition(b" ")[2].rpartition(b"/")[2]
        for line, _, status in readable_sizes(context, (b"get_metadata " + name for name in controls))
        if status.code == 0
    }
    absent = [file for file in _KNOWN_FILES if file.rpartition(b"/")[2] not in served]
    names = [way + (file.replace(b"/", b"%2f") if b"%2f" in way else file) for file in absent for way in _WAYS_UP]
    for line, size, status in readable_sizes(context, (b"get_metadata " + name for name in names)):
        if status.code == 0 and size:
            raise Failure(
                Kind.STATUS,
                Message("{refusals} for {line}", refusals=_REFUSALS, line=escape(line)),
                Message("{status}, with the size {size}", status=status, size=size),
            )


chapter.transcript(
    "paths.outside-answer",
    "HFTP-8.2",
    "A name that tries to leave the directory: which status the server sends",
    """
    C: get_metadata ../secret
    S: 101|201|202 *
    <in step>
    """,
)

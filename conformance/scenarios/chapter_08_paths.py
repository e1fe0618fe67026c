"""File names: which must work, and what they must not reach, whatever they look like.

The proof that a name leads out of the directory is a file there whose name is random, so that no file inside can be
meant: a server that says 0 has found it. Where the suite cannot write such a file, files that every system has serve.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from conformance.client.client import Client
from conformance.client.recording import escape
from conformance.diagnosis import files as causes
from conformance.failures import Failure, Incomplete
from conformance.fixtures.base import Fixture
from conformance.model.scenario import EXCLUSIVE, Chapter, Kind, ScenarioContext
from conformance.scenarios.answering import COMMANDS, readable_answers, readable_sizes

chapter = Chapter()

_REFUSALS: Final = "a refusal (201, 202 or 101)"
_SHOWN_BYTES: Final = 40
_MISSING: Final = b"hftp-conformance-no-such-file"


def require_refusal(context: ScenarioContext, names: Iterable[bytes], commands: Sequence[bytes] = COMMANDS) -> None:
    """Ask for the size and for bytes by each name; raise Failure if one is told or served."""
    require_refusals(context, (command % name for name in names for command in commands))


def require_refusals(context: ScenarioContext, lines: Iterable[bytes]) -> None:
    """Send lines; raise Failure if the status of one is 0. What has no readable status line serves nothing."""
    for line, client, status in readable_answers(context, lines):
        if status.code == 0:
            following = _following(client)
            _require_distinction(context, line)
            raise Failure(Kind.STATUS, f"{_REFUSALS} to {escape(line)}", f"{status}, and then {following}")


def _require_distinction(context: ScenarioContext, line: bytes) -> None:
    """Raise Incomplete if a name that no file has is answered by 0, too: then a 0 does not show what is served."""
    control = next(command for command in COMMANDS[::-1] if command.startswith(line[: line.find(b" ")])) % _MISSING
    for _, _, status in readable_answers(context, [control]):
        if status.code == 0:
            message = f"the server answers {escape(control)}, a file that does not exist, by 0 as well"
            raise Incomplete(message)


def _following(client: Client) -> str:
    """Return the beginning of what follows a status line, for people."""
    client.half_close()
    with contextlib.suppress(Failure):
        for piece in client.read_pieces(_SHOWN_BYTES, "what follows"):
            return escape(piece[:_SHOWN_BYTES])
    return "nothing"


# --- Out of the directory ----------------------------------------------------------------------------

_Names = Callable[[bytes, bytes, bytes], Sequence[bytes]]
"""Gives names for a secret's name, the served directory's path, and a name of a file or a directory in it."""

_ESCAPES: Final[tuple[tuple[str, str, _Names], ...]] = (
    ("parent", "Two dots", lambda secret, _at, _in: [b"../" + secret]),
    (
        "parents",
        "Two dots, many times",
        lambda secret, at, _in: [
            b"../../" + at.split(b"/")[-2] + b"/" + secret,
            b"../" * 30 + at.rpartition(b"/")[0].lstrip(b"/") + b"/" + secret,
            b"../" + at.rpartition(b"/")[2] + b"/../" + secret,
        ],
    ),
    (
        "down-and-up",
        "Two dots after a name that is fine",
        lambda secret, _at, inside: [
            inside + b"/../../" + secret,
            b"no-such-directory/../../" + secret,
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
        "Two dots that are left when two dots are removed",
        lambda secret, _at, _in: [b"....//" + secret, b"..././" + secret, b".../...//" + secret],
    ),
    (
        "encoded",
        "Two dots as URLs encode them",
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
        "Two dots and a backslash",
        lambda secret, _at, _in: [b"..\\" + secret, b".\\..\\" + secret, b"..\\/" + secret, b"..%5c" + secret],
    ),
    (
        "trailing",
        "Two dots, and something after the name",
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
        "A way through /proc",
        lambda secret, at, _in: [
            b"/proc/self/root" + at.rpartition(b"/")[0] + b"/" + secret,
            b"../" * 30 + b"proc/self/root" + at.rpartition(b"/")[0] + b"/" + secret,
        ],
    ),
)


def secret_of(context: ScenarioContext) -> Fixture:
    """Return the file outside the directory; raise Incomplete if there is none."""
    if context.fixtures.secret is None:
        message = "needs a file outside the served directory (--serve, or --fixtures DIR)"
        raise Incomplete(message)
    return context.fixtures.secret


def _served(context: ScenarioContext) -> bytes:
    return os.fsencode(context.fixtures.directory.resolve())


def _add_escape(slug: str, what: str, names: _Names) -> None:
    """Add a scenario that tries to leave the directory in one way."""

    @chapter.play(
        f"paths.{slug}",
        "HFTP-8.1",
        f"{what}: nothing outside is told or served",
        needs=["outside", "subdirectory"],
        causes=causes.OUTSIDE,
    )
    def refused(context: ScenarioContext) -> None:
        inside = context.fixture("subdirectory").name
        require_refusal(context, names(secret_of(context).name, _served(context), inside))

    refused.__doc__ = f"Ask for a file outside. {what}."


for _escape in _ESCAPES:
    _add_escape(*_escape)


@chapter.play(
    "paths.size-outside",
    "HFTP-8.1",
    "get_metadata does not tell the size of a file outside",
    needs=["outside", "subdirectory"],
    causes=causes.SIZE_OUTSIDE,
)
def size_outside(context: ScenarioContext) -> None:
    """Ask for sizes alone."""
    secret, at, inside = secret_of(context).name, _served(context), context.fixture("subdirectory").name
    require_refusal(context, (name for _, _, names in _ESCAPES for name in names(secret, at, inside)), COMMANDS[:1])


@chapter.play(
    "paths.nul",
    "HFTP-8.1",
    "A NUL in a name leads nowhere",
    needs=["outside", "text"],
    causes=causes.CUT_AT_NUL,
)
def nul(context: ScenarioContext) -> None:
    """Put a NUL behind, before and between what is good and what is not; a server may drop the connection."""
    secret, text = secret_of(context).name, context.fixture("text").name
    names = (b"../%b\0" % secret, b"../%b\0.txt" % secret, b"%b\0/../../%b" % (text, secret), b"\0../" + secret)
    with contextlib.suppress(Incomplete):  # to drop the connection is an answer of a kind, and judged elsewhere
        require_refusal(context, names)


@chapter.play(
    "paths.spaces",
    "HFTP-8.1",
    "A space around a name that leads out does not help it",
    needs=["outside"],
    causes=causes.OUTSIDE,
)
def spaces(context: ScenarioContext) -> None:
    """Put spaces where they do not belong; an answer of any kind is right, except for 0."""
    secret = secret_of(context).name
    lines = (b"get_metadata  ../" + secret, b"get_metadata ../%b " % secret, b"get_slice  ../%b 0 1" % secret)
    require_refusals(context, lines)


@chapter.play(
    "paths.neighbour",
    "HFTP-8.1",
    "A file beside the directory is not served, though its name begins like the directory's",
    needs=["outside", "local"],
    isolation=EXCLUSIVE,
    causes=causes.COMPARED_AS_TEXT,
)
def neighbour(context: ScenarioContext) -> None:
    """Put a file there for a while, and ask for it by relative and absolute paths."""
    directory = context.fixtures.directory.resolve()
    path = directory.with_name(f"{directory.name}-{secret_of(context).name.decode('latin-1')}")
    with made(path, lambda: path.write_bytes(b"Not served.\n")):
        name = os.fsencode(path.name)
        require_refusal(context, [b"../" + name, os.fsencode(path), os.fsencode(directory) + b"/../" + name])


@contextlib.contextmanager
def made(path: Path, make: Callable[[], object]) -> Iterator[None]:
    """Have a thing for a while; raise Incomplete if it cannot be made."""
    try:
        make()
    except OSError as error:
        message = f"cannot make {path.name}: {error.strerror}"
        raise Incomplete(message) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


_WAYS_UP: Final = (
    *(b"/", b"//", b"../" * 12, b"a/../" + b"../" * 12, b"....//" * 12, b"..././" * 12),
    *(b"..\\" * 12, b"%2e%2e/" * 12, b"..%2f" * 12, b"%2e%2e%2f" * 12, b"file:///"),
)
_KNOWN_FILES: Final = (b"etc/passwd", b"etc/hosts", b"etc/services", b"bin/sh", b"Windows/win.ini")


@chapter.play(
    "paths.known-files", "HFTP-8.1", "Files that every system has are not told or served", causes=causes.OUTSIDE
)
def known_files(context: ScenarioContext) -> None:
    """Ask for them by absolute paths and by two dots, unless the server holds files of their names itself."""
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
            raise Failure(Kind.STATUS, f"{_REFUSALS} to {escape(line)}", f"{status}, and the size {size}")


chapter.transcript(
    "paths.outside-answer",
    "HFTP-8.2",
    "A name that tries to leave the directory: which answer",
    """
    C: get_metadata ../secret
    S: 101|201|202 *
    <in step>
    """,
)

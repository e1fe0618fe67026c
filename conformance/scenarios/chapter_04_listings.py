"""get_file_listing: every file exactly once, and always current."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from conformance.client.client import Client
from conformance.client.recording import escape
from conformance.diagnosis import files as causes
from conformance.failures import Failure, Incomplete
from conformance.fixtures.interrupts import uninterrupted
from conformance.fixtures.safe_directory import Directory
from conformance.language import Message
from conformance.model.scenario import EXCLUSIVE, Cause, Chapter, Kind, ScenarioContext

chapter = Chapter()

_KEYS: Final = ("text", "one", "empty", "binary", "bytes", "long-name", "names", "no-extension", "medium", "large")


def list_files(client: Client) -> list[bytes]:
    """Request a listing, require 0, and return the names."""
    client.send_line("get_file_listing")
    client.status(0)
    return client.listing()


def _require_once(names: list[bytes], wanted: bytes) -> None:
    """Require that a name is listed exactly once."""
    if (count := names.count(wanted)) != 1:
        others = (
            Message("{count} other lines, the first: {names}", count=len(names), names=escape(names[0]))
            if names
            else Message("no names")
        )
        raise Failure(
            Kind.BODY,
            Message("the line {wanted} once", wanted=escape(wanted)),
            Message("it {count} times", count=count) if count else others,
        )


@chapter.play(
    "listings.form",
    "HFTP-4.1",
    "A listing is a status of 0, one name per line, and an empty line",
    needs=["text"],
    causes=causes.LISTING_FORM,
)
def form(context: ScenarioContext) -> None:
    """Check that an existing file is a line of the listing, and that the next reply follows the listing."""
    client = context.connect()
    names = list_files(client)
    if context.fixture("text").name not in names:
        got = escape(b"".join(name + b"\r\n" for name in names[:3])) or Message("no names")
        raise Failure(Kind.BODY, Message("the line {name}", name=escape(context.fixture("text").name)), got)
    client.in_step()


chapter.transcript(
    "listings.then-others",
    "HFTP-4.1",
    "Nothing comes between a listing and the next reply",
    """
    C: get_file_listing
    C: get_metadata {text}
    C: get_file_listing
    C: get_file_listing
    S: 0 *
    S: <listing>
    S: 0 *
    S: {text.size}
    S: 0 *
    S: <listing>
    S: 0 *
    S: <listing>
    <in step>
    """,
    causes=causes.LISTING_FORM,
)


@chapter.play(
    "listings.empty-directory",
    "HFTP-4.2",
    "The listing of an empty directory is a status of 0 and an empty line",
    needs=["local"],
    isolation=EXCLUSIVE,
    causes=causes.LISTING_EMPTY,
)
def empty_directory(context: ScenarioContext) -> None:
    """Empty the directory for a while, and require exactly one CR LF between two status lines."""
    with context.fixtures.emptied():
        client = context.connect()
        if names := list_files(client):
            raise Failure(
                Kind.BODY,
                Message("no names"),
                Message("{count}, the first: {names}", count=len(names), names=escape(names[0])),
            )
        client.send_line(context.words.unknown)
        try:
            client.status(200, 201, 202)
        except Failure as failure:
            if failure.kind is Kind.MALFORMED and not failure.got:
                expected = Message("one empty line, and then the reply to the next command")
                raise Failure(Kind.EXTRA, expected, Message("a second empty line")) from failure
            raise
        client.finish()


@chapter.play(
    "listings.one-file",
    "HFTP-4.3",
    "The listing of a directory with one file contains only its name",
    needs=["local"],
    isolation=EXCLUSIVE,
    causes=causes.LISTING_FRESH,
)
def one_file(context: ScenarioContext) -> None:
    """Leave only one file in the directory for a while."""
    name = context.words.name("alone")
    with context.fixtures.emptied(), context.fixtures.added({name: b"alone"}):
        client = context.connect()
        names = list_files(client)
        if names != [name]:
            raise Failure(Kind.BODY, Message("only {name}", name=name.decode()), escape(b", ".join(names)))
        client.in_step()


@chapter.play(
    "listings.has-all",
    "HFTP-4.3",
    "Every kind of file is listed once: text, binary, large, one byte, with a name of 255 bytes",
    needs=["own-files", *_KEYS],
    causes=causes.LISTING_WHOLE,
)
def has_all(context: ScenarioContext) -> None:
    """Check the name of every file that the suite created."""
    names = list_files(context.connect())
    for key in _KEYS:
        _require_once(names, context.fixture(key).name)


def _add_listed(key: str, what: str, cause: Cause) -> None:
    """Add a scenario: a certain file is listed."""

    @chapter.play(
        f"listings.has-{key}",
        "HFTP-4.3",
        f"{what} is listed exactly once",
        needs=[key],
        causes=causes.LISTING_WHOLE | {Kind.BODY: cause},
    )
    def listed(context: ScenarioContext) -> None:
        """Check its name in the listing."""
        _require_once(list_files(context.connect()), context.fixture(key).name)


for _row in (
    ("empty", "An empty file", causes.EMPTY_LEFT_OUT),
    ("names", "A name with capitals", causes.LOWERED),
    ("no-extension", "A file without an extension", causes.ONLY_WITH_DOTS),
):
    _add_listed(*_row)


@chapter.play("listings.no-doubles", "HFTP-4.3", "No name is listed twice")
def no_doubles(context: ScenarioContext) -> None:
    """Count the names."""
    counts = Counter(list_files(context.connect()))
    if doubled := sorted(name for name, count in counts.items() if count > 1):
        raise Failure(
            Kind.BODY,
            Message("each name once"),
            Message("{name} {count} times", name=escape(doubled[0]), count=counts[doubled[0]]),
        )


@chapter.play("listings.twice", "HFTP-4.3", "Listings of an unchanged directory are the same", needs=["own-files"])
def twice(context: ScenarioContext) -> None:
    """Request two listings on one connection, and one on another."""
    client = context.connect()
    first, second = Counter(list_files(client)), Counter(list_files(client))
    third = Counter(list_files(context.connect()))
    for other in (second, third):
        if other != first:
            changed = sorted((first - other) + (other - first))
            raise Failure(
                Kind.BODY,
                Message("the same names in each listing"),
                Message("a difference: {changed}", changed=escape(changed[0])),
            )


@contextlib.contextmanager
def _many_files(context: ScenarioContext, names: list[bytes]) -> Iterator[None]:
    """Create many files for a while: one file, and hard links to it, which is much faster."""
    first, *others = names
    with context.fixtures.added({first: b"."}):
        served = context.fixtures.served
        try:
            _put_all(served, others, first)
            yield
        finally:
            with uninterrupted():
                for name in others:
                    served.remove(name)


def _put_all(served: Directory, names: list[bytes], original: bytes) -> None:
    try:
        for name in names:
            _put(served, name, original)
    except OSError as error:
        message = Message("cannot create {count} files: {strerror}", count=len(names), strerror=error.strerror)
        raise Incomplete(message) from error


def _put(served: Directory, name: bytes, original: bytes) -> None:
    try:
        served.link_hard(name, original)
    except OSError:  # a file system without hard links
        served.write(name, [b"."])


def _add_many(slug: str, title: str, number: int, suffix: str, size: int = 0) -> None:
    """Add a scenario: all of many files are listed."""

    @chapter.play(
        f"listings.{slug}",
        "HFTP-4.3",
        title,
        needs=["local"],
        isolation=EXCLUSIVE,
        timeouts=30.0,
        causes=causes.LISTING_WHOLE,
    )
    def many(context: ScenarioContext) -> None:
        """Add them, compare the listing with them, and remove them."""
        names = [context.words.name(slug, suffix % row).ljust(size, b"x") for row in range(number)]
        with _many_files(context, names):
            client = context.connect()
            listed = list_files(client)
            found = set(listed)
            missing = [name for name in names if name not in found]
            if missing:
                got = Message(
                    "{count} of them, without {missing}", count=len(names) - len(missing), missing=escape(missing[0])
                )
                raise Failure(Kind.BODY, Message("{count} names", count=len(names)), got)
            if len(listed) != len(found):
                raise Failure(
                    Kind.BODY, Message("each name once"), Message("{count} names twice", count=len(listed) - len(found))
                )
            client.in_step()


_add_many("files-1000", "All 1,000 files are listed", 1000, "-%04d.txt")
_add_many("files-10000", "All 10,000 files are listed", 10_000, "-%05d.txt")
_add_many("files-200-long", "All 200 files with names of 255 bytes are listed", 200, "-%03d-", 255)

# --- Changes -----------------------------------------------------------------------------------------


@chapter.play(
    "listings.fresh",
    "HFTP-4.3",
    "An added file is listed at once, and a removed one is not",
    needs=["local"],
    isolation=EXCLUSIVE,
    causes=causes.LISTING_FRESH,
)
def fresh(context: ScenarioContext) -> None:
    """Add and remove a file between listings on one connection, and check on another one, too."""
    name = context.words.name("fresh")
    client = context.connect()
    for _ in range(2):
        if name in list_files(client):
            raise Failure(
                Kind.BODY,
                Message("a listing without {name}, which does not exist", name=name.decode()),
                Message("a listing with it"),
            )
        with context.fixtures.added({name: b"fresh"}):
            _require_once(list_files(client), name)
    if name in list_files(client):
        raise Failure(
            Kind.BODY,
            Message("a listing without {name}, which was removed", name=name.decode()),
            Message("a listing with it"),
        )
    with context.fixtures.added({name: b"fresh"}):
        _require_once(list_files(context.connect()), name)

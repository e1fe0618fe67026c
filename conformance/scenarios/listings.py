"""get_file_listing: every file once, however many there are, nothing that cannot be fetched, and as it is now."""

from typing import Final

from conformance.client import Client
from conformance.failure import Failure, Incomplete
from conformance.fixtures import MARKER, Fixture
from conformance.record import shown
from conformance.scenario import EXCLUSIVE, Chapter, Kind, Stage

chapter = Chapter()

_KEYS: Final = ("text", "one", "empty", "binary", "bytes", "long-name", "names", "no-extension", "medium", "large")
_ASKED_NAMES: Final = 300
"""How many names of a listing are asked for."""
_MARKER: Final = MARKER.encode()

_FORM: Final = {
    Kind.TIMEOUT: "the empty line that ends the listing is missing",
    Kind.MALFORMED: "the names are joined by \\n; each line ends in CR LF",
    Kind.BODY: "the lines are not names alone: they hold several names, sizes, or what ls -l shows",
    Kind.EXTRA: "something follows the empty line that ends the listing",
}
_COMPLETE: Final = {
    Kind.BODY: "the listing is cut at the size of a buffer, filtered, or changed on its way (lower case, no extension)",
    Kind.TIMEOUT: "the end of the listing is cut off: send() takes less than it is given, use sendall()",
    Kind.MALFORMED: "the listing is cut in the middle of a name",
}
_STALE: Final = {Kind.BODY: "the directory is read once, at the start; it has to be read each time"}


def _listed(client: Client) -> list[bytes]:
    client.say("get_file_listing")
    client.status(0)
    return client.listing()


def _require_once(names: list[bytes], wanted: bytes) -> None:
    """Require a name, once."""
    if (count := names.count(wanted)) != 1:
        got = f"it {count} times" if count else f"{len(names)} other lines"
        raise Failure(Kind.BODY, f"the line {shown(wanted)}, once", f"{got}, the first: {shown(b''.join(names[:1]))}")


@chapter.play(
    "listings.form",
    "HFTP-4.1",
    "A listing is 0, one name a line, and an empty line",
    needs=["text"],
    causes=_FORM,
)
def form(stage: Stage) -> None:
    """Look for a file that is there as a line of the listing, and for the next reply behind it."""
    client = stage.connect()
    names = _listed(client)
    if stage.fixture("text").name not in names:
        got = shown(b"".join(name + b"\r\n" for name in names[:3])) or "no names"
        raise Failure(Kind.BODY, f"the line {shown(stage.fixture('text').name)}", got)
    client.in_step()


chapter.transcript(
    "listings.then-others",
    "HFTP-4.1",
    "A listing ends where the next reply begins",
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
    causes=_FORM,
)


@chapter.play(
    "listings.empty-directory",
    "HFTP-4.2",
    "The listing of an empty directory is 0 and an empty line",
    needs=["local"],
    isolation=EXCLUSIVE,
    causes={
        Kind.STATUS: "an empty directory is taken for an error: `if not names`",
        Kind.TIMEOUT: "the empty line that ends the listing is missing when there are no names",
        Kind.EXTRA: "no names give one line end too many",
        Kind.MALFORMED: "joining no names gives no line end, or one too many",
        Kind.BODY: "the directory is read once, at the start; it has to be read each time",
    },
)
def empty_directory(stage: Stage) -> None:
    """Move everything out of the way for a while."""
    with stage.fixtures.emptied():
        client = stage.connect()
        names = [name for name in _listed(client) if name != _MARKER]
        if names:
            raise Failure(Kind.BODY, "no names", f"{len(names)}: {shown(names[0])}")
        client.in_step()


@chapter.play(
    "listings.one-file",
    "HFTP-4.3",
    "The listing of a directory with one file is its name",
    needs=["local"],
    isolation=EXCLUSIVE,
    causes=_STALE,
)
def one_file(stage: Stage) -> None:
    """Leave one file alone in the directory."""
    with stage.fixtures.emptied(), stage.fixtures.added({b"alone.txt": b"alone"}):
        client = stage.connect()
        names = [name for name in _listed(client) if name != _MARKER]
        if names != [b"alone.txt"]:
            raise Failure(Kind.BODY, "alone.txt and nothing else", shown(b", ".join(names)))
        client.in_step()


def _add_listed(key: str) -> None:
    """Add a scenario: this file is listed."""

    @chapter.play(
        f"listings.has-{key}",
        "HFTP-4.3",
        f"{_WHATS[key]} is listed, once",
        needs=[key],
        causes=_COMPLETE,
    )
    def listed(stage: Stage) -> None:
        """Look for its name."""
        _require_once(_listed(stage.connect()), stage.fixture(key).name)


_WHATS: Final = {
    "text": "A text file",
    "one": "A file of one byte",
    "empty": "An empty file",
    "binary": "A binary file",
    "long-name": "A file with a name of 255 bytes",
    "names": "A file with every kind of character in its name, spelled as it is,",
    "no-extension": "A file without an extension",
    "large": "A large file",
}
for _key in _WHATS:
    _add_listed(_key)


@chapter.play(
    "listings.no-doubles", "HFTP-4.3", "No name is listed twice", causes={Kind.BODY: "two readings are put together"}
)
def no_doubles(stage: Stage) -> None:
    """Count the names."""
    names = _listed(stage.connect())
    if doubled := sorted({name for name in names if names.count(name) > 1}) if len(names) < 5000 else []:  # noqa: PLR2004  (squared)
        raise Failure(Kind.BODY, "each name once", f"{shown(doubled[0])} more often")


@chapter.play("listings.twice", "HFTP-4.3", "Two listings of the same files are the same", needs=["own-files"])
def twice(stage: Stage) -> None:
    """List twice on a connection, and once on another."""
    client = stage.connect()
    first, second = sorted(_listed(client)), sorted(_listed(client))
    third = sorted(_listed(stage.connect()))
    for other in (second, third):
        if other != first:
            changed = sorted(set(first) ^ set(other)) or other
            raise Failure(
                Kind.BODY,
                "the same names again",
                f"another listing: {shown(changed[0])}",
                "the listing grows or shrinks",
            )


def _add_many(slug: str, title: str, names: list[bytes]) -> None:
    """Add a scenario: so many files are all listed."""

    @chapter.play(
        f"listings.{slug}",
        "HFTP-4.3",
        title,
        needs=["local"],
        isolation=EXCLUSIVE,
        patiences=30.0,
        causes=_COMPLETE | {Kind.STATUS: "a listing that does not fit somewhere is an error"},
    )
    def many(stage: Stage) -> None:
        """Add them, compare the listing with what is there, and take them away again."""
        with stage.fixtures.added(dict.fromkeys(names, b".")):
            client = stage.connect()
            listed = _listed(client)
            found = set(listed)
            missing = [name for name in names if name not in found]
            if missing:
                got = f"{len(names) - len(missing)} of them; not there: {shown(missing[0])}"
                raise Failure(Kind.BODY, f"{len(names)} names", got)
            if len(listed) != len(found):
                raise Failure(Kind.BODY, "each name once", f"{len(listed) - len(found)} names twice")
            client.in_step()


_add_many("files-1000", "1,000 files are all listed", [b"hftp-many-%04d.txt" % number for number in range(1000)])
_add_many("files-10000", "10,000 files are all listed", [b"hftp-many-%05d.txt" % number for number in range(10_000)])
_add_many(
    "files-200-long",
    "200 files with names of 255 bytes are all listed",
    [(b"hftp-long-%03d-" % number).ljust(255, b"x") for number in range(200)],
)

# --- Only what can be fetched ------------------------------------------------------------------------

_UNFETCHABLE: Final = {
    Kind.BODY: "everything that the directory has is listed: leave out what no command can ask for",
    Kind.STATUS: "everything that the directory has is listed: leave out what get_metadata and get_slice refuse",
    Kind.CLOSED: "something is listed, and asking for it makes the server fail",
    Kind.RESET: "something is listed, and asking for it makes the server fail",
}


def _require_fetchable(client: Client, name: bytes) -> None:
    """Require size and beginning of a file that was listed."""
    if b" " in name or not name:
        raise Failure(Kind.BODY, "names that a command can hold", shown(name) + ", which has a space")
    client.say(b"get_metadata " + name)
    status = client.status()
    if status.code != 0:
        raise Failure(Kind.STATUS, f"0 for {shown(name)}, which is listed", str(status))
    size = client.size()
    client.say(b"get_slice %b 0 %d" % (name, min(size, 10)))
    status = client.status()
    if status.code != 0:
        raise Failure(Kind.STATUS, f"0 for a slice of {shown(name)}, which is listed", str(status))
    client.slice(None, 0, min(size, 10))


@chapter.play(
    "listings.all-fetchable",
    "HFTP-4.5",
    "Everything that is listed can be fetched",
    patiences=30.0,
    causes=_UNFETCHABLE,
)
def all_fetchable(stage: Stage) -> None:
    """Ask for the size and the first bytes of each name."""
    client = stage.connect()
    names = _listed(client)
    if not names:
        message = "no files are listed"
        raise Incomplete(message)
    for name in names if len(names) <= _ASKED_NAMES else stage.random.sample(names, _ASKED_NAMES):
        _require_fetchable(client, name)
    client.finish()


for _key, _what in (
    ("subdirectory", "A directory"),
    ("inner", "A file in a subdirectory"),
    ("spaced", "A name with a space"),
    ("link-inside", "A link to a file"),
    ("link-outside", "A link that leads out of the directory"),
    ("unreadable", "A file that the server cannot read"),
    ("hidden", "A file whose name begins with a dot"),
):

    @chapter.play(
        f"listings.only-fetchable-{_key}",
        "HFTP-4.5",
        f"{_what} is not listed, unless it can be fetched",
        needs=["local", _key],
        causes=_UNFETCHABLE,
    )
    def only_fetchable(stage: Stage, key: str = _key) -> None:
        """Look for it under the names that it could be listed by."""
        thing: Fixture = stage.fixture(key)
        client = stage.connect()
        wanted = {thing.name, thing.name + b"/", b"./" + thing.name, thing.name.rpartition(b"/")[2]}
        found = [name for name in _listed(client) if name in wanted]
        for name in found:
            _require_fetchable(client, name)
        client.in_step()
        stage.saw(f"listed, and can be fetched: {shown(found[0])}" if found else "not listed")


# --- As it is now ------------------------------------------------------------------------------------


@chapter.play(
    "listings.fresh",
    "HFTP-4.3",
    "A file that was added is listed at once, and one that was removed is not",
    needs=["local"],
    isolation=EXCLUSIVE,
    causes=_STALE,
)
def fresh(stage: Stage) -> None:
    """Add and remove a file between the listings of one client, and look as another client too."""
    name = b"hftp-conformance-fresh.txt"
    client = stage.connect()
    for _ in range(2):
        if name in _listed(client):
            raise Failure(Kind.BODY, f"no {name.decode()}, which is not there", "it is listed")
        with stage.fixtures.added({name: b"fresh"}):
            _require_once(_listed(client), name)
    if name in _listed(client):
        raise Failure(Kind.BODY, f"no {name.decode()}, which was removed", "it is listed")
    with stage.fixtures.added({name: b"fresh"}):
        _require_once(_listed(stage.connect()), name)


# --- Choices -----------------------------------------------------------------------------------------


@chapter.play("listings.order", "HFTP-4.4", "In which order the names come")
def order(stage: Stage) -> None:
    """Compare the order with some that are usual."""
    names = _listed(stage.connect())
    for what, usual in (
        ("by their bytes", sorted(names)),
        ("without regard to case", sorted(names, key=bytes.lower)),
        ("backwards", sorted(names, reverse=True)),
    ):
        if names == usual:
            stage.saw(f"sorted {what}")
            return
    stage.saw("in no order that is known here")


@chapter.play(
    "listings.dot-files",
    "HFTP-4.6",
    "Whether files whose names begin with a dot are listed and served",
    needs=["local", "hidden"],
)
def dot_files(stage: Stage) -> None:
    """Look for one in the listing, and ask for it."""
    name = stage.fixture("hidden").name
    client = stage.connect()
    stage.saw("listed" if name in _listed(client) else "not listed")
    client.say(b"get_metadata " + name)
    stage.saw(f"asked for: {client.status()}")

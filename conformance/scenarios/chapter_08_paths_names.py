"""File names inside the directory: those that must work, those that may, and names of directories and FIFOs."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from conformance.client.client import Client, fetch
from conformance.client.recording import escape
from conformance.diagnosis import files as causes
from conformance.failures import Failure, Incomplete
from conformance.language import Message
from conformance.model.scenario import DESTRUCTIVE, EXCLUSIVE, Chapter, Kind, ScenarioContext
from conformance.scenarios.answering import COMMANDS, answers, ask_directory, refusals_of_directory
from conformance.scenarios.chapter_08_paths import made

chapter = Chapter()

# --- Names of directories and FIFOs ------------------------------------------------------------------


@chapter.play(
    "paths.directory",
    "HFTP-5.3",
    "get_metadata of a directory is refused",
    needs=["subdirectory"],
    isolation=DESTRUCTIVE,
    causes=causes.DIRECTORY,
)
def directory(context: ScenarioContext) -> None:
    """Request its size: 202 or 201; before 2026 any status passes."""
    ask_directory(context, b"get_metadata " + context.fixture("subdirectory").name)


@chapter.play(
    "paths.directory-slice",
    "HFTP-5.3",
    "get_slice of a directory is refused",
    needs=["subdirectory"],
    isolation=DESTRUCTIVE,
    causes=causes.DIRECTORY,
)
def directory_slice(context: ScenarioContext) -> None:
    """Request a byte of it: 202, 201 or 199; before 2026 any status passes."""
    ask_directory(context, b"get_slice %b 0 1" % context.fixture("subdirectory").name)


def _add_directory(slug: str, what: str, names: Sequence[bytes], *, is_outside: bool) -> None:
    @chapter.play(
        f"paths.{slug}",
        "HFTP-5.3",
        f"{what} has no size and no slices",
        isolation=DESTRUCTIVE,
        causes=causes.DIRECTORY,
    )
    def refused(context: ScenarioContext) -> None:
        inside = [context.fixture("subdirectory").name + b"/.."] if context.fixtures.has("subdirectory") else []
        ways = names if is_outside else [*names, *inside]
        for line in (command % name for name in ways for command in COMMANDS[::2]):
            client = context.connect()
            client.send_line(line)
            status = client.status()
            client.quit_and_close()
            allowed = refusals_of_directory(context, line)
            if status.code not in allowed or (is_outside and status.code == 0):
                raise Failure(Kind.STATUS, Message("201 or 202 for {line}", line=escape(line)), str(status))

    refused.__doc__ = f"Request it: {what}. Before 2026 any status passes{' except 0' * is_outside}."


_add_directory("itself", "The served directory itself", (b".", b"./", b"./."), is_outside=False)
_add_directory(
    "above", "A parent of the served directory", (b"..", b"../", b"/", b"//", b"../..", b"/.."), is_outside=True
)


@chapter.play(
    "paths.fifo",
    "HFTP-5.3",
    "A FIFO has no slices and does not block the server",
    needs=["local"],
    isolation=DESTRUCTIVE,
    causes=causes.FIFO,
)
def fifo(context: ScenarioContext) -> None:
    """Create one for a while, and request its size and a byte; any reply without a byte passes.

    A server that is blocked in open() is released at the end.
    """
    served, name = context.fixtures.served, context.words.name("fifo", "")
    with made(served, name, lambda: served.make_fifo(name)):
        try:
            for line, client, status in answers(context, (command % name for command in COMMANDS[::2])):
                if status.code == 0 and line.startswith(b"get_slice"):
                    raise Failure(Kind.STATUS, Message("201 or 202 for {line}", line=escape(line)), str(status))
                if status.code == 0:
                    client.size()
        finally:
            served.release_fifo(name)


# --- Names that must work ----------------------------------------------------------------------------

for _key, _slug, _what in (
    ("names", "alphabet", "A name of upper- and lower-case letters, digits, dots, hyphens and underscores"),
    ("no-extension", "no-extension", "A name in capitals without a dot"),
):
    chapter.transcript(
        f"paths.{_slug}",
        "HFTP-8.6",
        f"{_what} works",
        f"""
        C: get_metadata {{{_key}}}
        C: get_slice {{{_key}}} 0 {{{_key}.size}}
        S: 0 *
        S: <size {_key}>
        S: 0 *
        S: <slice {_key} 0 {{{_key}.size}}>
        <in step>
        """,
        causes=causes.NAME_REFUSED,
    )

_WORKING: Final = (
    *(
        b"a..b",
        b"a.",
        b"a...",
        b"x.tar.gz",
        b"1",
        b"0",
        b"007",
        b"-1",
        b"-",
        b"--",
        b"--help",
        b"-rf",
        b"_",
        b"__init__",
    ),
    *(b"quit", b"help", b"get_metadata", b"raw", b"CON", b"nul.txt", b"UPPER.TXT", b"MiXeD.TxT", b"a-b_c.d", b"e2e2"),
)


@chapter.play(
    "paths.odd-names",
    "HFTP-8.6",
    "Names that look like numbers, options, commands or devices work",
    needs=["local"],
    isolation=EXCLUSIVE,
    causes=causes.NAME_REFUSED,
)
def odd_names(context: ScenarioContext) -> None:
    """Create such files for a while, and fetch each."""
    with context.fixtures.added({name: b"I am " + name for name in _WORKING}):
        client = context.connect()
        for name in _WORKING:
            _require_whole(client, name, b"I am " + name)
        client.finish()


@chapter.play(
    "paths.case",
    "HFTP-8.6",
    "Names that differ only in case are different files",
    needs=["local"],
    isolation=EXCLUSIVE,
    causes={Kind.BODY: "names are compared case-insensitively"},
)
def case(context: ScenarioContext) -> None:
    """Create three such files for a while, if the file system is case-sensitive."""
    name = context.words.name("case")
    files = {name: b"lower", name.upper(): b"UPPER", name.capitalize(): b"Mixed case"}
    with context.fixtures.added(files):
        served = context.fixtures.served
        if any(served.read(name, len(data) + 1) != data for name, data in files.items()):
            message = Message("needs a case-sensitive file system")
            raise Incomplete(message)
        client = context.connect()
        for name, data in files.items():
            _require_whole(client, name, data)
        client.finish()


def _require_whole(client: Client, name: bytes, data: bytes) -> None:
    """Require the size and the whole content of a file."""
    client.send_line(b"get_metadata " + name)
    client.status(0, cause=f"the name {escape(name)} is refused or not found")
    if (size := client.size()) != len(data):
        raise Failure(Kind.BODY, Message("the size {count} for {name}", count=len(data), name=escape(name)), str(size))
    got = fetch(client, name, 0, len(data)).data
    if got != data:
        raise Failure(Kind.BODY, Message("the bytes of {name}", name=escape(name)), escape(got))


# --- Names that may work -----------------------------------------------------------------------------


def _report(context: ScenarioContext, names: Iterable[bytes]) -> None:
    """Request sizes, and report the replies."""
    for line, client, status in answers(context, (b"get_metadata " + name for name in names)):
        name = line.partition(b" ")[2]
        served = Message("served, {size} bytes", size=client.size()) if status.code == 0 else str(status)
        context.observe(Message("{name}: {served}", name=escape(name), served=served))


def _add_choice(slug: str, requirement: str, title: str, key: str, names: Callable[[bytes], Sequence[bytes]]) -> None:
    @chapter.play(f"paths.{slug}", requirement, title, needs=[key])
    def reported(context: ScenarioContext) -> None:
        _report(context, names(context.fixture(key).name))

    reported.__doc__ = "Request the size, and report the reply."


for _row in (
    (
        "link-inside",
        "HFTP-8.4",
        "Whether a symbolic link to a file in the directory is served",
        "link-inside",
        lambda name: [name],
    ),
    (
        "inner",
        "HFTP-8.5",
        "Whether a file in a subdirectory is served",
        "inner",
        lambda name: [name, b"./" + name, b"/" + name],
    ),
    (
        "up-and-inside",
        "HFTP-8.5",
        "Whether a path with two dots that stays inside is served",
        "inner",
        lambda name: [name.rpartition(b"/")[0] + b"/../" + name],
    ),
    (
        "dot-slash",
        "HFTP-8.5",
        "Whether a name with a leading ./ is served",
        "text",
        lambda name: [b"./" + name, b".//" + name],
    ),
    (
        "slash-behind",
        "HFTP-8.5",
        "Whether a name with leading or trailing slashes is served",
        "text",
        lambda name: [name + b"/", name + b"/.", b"/" + name],
    ),
    ("hidden", "HFTP-4.6", "Whether a dot-file is served", "hidden", lambda name: [name]),
    ("spaced", "HFTP-8.7", "Whether a name with a space is served", "spaced", lambda name: [name]),
    (
        "globs",
        "HFTP-8.7",
        "Whether glob patterns are expanded",
        "text",
        lambda name: [b"*", b"*.txt", name[:1] + b"?" + name[2:], b"[a-z]*", b"{%b,other}" % name],
    ),
):
    _add_choice(*_row)

_UNUSUAL: Final = (
    b"plus+",
    b"at@",
    b"paren(1)",
    b"a,b",
    b"a:b",
    b"hash#",
    b"quote'",
    b'quote"',
    b"tilde~",
    b"100%",
    b"eq=",
)


@chapter.play(
    "paths.other-characters",
    "HFTP-8.7",
    "Whether names with other characters are served",
    needs=["local"],
    isolation=EXCLUSIVE,
)
def other_characters(context: ScenarioContext) -> None:
    """Create such files for a while, and report which are served."""
    with context.fixtures.added(dict.fromkeys(_UNUSUAL, b"!")):
        _report(context, _UNUSUAL)

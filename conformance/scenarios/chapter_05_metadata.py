"""get_metadata: the current size, on a line of its own."""

from typing import Final

from conformance.client.client import Client, fetch
from conformance.diagnosis import files as causes
from conformance.failures import Failure, Incomplete
from conformance.fixtures.base import SERVABLE
from conformance.fixtures.content import InMemory
from conformance.language import Message
from conformance.model.scenario import EXCLUSIVE, Chapter, Kind, ScenarioContext

chapter = Chapter()

_ASKED_NAMES: Final = 40
"""How many files of a listing to check."""
chapter.transcript(
    "metadata.form",
    "HFTP-5.1",
    "get_metadata is answered with 0 and a line of digits only",
    """
    C: get_metadata {text}
    S: 0 *
    S: <size text>
    <in step>
    """,
    causes=causes.SIZE_FORM,
)

chapter.transcript(
    "metadata.form-of-large",
    "HFTP-5.1",
    "A large size is sent as digits only, without separators or a unit",
    """
    C: get_metadata {large}
    S: 0 *
    S: <size large>
    <in step>
    """,
    causes=causes.SIZE_FORM,
)

chapter.transcript(
    "metadata.form-of-empty",
    "HFTP-5.1",
    "The size of an empty file is the digit 0",
    """
    C: get_metadata {empty}
    S: 0 *
    S: 0
    <in step>
    """,
    causes=causes.SIZE_FORM | {Kind.STATUS: causes.EMPTY_IS_MISSING},
)

chapter.transcript(
    "metadata.pipelined",
    "HFTP-5.1",
    "Each pipelined size is on a line of its own after its status line",
    """
    C: get_metadata {text}
    C: get_metadata {one}
    C: get_metadata {missing}
    C: get_metadata {text}
    S: 0 *
    S: <size text>
    S: 0 *
    S: <size one>
    S: 202 *
    S: 0 *
    S: <size text>
    <in step>
    """,
    causes=causes.SIZES_FORM,
)

for _key, _what in (
    ("text", "a text file"),
    ("one", "a file of one byte"),
    ("empty", "an empty file"),
    ("binary", "a file full of CR, LF and NUL"),
    ("bytes", "a file with all 256 bytes"),
    ("long-name", "a file with a name of 255 bytes"),
    ("names", "a file with every kind of character in its name"),
    ("no-extension", "a file without an extension"),
    ("medium", "a file of some 300,000 bytes"),
    ("large", "a large file"),
):
    chapter.transcript(
        f"metadata.size-of-{_key}",
        "HFTP-5.2",
        f"The size of {_what} is correct",
        f"""
        C: get_metadata {{{_key}}}
        S: 0 *
        S: <size {_key}>
        <in step>
        """,
        causes=causes.SIZE | {Kind.STATUS: causes.found_by_slices(_key)},
    )


def _size_of(client: Client, name: bytes) -> int:
    client.send_line(b"get_metadata " + name)
    client.status(0)
    return client.size()


@chapter.play(
    "metadata.agrees-with-slices",
    "HFTP-5.2",
    "The size of each listed, readable file is the number of bytes that can be fetched",
    timeouts=20.0,
    causes=causes.DISAGREE,
)
def agrees_with_slices(context: ScenarioContext) -> None:
    """Request the last byte of each file, and one byte past the end; skip files that are unreadable or not found.

    Directories, unreadable files and the like may be listed and have a size; other scenarios judge that.
    """
    client = context.connect()
    client.send_line("get_file_listing")
    client.status(0)
    names = [name for name in client.listing() if SERVABLE.fullmatch(name)]
    agreed = 0
    for name in context.random.sample(names, min(len(names), _ASKED_NAMES)):
        if client.latest is not None and client.latest.is_fatal:
            client = context.connect()
        agreed += _agrees(client, name)
    if not agreed:
        message = Message("no listed file can be read")
        raise Incomplete(message)
    if client.latest is None or not client.latest.is_fatal:
        client.finish()


_UNREADABLE: Final = (199, 201, 202)
"""Codes allowed in reply to a slice of an unreadable file or a directory."""


def _agrees(client: Client, name: bytes) -> bool:
    """Compare the size of a file with the end of its slices; return False if it has no size or cannot be read."""
    client.send_line(b"get_metadata " + name)
    if client.status().code != 0:
        return False
    size = client.size()
    for offset, length, wanted in ((max(0, size - 1), min(1, size), 0), (size, 0, 0), (size, 1, 203)):
        client.send_line(b"get_slice %b %d %d" % (name, offset, length))
        status = client.status(wanted, *_UNREADABLE)
        if status.code in _UNREADABLE:
            return False
        if status.code == 0:
            client.slice(None, offset, length)
    return True


for _slug, _what, _before, _after in (
    ("grown", "grew", b"short", b"a good deal longer than it was"),
    ("shrunk", "shrank", b"a good deal longer than it will be", b"short"),
    ("emptied", "was emptied", b"something", b""),
    ("filled", "is no longer empty", b"", b"something"),
    ("rewritten", "was rewritten with the same number of bytes", b"one content", b"another one"),
):

    @chapter.play(
        f"metadata.{_slug}",
        "HFTP-5.2",
        f"A file that {_what} is served with its new size and content at once",
        needs=["local"],
        isolation=EXCLUSIVE,
        causes=causes.CHANGED,
    )
    def changed(context: ScenarioContext, before: bytes = _before, after: bytes = _after) -> None:
        """Change the file between two requests on one connection, and check on another one, too."""
        name = context.words.name("changing")
        with context.fixtures.added({name: before}):
            client = context.connect()
            _check(client, name, before)
            with context.fixtures.added({name: after}):
                _check(client, name, after)
                _check(context.connect(), name, after)

    def _check(client: Client, name: bytes, data: bytes) -> None:
        """Compare size, content and end with those of the file."""
        if (size := _size_of(client, name)) != len(data):
            raise Failure(Kind.BODY, Message("the size {count} after the change", count=len(data)), str(size))
        fetch(client, name, 0, len(data), InMemory(data))
        client.send_line(b"get_slice %b 0 %d" % (name, len(data) + 1))
        client.status(203)


@chapter.play(
    "metadata.replaced",
    "HFTP-5.2",
    "A file replaced by rename() is served with its new content at once",
    needs=["local"],
    isolation=EXCLUSIVE,
    causes=causes.REPLACED,
)
def replaced(context: ScenarioContext) -> None:
    """Rename another file to its name, as editors and installers do."""
    name = context.words.name("changing")
    other = name + b".new"
    with context.fixtures.added({name: b"the old one", other: b"the new one, which is longer"}):
        client = context.connect()
        if (size := _size_of(client, name)) != len(b"the old one"):
            raise Failure(Kind.BODY, Message("the size 11"), str(size))
        context.fixtures.served.rename(other, name)
        if (size := _size_of(client, name)) != len(b"the new one, which is longer"):
            raise Failure(Kind.BODY, Message("the size 28 after the change"), str(size))
        fetch(client, name, 0, 28, InMemory(b"the new one, which is longer"))
        client.finish()


@chapter.play(
    "metadata.removed",
    "HFTP-3.4",
    "A removed file is not found, and is found again once it is back",
    needs=["local"],
    isolation=EXCLUSIVE,
    causes=causes.REMOVED,
)
def removed(context: ScenarioContext) -> None:
    """Request a file before it exists, while it exists, and afterwards."""
    name = context.words.name("changing")
    client = context.connect()
    for _ in range(2):
        client.send_line(b"get_metadata " + name)
        client.status(202)
        with context.fixtures.added({name: b"here"}):
            if (size := _size_of(client, name)) != len(b"here"):
                raise Failure(Kind.BODY, Message("the size 4"), str(size))
    client.send_line(b"get_slice %b 0 1" % name)
    client.status(202)
    client.finish()

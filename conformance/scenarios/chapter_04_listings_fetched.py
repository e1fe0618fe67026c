"""get_file_listing: only files that can be fetched, and choices of the server."""

from typing import Final

from conformance.client.client import Client
from conformance.client.recording import escape
from conformance.diagnosis import files as causes
from conformance.failures import Failure, Incomplete
from conformance.language import Message
from conformance.model.scenario import Chapter, Kind, ScenarioContext
from conformance.scenarios.chapter_04_listings import list_files

chapter = Chapter()

_ASKED_NAMES: Final = 100
"""How many names of a listing to request."""


def _require_fetchable(client: Client, name: bytes) -> bool:
    """Require the size and the first bytes of a listed file; return False if the server rightly closes instead.

    Before 2026 a server may list a file that it cannot read, if it then answers with 199.
    """
    may_be_unreadable = client.dialect != "2026"
    if b" " in name or not name:
        raise Failure(
            Kind.BODY,
            Message("names that are valid arguments"),
            Message("{name}, which has a space", name=escape(name)),
        )
    client.send_line(b"get_metadata " + name)
    status = client.status()
    if status.code == 199 and may_be_unreadable:  # noqa: PLR2004  (a code of the protocol)
        return False
    if status.code != 0:
        raise Failure(Kind.STATUS, Message("0 for {name}, which is listed", name=escape(name)), str(status))
    size = client.size()
    client.send_line(b"get_slice %b 0 %d" % (name, min(size, 10)))
    status = client.status()
    if status.code == 199 and may_be_unreadable:  # noqa: PLR2004  (a code of the protocol)
        return False
    if status.code != 0:
        raise Failure(Kind.STATUS, Message("0 for a slice of {name}, which is listed", name=escape(name)), str(status))
    client.slice(None, 0, min(size, 10))
    return True


@chapter.play(
    "listings.all-fetchable",
    "HFTP-4.5",
    "Every listed file can be fetched",
    timeouts=30.0,
    causes=causes.UNFETCHABLE,
)
def all_fetchable(context: ScenarioContext) -> None:
    """Request the size and the first bytes of each listed file."""
    client = context.connect()
    names = list_files(client)
    if not names:
        message = Message("the listing is empty")
        raise Incomplete(message)
    is_open = True
    for name in names if len(names) <= _ASKED_NAMES else context.random.sample(names, _ASKED_NAMES):
        client = client if is_open else context.connect()
        is_open = _require_fetchable(client, name)
    if is_open:
        client.finish()


for _key, _what in (
    ("subdirectory", "A directory"),
    ("inner", "A file in a subdirectory"),
    ("spaced", "A name with a space"),
    ("link-inside", "A symbolic link to a file in the directory"),
    ("link-outside", "A symbolic link that leads out of the directory"),
    ("unreadable", "A file that the server cannot read"),
    ("hidden", "A dot-file"),
):

    @chapter.play(
        f"listings.only-fetchable-{_key}",
        "HFTP-4.5",
        f"{_what} is listed only if it can be fetched",
        needs=["local", _key],
        causes=causes.UNFETCHABLE,
    )
    def only_fetchable(context: ScenarioContext, key: str = _key) -> None:
        """Search the listing for all its possible names."""
        thing = context.fixture(key)
        client = context.connect()
        wanted = {thing.name, thing.name + b"/", b"./" + thing.name, thing.name.rpartition(b"/")[2]}
        found = [name for name in list_files(client) if name in wanted]
        for name in found:
            if not _require_fetchable(client, name):
                context.observe(Message("listed, but unreadable: {name}", name=escape(name)))
                return
        client.in_step()
        context.observe(
            Message("listed and fetchable: {found}", found=escape(found[0])) if found else Message("not listed")
        )


# --- Choices of the server ---------------------------------------------------------------------------


@chapter.play("listings.order", "HFTP-4.4", "In which order names are listed")
def order(context: ScenarioContext) -> None:
    """Compare the order with common ones."""
    names = list_files(context.connect())
    for what, usual in (
        (Message("by their bytes"), sorted(names)),
        (Message("case-insensitively"), sorted(names, key=bytes.lower)),
        (Message("in reverse"), sorted(names, reverse=True)),
    ):
        if names == usual:
            context.observe(Message("sorted {what}", what=what))
            return
    context.observe(Message("in no particular order"))


@chapter.play(
    "listings.dot-files",
    "HFTP-4.6",
    "Whether dot-files are listed and served",
    needs=["local", "hidden"],
)
def dot_files(context: ScenarioContext) -> None:
    """Search the listing for one, and request it."""
    name = context.fixture("hidden").name
    client = context.connect()
    context.observe(Message("listed") if name in list_files(client) else Message("not listed"))
    client.send_line(b"get_metadata " + name)
    context.observe(f"get_metadata: {client.status()}")

"""get_file_listing: nothing that cannot be fetched, and what a server may do either way."""

from typing import Final

from conformance.client.client import Client
from conformance.client.recording import escape
from conformance.diagnosis import files as causes
from conformance.failures import Failure, Incomplete
from conformance.model.scenario import Chapter, Kind, ScenarioContext
from conformance.scenarios.chapter_04_listings import list_files

chapter = Chapter()

_ASKED_NAMES: Final = 100
"""How many names of a listing are asked for."""


def _require_fetchable(client: Client, name: bytes) -> bool:
    """Require size and beginning of a file that was listed; return False if the server closes instead, rightly.

    Before 2026 a server may list a file that it cannot read, as long as it says so (199).
    """
    may_be_unreadable = client.dialect != "2026"
    if b" " in name or not name:
        raise Failure(Kind.BODY, "names that a command can hold", escape(name) + ", which has a space")
    client.send_line(b"get_metadata " + name)
    status = client.status()
    if status.code == 199 and may_be_unreadable:  # noqa: PLR2004  (a code of the protocol)
        return False
    if status.code != 0:
        raise Failure(Kind.STATUS, f"0 for {escape(name)}, which is listed", str(status))
    size = client.size()
    client.send_line(b"get_slice %b 0 %d" % (name, min(size, 10)))
    status = client.status()
    if status.code == 199 and may_be_unreadable:  # noqa: PLR2004  (a code of the protocol)
        return False
    if status.code != 0:
        raise Failure(Kind.STATUS, f"0 for a slice of {escape(name)}, which is listed", str(status))
    client.slice(None, 0, min(size, 10))
    return True


@chapter.play(
    "listings.all-fetchable",
    "HFTP-4.5",
    "Everything that is listed can be fetched",
    timeouts=30.0,
    causes=causes.UNFETCHABLE,
)
def all_fetchable(context: ScenarioContext) -> None:
    """Ask for the size and the first bytes of each name."""
    client = context.connect()
    names = list_files(client)
    if not names:
        message = "no files are listed"
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
        causes=causes.UNFETCHABLE,
    )
    def only_fetchable(context: ScenarioContext, key: str = _key) -> None:
        """Look for it under the names that it could be listed by."""
        thing = context.fixture(key)
        client = context.connect()
        wanted = {thing.name, thing.name + b"/", b"./" + thing.name, thing.name.rpartition(b"/")[2]}
        found = [name for name in list_files(client) if name in wanted]
        for name in found:
            if not _require_fetchable(client, name):
                context.observe(f"listed, and cannot be read: {escape(name)}")
                return
        client.in_step()
        context.observe(f"listed, and can be fetched: {escape(found[0])}" if found else "not listed")


# --- Choices -----------------------------------------------------------------------------------------


@chapter.play("listings.order", "HFTP-4.4", "In which order the names come")
def order(context: ScenarioContext) -> None:
    """Compare the order with some that are usual."""
    names = list_files(context.connect())
    for what, usual in (
        ("by their bytes", sorted(names)),
        ("without regard to case", sorted(names, key=bytes.lower)),
        ("backwards", sorted(names, reverse=True)),
    ):
        if names == usual:
            context.observe(f"sorted {what}")
            return
    context.observe("in no order that is known here")


@chapter.play(
    "listings.dot-files",
    "HFTP-4.6",
    "Whether files whose names begin with a dot are listed and served",
    needs=["local", "hidden"],
)
def dot_files(context: ScenarioContext) -> None:
    """Look for one in the listing, and ask for it."""
    name = context.fixture("hidden").name
    client = context.connect()
    context.observe("listed" if name in list_files(client) else "not listed")
    client.send_line(b"get_metadata " + name)
    context.observe(f"asked for: {client.status()}")

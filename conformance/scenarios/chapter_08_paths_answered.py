"""A name that is not served is refused by a reply, not by closing the connection."""

from collections.abc import Iterable

from conformance.diagnosis import files as causes
from conformance.failures import Failure
from conformance.model.scenario import Chapter, Kind, ScenarioContext

chapter = Chapter()


def _require_replies(context: ScenarioContext, names: Iterable[bytes]) -> None:
    """Request the size of each name on a connection of its own; raise Failure if there is no reply."""
    for name in names:
        client = context.connect()
        client.send_line(b"get_metadata " + name)
        try:
            client.status()
        except Failure as failure:
            if failure.kind in {Kind.CLOSED, Kind.RESET, Kind.TIMEOUT}:  # others are about the form of a reply
                raise
    context.connect()  # raises Failure if the last name ended the server


@chapter.play(
    "paths.slash-answered",
    "HFTP-8.8",
    "A name with a slash gets a reply",
    causes=causes.REFUSED_SILENTLY,
)
def slash_answered(context: ScenarioContext) -> None:
    """Request files that do not exist, above, below and elsewhere."""
    missing = context.words.missing
    _require_replies(context, [way + missing for way in (b"../", b"/", b"a/", b"./")])


@chapter.play(
    "paths.characters-answered",
    "HFTP-8.8",
    "A name with other characters gets a reply",
    causes=causes.REFUSED_SILENTLY,
)
def characters_answered(context: ScenarioContext) -> None:
    """Request files that do not exist."""
    missing = context.words.missing
    _require_replies(context, [character + missing for character in (b"~", b"+", b"%", b"$", b"*", b"(", b"\\", b"=")])


@chapter.play(
    "paths.link-answered",
    "HFTP-8.8",
    "A symbolic link that leads out of the directory gets a reply",
    needs=["link-outside"],
    causes=causes.REFUSED_SILENTLY,
)
def link_answered(context: ScenarioContext) -> None:
    """Request its size."""
    _require_replies(context, [context.fixture("link-outside").name])

"""What the script of the class's page says: by its English text, in the reader's language."""

from typing import Final

from conformance.language import Message, gettext, ngettext

TEXTS: Final = (
    Message("server"),
    Message("outcome"),
    Message("grade"),
    Message("causes"),
    Message("choices"),
    Message("expected"),
    Message("got"),
    Message("{count} of {total} servers"),
    Message("{count} of {total}"),
    Message("{count} ways"),
    Message("{scenario}: expected {expected}, got {got}"),
    Message("dialect {dialect}"),
    Message("What it printed last"),
    Message("What is wrong"),
    Message("Where points were lost"),
    Message("How to repeat the run"),
    Message("Sort the servers by this"),
    Message("Show only who differs"),
    Message("Who differs, and how"),
    Message("No server fails it."),
    Message("By scenario"),
    Message("Not shown, since something simpler failed"),
)
PLURALS: Final = (
    ("{count} server", "{count} servers"),
    ("{count} more cause", "{count} more causes"),
    ("{count} scenario passed", "{count} scenarios passed"),
    ("{count} scenario showed nothing", "{count} scenarios showed nothing"),
    ("{count} fails", "{count} fail"),
    ("{count} failed", "{count} failed"),
)


def words() -> dict[str, str | list[str]]:
    """Return the texts by their English template; of a pair the forms for one and for more, by the second."""
    found: dict[str, str | list[str]] = {text: gettext(text) for text in TEXTS}
    for one, more in PLURALS:
        found[more] = [ngettext(one, more, count, count="{count}") for count in (1, 2)]
    return found

"""help, and commands beyond those of the dialect."""

from typing import Final

from conformance.client.client import CODES
from conformance.client.recording import escape
from conformance.diagnosis import commands as causes
from conformance.failures import Failure
from conformance.language import Message
from conformance.model.scenario import Cause, Chapter, Kind, ScenarioContext

chapter = Chapter()

_HELP_IS_KNOWN: Final = """
    C: help
    S: 0 *
    """
_NAMES: Final = (b"get_file_listing", b"get_metadata", b"get_slice", b"help", b"quit")


def _helped(context: ScenarioContext) -> list[bytes]:
    client = context.connect()
    client.send_line("help")
    client.status(0)
    names = client.listing()
    client.in_step()
    return names


@chapter.play("commands.help", "HFTP-3.8", "help is answered with 0, names and an empty line", causes=causes.HELP)
def help_form(context: ScenarioContext) -> None:
    """Send help, and one more command."""
    if not _helped(context):
        raise Failure(Kind.BODY, Message("the names of the commands"), Message("none"))


@chapter.play(
    "commands.help-complete",
    "HFTP-3.8",
    "help lists each command once, and only its name",
    causes=causes.HELP
    | {
        Kind.BODY: [
            Cause("a line contains more than a command name", got="[^,] ", seen="a line contains a space"),
            "a command name is missing or listed twice",
        ]
    },
)
def help_complete(context: ScenarioContext) -> None:
    """Compare the names with those in the protocol; a server may have more."""
    names = _helped(context)
    for name in _NAMES:
        if names.count(name) != 1:
            got = b", ".join(names)
            raise Failure(
                Kind.BODY, Message("the line {name} once", name=name.decode()), escape(got) or Message("no names")
            )


@chapter.play(
    "commands.help-usable",
    "HFTP-3.8",
    "Every command that help lists is known",
    causes=causes.HELP
    | {
        Kind.STATUS: [
            Cause("help lists a command that is not implemented", codes=(200,), control=_HELP_IS_KNOWN),
            Cause("help is not implemented", codes=(200,)),
        ]
    },
)
def help_usable(context: ScenarioContext) -> None:
    """Send each name with more arguments than any command takes; any status but 200 passes."""
    for name in _helped(context)[:50]:
        client = context.connect()
        client.send_line(name + b" 1 2 3 4 5 6")
        client.status(*(code for code in CODES if code != 200))  # noqa: PLR2004  (a code of the protocol)


for _slug, _line in (("1", "help get_slice"), ("2", "help help me")):
    chapter.transcript(
        f"commands.help-{_slug}",
        "HFTP-3.8",
        f"{_line} is answered with 201",
        f"""
        C: {_line}
        S: 201 *
        <in step>
        """,
        causes=causes.HELP_ARGUMENTS,
    )

chapter.transcript(
    "commands.help-in-case",
    "HFTP-3.2",
    "HELP is answered with 200 or 101",
    """
    C: HELP
    S: 200|101 *
    <in step>
    """,
    dialects=["2026"],
    causes=causes.ANY_CASE,
)


@chapter.play("commands.more", "HFTP-3.9", "Whether the server knows the additions of 2026: help and raw slices")
def more(context: ScenarioContext) -> None:
    """Send help, and request a raw slice of a missing file."""
    for command in (b"help", b"get_slice %b 0 1 raw" % context.words.missing, context.words.unknown):
        client = context.connect()
        client.send_line(command)
        context.observe(f"{escape(command)}: {client.status()}")

"""Status lines: their form, and what may stand beside them.

Each form is asked on a connection of its own, so that what one reply does wrong is not laid to the next one.
"""

import re
from typing import Final

from conformance.client.client import CODES, UNKNOWN
from conformance.client.recording import escape
from conformance.diagnosis import lines as causes
from conformance.failures import Failure
from conformance.model.scenario import Cause, Chapter, Kind, ScenarioContext

chapter = Chapter()

_MISSING: Final = "hftp-conformance-no-such-file"
_UNKNOWN: Final = UNKNOWN.decode()

_ASKED: Final = (
    ("get_file_listing", "get_file_listing"),
    ("an unknown command", _UNKNOWN),
    ("a command without its arguments", "get_slice"),
    ("a file that does not exist", f"get_metadata {_MISSING}"),
    ("a LF inside a line", "qui\nt"),
    ("quit", "quit"),
)
"""Commands whose answers begin with a status line, whatever files there are."""

_STATUS: Final = re.compile(rb"(?:0|[1-9][0-9]*)(?: .*)?", re.DOTALL)


def _first_lines(context: ScenarioContext) -> list[tuple[str, bytes]]:
    """Return the first line of the reply to each command, each on a connection of its own."""
    found = []
    asked = list(_ASKED)
    if context.fixtures.has("text"):
        text = context.fixture("text")
        asked.insert(-1, ("a slice past the end", f"get_slice {text.name.decode('latin-1')} {text.size} 1"))
    for what, said in asked:
        client = context.connect()
        client.send_line(said)
        found.append((what, client.status_line("a status line")))
    return found


@chapter.play(
    "replies.status-line",
    "HFTP-2.1",
    "Every reply begins with a status line: CODE SP TEXT CR LF",
    causes=causes.STATUS_FORM,
)
def status_line(context: ScenarioContext) -> None:
    """Ask for every kind of reply that needs no file, and look at its first line."""
    for what, line in _first_lines(context):
        if not _STATUS.fullmatch(line):
            raise Failure(Kind.MALFORMED, f"a status line in reply to {what}: CODE SP TEXT CR LF", escape(line))


@chapter.play(
    "replies.known-codes",
    "HFTP-2.2",
    "No reply has a code that the protocol does not know",
    causes={Kind.STATUS: causes.UNKNOWN_CODE},
)
def known_codes(context: ScenarioContext) -> None:
    """Ask for every kind of reply that needs no file, and look at its code alone."""
    expected = "one of the codes " + ", ".join(map(str, CODES))
    for what, line in _first_lines(context):
        found = re.match(rb"[0-9]{1,9}", line)
        if found is None:
            raise Failure(Kind.MALFORMED, f"{expected}, in reply to {what}", escape(line))
        if int(found[0]) not in CODES:
            raise Failure(Kind.STATUS, f"{expected}, in reply to {what}", escape(line))


@chapter.play(
    "replies.has-text",
    "HFTP-2.5",
    "A status line has a space and some text after its code",
    causes={
        Kind.MALFORMED: [
            Cause(
                "only the code is sent; clients that split the line at its space fail on that",
                got=r"^\d+ ?$",
                seen="the line has a number alone",
            ),
            causes.NO_SPACE,
        ]
    },
)
def has_text(context: ScenarioContext) -> None:
    """Look for the text."""
    for what, line in _first_lines(context):
        if not re.fullmatch(rb"[0-9]+ .+", line, re.DOTALL):
            raise Failure(Kind.MALFORMED, f"a code, a space and a text in reply to {what}", escape(line))


@chapter.play("replies.texts", "HFTP-2.4", "What the texts of the status lines are")
def texts(context: ScenarioContext) -> None:
    """Write the texts down."""
    for _, line in _first_lines(context):
        context.observe(escape(line))


@chapter.play(
    "replies.client-first",
    "HFTP-2.6",
    "The server says nothing before the first command",
    causes={Kind.STATUS: causes.GREETED, Kind.EXTRA: causes.GREETED},
)
def client_first(context: ScenarioContext) -> None:
    """Give a greeting the time to arrive, then require that what comes first and last is the reply to quit."""
    client = context.connect()
    context.pause()
    client.send_line("quit")
    client.status(0)
    client.read_end("the end of the stream after quit")


for _slug, _said, _codes, _what in (
    ("200", _UNKNOWN, "200|201|202", "an unknown command"),
    ("201", "get_metadata", "200|201|202", "a command without its argument"),
    ("201-of-slice", "get_slice {text} x y", "200|201|202|203", "a slice with wrong numbers"),
    ("202", f"get_metadata {_MISSING}", "200|201|202", "a file that does not exist"),
    ("202-of-slice", f"get_slice {_MISSING} 0 1", "200|201|202|203", "a slice of a file that does not exist"),
    ("203", "get_slice {text} {text.size} 1", "201|203", "a slice past the end"),
):
    chapter.transcript(
        f"replies.alone-{_slug}",
        "HFTP-2.3",
        f"The reply to {_what} is a status line alone",
        f"""
        C: {_said}
        S: {_codes} *
        <in step>
        """,
        causes=causes.alone(_said, _codes),
    )

chapter.transcript(
    "replies.alone-100",
    "HFTP-2.3",
    "The reply to a bad line end is a status line alone",
    """
    C| get_file_listin\\ng\\r\\n
    S: 100|101 *
    <close>
    """,
    causes=causes.ALONE_FATAL,
)

chapter.transcript(
    "replies.alone-raw",
    "HFTP-2.3",
    "No Content-Length follows an error, though the fourth argument is raw",
    f"""
    C: get_slice {_MISSING} 0 1 raw
    S: 201|202|203 *
    C: get_slice {{text}} {{text.size}} 1 raw
    S: 201|203 *
    <in step>
    """,
    dialects=["2026"],
    causes={
        Kind.MALFORMED: Cause(
            "Content-Length is sent before the file or the range is checked",
            got="^Content-Length",
            seen="a line Content-Length comes",
        )
    },
)

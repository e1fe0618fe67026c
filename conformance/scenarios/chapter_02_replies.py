"""Status lines: their form, and that nothing follows the status line of an error.

Each command uses its own connection, so that an error in one reply does not affect the next one.
"""

import re
from typing import Final

from conformance.client.client import CODES
from conformance.client.recording import escape
from conformance.diagnosis import lines as causes
from conformance.failures import Failure
from conformance.language import Message
from conformance.model.scenario import Cause, Chapter, Kind, ScenarioContext

chapter = Chapter()

_MISSING: Final = "{missing}"
_UNKNOWN: Final = "{unknown}"

_ASKED: Final = (
    ("get_file_listing", "get_file_listing"),
    (Message("an unknown command"), _UNKNOWN),
    (Message("a command without its arguments"), "get_slice"),
    (Message("a file that does not exist"), f"get_metadata {_MISSING}"),
    (Message("a LF inside a line"), "qui\nt"),
    ("quit", "quit"),
)
"""Commands that need no particular files."""

_STATUS: Final = re.compile(rb"(?:0|[1-9][0-9]*)(?: .*)?", re.DOTALL)


def _first_lines(context: ScenarioContext) -> list[tuple[str, bytes]]:
    """Return the first line of the reply to each command, each on its own connection."""
    found = []
    asked = list(_ASKED)
    if context.fixtures.has("text"):
        asked.insert(-1, (Message("a slice past the end"), "get_slice {text} {text.size} 1"))
    for what, command in asked:
        client = context.connect()
        client.send_line(context.filled(command))
        found.append((what, client.status_line(Message("a status line"))))
    return found


@chapter.play(
    "replies.status-line",
    "HFTP-2.1",
    "Every reply starts with a status line: CODE SP TEXT CR LF",
    causes=causes.STATUS_FORM,
)
def status_line(context: ScenarioContext) -> None:
    """Cause every kind of reply, and check its first line."""
    for what, line in _first_lines(context):
        if not _STATUS.fullmatch(line):
            raise Failure(
                Kind.MALFORMED, Message("a status line in reply to {what}: CODE SP TEXT CR LF", what=what), escape(line)
            )


@chapter.play(
    "replies.known-codes",
    "HFTP-2.2",
    "Every code is one of those in the protocol",
    causes={Kind.STATUS: causes.UNKNOWN_CODE},
)
def known_codes(context: ScenarioContext) -> None:
    """Cause every kind of reply, and check only its code."""
    expected = Message("one of the codes {codes}", codes=", ".join(map(str, CODES)))
    for what, line in _first_lines(context):
        found = re.match(rb"[0-9]{1,9}", line)
        if found is None:
            raise Failure(
                Kind.MALFORMED, Message("{expected}, in reply to {what}", expected=expected, what=what), escape(line)
            )
        if int(found[0]) not in CODES:
            raise Failure(
                Kind.STATUS, Message("{expected}, in reply to {what}", expected=expected, what=what), escape(line)
            )


@chapter.play(
    "replies.has-text",
    "HFTP-2.5",
    "In a status line, the code is followed by a space and some text",
    causes={
        Kind.MALFORMED: [
            Cause(
                "only the code is sent; clients that split the line at its space fail",
                got=r"^\d+ ?$",
                seen="the line contains only a number",
            ),
            causes.NO_SPACE,
        ]
    },
)
def has_text(context: ScenarioContext) -> None:
    """Check every status line for a space and some text."""
    for what, line in _first_lines(context):
        if not re.fullmatch(rb"[0-9]+ .+", line, re.DOTALL):
            raise Failure(
                Kind.MALFORMED, Message("a code, a space and a text in reply to {what}", what=what), escape(line)
            )


@chapter.play("replies.texts", "HFTP-2.4", "Which texts the status lines contain")
def texts(context: ScenarioContext) -> None:
    """Report the status lines."""
    for _, line in _first_lines(context):
        context.observe(escape(line))


@chapter.play(
    "replies.client-first",
    "HFTP-2.6",
    "The server sends nothing before the first command",
    causes={Kind.STATUS: causes.GREETED, Kind.EXTRA: causes.GREETED},
)
def client_first(context: ScenarioContext) -> None:
    """Give a greeting time to arrive, then require that the reply to quit is the only data received."""
    client = context.connect()
    context.await_accepted()
    client.send_line("quit")
    client.status(0)
    client.read_end(Message("the end of the stream after quit"))


for _slug, _line, _codes, _what in (
    ("200", _UNKNOWN, "200|201|202", "an unknown command"),
    ("201", "get_metadata", "200|201|202", "a command without its argument"),
    ("201-of-slice", "get_slice {text} x y", "200|201|202|203", "a slice with invalid numbers"),
    ("202", f"get_metadata {_MISSING}", "200|201|202", "get_metadata of a missing file"),
    ("202-of-slice", f"get_slice {_MISSING} 0 1", "200|201|202|203", "a slice of a missing file"),
    ("203", "get_slice {text} {text.size} 1", "201|203", "a slice past the end"),
):
    chapter.transcript(
        f"replies.alone-{_slug}",
        "HFTP-2.3",
        f"The reply to {_what} is only a status line",
        f"""
        C: {_line}
        S: {_codes} *
        <in step>
        """,
        causes=causes.alone(_line, _codes),
    )

chapter.transcript(
    "replies.alone-100",
    "HFTP-2.3",
    "The reply to a bad line end is only a status line",
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
    "An error reply to a raw slice has no Content-Length",
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
            "Content-Length is sent before the file and the range are checked",
            got="^Content-Length",
            seen="a Content-Length line was received",
        )
    },
)

"""Command lines: spaces, control characters, non-ASCII bytes, and lines cut off by the end of the stream."""

from typing import Final

from conformance.client.client import CODES
from conformance.client.recording import escape
from conformance.diagnosis import controls
from conformance.diagnosis import lines as causes
from conformance.failures import Failure
from conformance.language import Message
from conformance.model.scenario import DESTRUCTIVE, Cause, Chapter, Kind, ScenarioContext
from conformance.scenarios.answering import readable_answers, require_readable

chapter = Chapter()

_UNKNOWN = "{unknown}"

chapter.transcript(
    "framing.empty-line",
    "HFTP-1.7",
    "An empty line is answered with 101, and the connection closes",
    """
    C:
    S: 101 *
    <close>
    """,
    causes=causes.UNANSWERED
    | {
        Kind.TIMEOUT: causes.SKIPPED,
        Kind.STATUS: Cause(
            "an empty line is treated as an unknown command (200); it is malformed: answer 101", codes=(200,)
        ),
    },
)

chapter.transcript(
    "framing.empty-line-answer",
    "HFTP-1.8",
    "An empty line is answered",
    """
    C:
    S: 101|200|201 *
    <in step>
    """,
    causes=causes.UNANSWERED | {Kind.TIMEOUT: causes.SKIPPED},
)

_TOLERATED: Final = (0, 101, 200, 201, 202)
_BAD_EOL_TOO: Final = (0, 100, 101, 200, 201, 202)
_REFUSED: Final = (100, 101, 200, 201)

_ODD_LINES: Final = (
    ("doubled-space", "get_metadata  {text}", "A doubled space", "HFTP-1.9", _TOLERATED),
    ("leading-space", " get_metadata {text}", "A leading space", "HFTP-1.9", _TOLERATED),
    ("trailing-space", "get_metadata {text} ", "A trailing space", "HFTP-1.9", _TOLERATED),
    ("only-spaces", "   ", "A line of only spaces", "HFTP-1.9", _REFUSED),
    ("tab", "get_metadata\t{text}", "A tab instead of a space", "HFTP-1.11", _TOLERATED),
    ("lone-cr", "get_metadata\r{text}", "A lone CR in a line", "HFTP-1.11", _BAD_EOL_TOO),
    ("two-crs", "get_metadata {text}\r", "CR CR LF at the end of a line", "HFTP-1.11", _BAD_EOL_TOO),
)
"""Slug, line, description, the requirement that leaves the status open, and the codes that it allows."""


def _add_odd_line(slug: str, line: str, what: str, requirement: str, choice: tuple[int, ...]) -> None:
    """Add two scenarios: which status the line gets (a choice), and that it gets one reply (not a choice)."""

    def play(context: ScenarioContext, codes: tuple[int, ...]) -> None:
        client = context.connect()
        client.send_line(context.filled(line))
        status = client.status(*codes)
        context.observe(Message("answered {status}", status=status))
        if status.code == 0:
            client.size()
        client.in_step()

    @chapter.play(
        f"framing.{slug}",
        "HFTP-1.10",
        f"{what} gets exactly one reply",
        needs=["text"],
        causes=causes.UNANSWERED | ({Kind.STATUS: causes.CR_ENDS} if "\r" in line else {}),
    )
    def one_answer(context: ScenarioContext) -> None:
        play(context, tuple(code for code in CODES if code or 0 in choice))

    @chapter.play(f"framing.{slug}-answer", requirement, f"{what}: which status the server sends", needs=["text"])
    def which_answer(context: ScenarioContext) -> None:
        play(context, choice)

    one_answer.__doc__ = f"Send it ({what}), and one more command; require one reply with any status."
    which_answer.__doc__ = f"Send it ({what}), and one more command."


for _row in _ODD_LINES:
    _add_odd_line(*_row)


@chapter.play(
    "framing.odd-lines-no-199",
    "HFTP-1.16",
    "A lone CR and a line of only spaces are client errors, not server errors (199)",
    needs=["text"],
    causes={Kind.STATUS: "such a line is reported as a server error (199); it is a client error: answer 101"},
)
def odd_lines_no_199(context: ScenarioContext) -> None:
    """Send them, each on its own connection; any status but 199 passes."""
    for row in _ODD_LINES:
        if 100 not in row[4]:  # noqa: PLR2004  (a code of the protocol)
            continue
        for line, _, status in readable_answers(context, [context.filled(row[1]).encode()]):
            if status.code == 199:  # noqa: PLR2004  (a code of the protocol)
                raise Failure(Kind.STATUS, Message("100, 101, 200 or 201 for {line}", line=escape(line)), str(status))


_FOREIGN = (
    ("nul", b"get_metadata a\0b", "A NUL in an argument"),
    ("nul-command", b"qu\0it", "A NUL in the command"),
    ("high-bytes", b"get_metadata \xff\xfe\x80", "Bytes that are not valid UTF-8"),
    ("utf-8", "get_metadata canción.txt".encode(), "A name in UTF-8"),
    ("controls", b"get_metadata \x01\x1b[31m\x7f\x08", "Control characters"),
    ("all-bytes", bytes(byte for byte in range(256) if byte not in b"\r\n"), "Every byte except CR and LF"),
)


def _add_foreign(slug: str, line: bytes, what: str) -> None:
    """Add two scenarios: the line is answered, and the server survives it."""

    @chapter.play(
        f"framing.{slug}",
        "HFTP-1.12",
        f"{what}: the server answers with a status line",
        isolation=DESTRUCTIVE,
        causes=causes.UNANSWERED,
    )
    def answered(context: ScenarioContext) -> None:
        client = context.connect()
        client.send_line(line)
        status = require_readable(client, 101, 200, 201, 202)
        context.observe(Message("answered {status}", status=status))
        client.in_step()

    @chapter.play(
        f"framing.{slug}-survived",
        "HFTP-1.13",
        f"{what}: other clients are still served afterwards",
        isolation=DESTRUCTIVE,
        causes=causes.UNSURVIVED,
    )
    def survived(context: ScenarioContext) -> None:
        client = context.connect()
        client.send_line(line)
        client.quit_and_close()
        context.probe()

    answered.__doc__ = survived.__doc__ = f"Send it: {what}."


for _line in _FOREIGN:
    _add_foreign(*_line)

chapter.transcript(
    "framing.half-close",
    "HFTP-1.14",
    "Pending replies still arrive after the client half-closes the connection",
    f"""
    C: {_UNKNOWN}
    C: get_metadata {{text}}
    <half-close>
    S: 200 *
    S: 0 *
    S: {{text.size}}
    <close>
    """,
    causes={
        Kind.CLOSED: Cause(
            "the connection is closed at once when the client half-closes it: answer the commands received first",
            control=controls.ONE_BY_ONE,
        ),
        Kind.OPEN: causes.LF_STAYS_OPEN,
    },
)

chapter.transcript(
    "framing.half-close-idle",
    "HFTP-1.14",
    "The server closes when an idle client half-closes the connection",
    f"""
    C: {_UNKNOWN}
    S: 200 *
    <half-close>
    <close>
    """,
    causes={Kind.OPEN: causes.LF_STAYS_OPEN},
)


@chapter.play(
    "framing.unfinished-line", "HFTP-1.15", "A line cut off by the end of the stream: whether the server answers it"
)
def unfinished_line(context: ScenarioContext) -> None:
    """Send part of a line, and half-close."""
    client = context.connect()
    client.send(b"get_file_listing")
    client.half_close()
    answer = client.read_rest()
    context.observe(Message("answered with {count} bytes", count=len(answer)) if answer else Message("discarded"))

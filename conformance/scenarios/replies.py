"""Status lines: their form, what may stand beside them, what comes after them, and that they arrive.

Each form is asked on a connection of its own, so that what one reply does wrong is not laid to the next one.
"""

import re
from typing import Final

from conformance.client import CODES, UNKNOWN, Client
from conformance.failure import Failure, Unsupported
from conformance.record import shown
from conformance.scenario import Chapter, Kind, Stage

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


def _first_lines(stage: Stage) -> list[tuple[str, bytes]]:
    """Return the first line of the reply to each command, each on a connection of its own."""
    found = []
    for what, said in _ASKED:
        client = stage.connect()
        client.say(said)
        found.append((what, client.read_line("a status line")))
    return found


@chapter.play(
    "replies.status-line",
    "HFTP-2.1",
    "Every reply begins with a status line: CODE SP TEXT CR LF",
    causes={
        Kind.MALFORMED: "the code is missing, is padded with zeros (000), or the line does not end in CR LF",
        Kind.CLOSED: "the server closes before its reply is sent",
    },
)
def status_line(stage: Stage) -> None:
    """Ask for every kind of reply that needs no file, and look at its first line."""
    for what, line in _first_lines(stage):
        if not _STATUS.fullmatch(line):
            raise Failure(Kind.MALFORMED, f"a status line in reply to {what}: CODE SP TEXT CR LF", shown(line))


@chapter.play(
    "replies.known-codes",
    "HFTP-2.2",
    "No reply has a code that the protocol does not know",
    causes={
        Kind.STATUS: "a code of another protocol (404, 500), or one that was made up",
        Kind.MALFORMED: "the status line does not begin with a number",
    },
)
def known_codes(stage: Stage) -> None:
    """Ask for every kind of reply that needs no file, and look at its code alone."""
    expected = "one of the codes " + ", ".join(map(str, CODES))
    for what, line in _first_lines(stage):
        found = re.match(rb"[0-9]{1,9}", line)
        if found is None:
            raise Failure(Kind.MALFORMED, f"{expected}, in reply to {what}", shown(line))
        if int(found[0]) not in CODES:
            raise Failure(Kind.STATUS, f"{expected}, in reply to {what}", shown(line))


@chapter.play(
    "replies.has-text",
    "HFTP-2.5",
    "A status line has a space and some text after its code",
    causes={Kind.MALFORMED: "only the number is sent; clients that split the line at its space fail on that"},
)
def has_text(stage: Stage) -> None:
    """Look for the text."""
    for what, line in _first_lines(stage):
        if not re.fullmatch(rb"[0-9]+ .+", line, re.DOTALL):
            raise Failure(Kind.MALFORMED, f"a code, a space and a text in reply to {what}", shown(line))


@chapter.play("replies.texts", "HFTP-2.4", "What the texts of the status lines are")
def texts(stage: Stage) -> None:
    """Write the texts down."""
    for _, line in _first_lines(stage):
        stage.saw(shown(line))


@chapter.play(
    "replies.client-first",
    "HFTP-2.6",
    "The server says nothing before the first command",
    causes={
        Kind.STATUS: "the server greets its clients, as FTP and SMTP do; clients take that for the first reply",
        Kind.EXTRA: "the server greets its clients, as FTP and SMTP do; clients take that for the first reply",
    },
)
def client_first(stage: Stage) -> None:
    """Give a greeting the time to arrive, then require that what comes first and last is the reply to quit."""
    client = stage.connect()
    stage.pause()
    client.say("quit")
    line = client.read_line("the reply to quit, and nothing before it")
    if not line.startswith(b"0"):
        raise Failure(Kind.STATUS, "the reply to quit, and nothing before it", shown(line))
    client.read_end("the end of the stream after quit")


_ALONE: Final = {
    Kind.MALFORMED: "the status line of an error is followed by something: an explanation, or an empty line",
    Kind.EXTRA: "the status line of an error is followed by something: an explanation, or an empty line",
    Kind.STATUS: "the status line of an error is followed by something that looks like another one",
    Kind.CLOSED: "the server closes after an error from 200 on",
}

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
        causes=_ALONE,
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
    causes=_ALONE,
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
    causes=_ALONE | {Kind.MALFORMED: "the header of a raw slice is sent before the range is checked"},
)

_OPEN: Final = {
    Kind.OPEN: "the server answers a fatal error, and goes on: it has to close the connection after 100 to 199",
    Kind.EXTRA: "the server answers a fatal error, and goes on with the next command",
}

chapter.transcript(
    "replies.closes-100",
    "HFTP-2.7",
    "The server closes after 100",
    """
    C| qui\\nt\\r\\n
    S: 100|101 *
    <close>
    """,
    causes=_OPEN,
)

chapter.transcript(
    "replies.closes-100-after-others",
    "HFTP-2.7",
    "The server closes after 100, however long the conversation was",
    f"""
    C: {_UNKNOWN}
    S: 200|201|202 *
    C: get_file_listing
    S: 0 *
    S: <listing>
    C| get_metadata {{text}}\\n\\r\\n{_UNKNOWN}\\r\\n
    S: 100|101 *
    <close>
    """,
    causes=_OPEN,
)

chapter.transcript(
    "replies.closes-101",
    "HFTP-2.7",
    "The server closes after 101",
    """
    C:
    S: 101 *
    <close>
    """,
    dialects=["2026"],
    causes=_OPEN,
)


@chapter.play(
    "replies.closes-199", "HFTP-2.7", "The server closes after 199", needs=["local", "unreadable"], causes=_OPEN
)
def closes_199(stage: Stage) -> None:
    """Ask for a file that cannot be read; whether that is 199 is judged elsewhere."""
    client = stage.connect()
    client.say(b"get_slice %b 0 1" % stage.fixture("unreadable").name)
    if client.status(199, 200, 201, 202, 203).code != 199:  # noqa: PLR2004  (a code of the protocol)
        message = "the server does not answer 199 to what it cannot read"
        raise Unsupported(message)
    client.read_end("the end of the stream after 199")


_CLOSES: Final = {
    Kind.CLOSED: "the server closes after every error, or after every reply; from 200 on the conversation goes on",
    Kind.RESET: "the server closes after every error, or after every reply; from 200 on the conversation goes on",
}

for _slug, _said, _codes, _what in (
    ("200", _UNKNOWN, "200|201|202", "an unknown command"),
    ("201", "get_slice {text}", "200|201|202", "wrong arguments"),
    ("202", f"get_metadata {_MISSING}", "201|202", "a file that does not exist"),
    ("203", "get_slice {text} {text.size} 1", "201|203", "a slice past the end"),
):
    chapter.transcript(
        f"replies.goes-on-{_slug}",
        "HFTP-2.8",
        f"The conversation goes on after {_what}",
        f"""
        C: {_said}
        S: {_codes} *
        C: get_metadata {{text}}
        S: 0 *
        S: {{text.size}}
        <in step>
        """,
        causes=_CLOSES,
    )

chapter.transcript(
    "replies.goes-on-0",
    "HFTP-2.8",
    "The conversation goes on after a success of every kind",
    """
    C: get_metadata {text}
    S: 0 *
    S: {text.size}
    C: get_file_listing
    S: 0 *
    S: <listing>
    C: get_slice {text} 0 1
    S: 0 *
    S: <slice text 0 1>
    C: get_metadata {text}
    S: 0 *
    S: {text.size}
    C: quit
    S: 0 *
    <close>
    """,
    causes=_CLOSES,
)


@chapter.play(
    "replies.goes-on-long",
    "HFTP-2.8",
    "The conversation goes on after 90 errors, one after the other",
    needs=["text"],
    causes=_CLOSES | {Kind.TIMEOUT: "after some number of errors the server stops answering"},
)
def goes_on_long(stage: Stage) -> None:
    """Make every kind of error that is not fatal, thirty times, each after the reply to the one before."""
    text = stage.fixture("text")
    client = stage.connect()
    said = (UNKNOWN, b"get_metadata", b"get_slice %b %d 1" % (text.name, text.size))
    for line in said * 30:
        client.say(line)
        client.status(200, 201, 202, 203)
    client.say(b"get_metadata " + text.name)
    client.status(0)
    if (size := client.size()) != text.size:
        raise Failure(Kind.BODY, f"the size {text.size}", str(size))
    client.finish()


_LOST: Final = {
    Kind.RESET: "the server closes with input unread, so the kernel sends RST, which destroys the reply:"
    " shut down the sending half, then read the rest until the client closes",
    Kind.CLOSED: "the server closes before its reply is sent",
    Kind.TIMEOUT: "the server reads on for ever before it answers, or stopped reading without an answer",
    Kind.STATUS: "what stands after the bad line end was looked at",
    Kind.EXTRA: "what stands after the bad line end was executed",
}
_UNREAD: Final = (f"get_metadata {_MISSING}\r\n").encode()
_SIZES_KIB: Final = (64, 1024, 4096)


def _add_arrival(slug: str, first: bytes, code: int, what: str, dialects: tuple[str, ...] = ()) -> None:
    """Add scenarios: the last reply arrives, with more and more input behind the command that ends it all."""
    for kib in _SIZES_KIB:

        @chapter.play(
            f"replies.arrives-{slug}-{kib}",
            "HFTP-2.9",
            f"{what} is answered although {kib} KiB of commands follow that nobody reads",
            dialects=dialects,
            causes=_LOST,
        )
        def arrives(stage: Stage, kib: int = kib) -> None:
            """Send it all as fast as the connection takes it; a send that fails is not a failure."""
            client = stage.connect()
            client.send(first + _UNREAD * (kib * 1024 // len(_UNREAD)))
            client.status(code)
            client.read_end(f"the end of the stream after {code}")


_add_arrival("100", b"qui\nt\r\n", 100, "A bad line end")
_add_arrival("101", b"\r\n", 101, "An empty line", ("2026",))
_add_arrival("quit", b"quit\r\n", 0, "quit")


def _ask_much(stage: Stage, last: bytes) -> tuple[Client, int]:
    """Ask for more replies than fit into a client's buffer, then end it all, with input behind that is not read."""
    client = stage.connect(receive_buffer_bytes=4096)
    count = 800
    client.send(_UNREAD * count + last + _UNREAD * 8192)
    for _ in range(20):  # the server comes to its end, most likely, before anything is read
        stage.pause()
    return client, count


@chapter.play(
    "replies.arrives-behind-others",
    "HFTP-2.9",
    "All replies up to the fatal one arrive at a client that reads late",
    causes=_LOST,
)
def arrives_behind_others(stage: Stage) -> None:
    """Have replies on their way when the server closes: RST destroys what the client has no room for yet."""
    client, count = _ask_much(stage, b"qui\nt\r\n")
    for _ in range(count):
        client.status(201, 202)
    client.status(100)
    client.read_end("the end of the stream after 100")


@chapter.play(
    "replies.arrives-behind-others-quit",
    "HFTP-2.9",
    "All replies up to that of quit arrive at a client that reads late",
    causes=_LOST,
)
def arrives_behind_others_quit(stage: Stage) -> None:
    """Have replies on their way when the server closes after quit."""
    client, count = _ask_much(stage, b"quit\r\n")
    for _ in range(count):
        client.status(201, 202)
    client.status(0)
    client.read_end("the end of the stream after quit")

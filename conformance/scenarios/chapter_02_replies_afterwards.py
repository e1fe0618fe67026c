"""After a reply: the connection closes or stays open, and the last reply arrives."""

from typing import Final

from conformance.client.client import Client
from conformance.client.recording import escape
from conformance.diagnosis import controls
from conformance.diagnosis import lines as causes
from conformance.failures import Failure, Unsupported
from conformance.language import Message
from conformance.model.scenario import Cause, Chapter, Kind, ScenarioContext

chapter = Chapter()

_MISSING: Final = "{missing}"
_UNKNOWN: Final = "{unknown}"

chapter.transcript(
    "replies.closes-100",
    "HFTP-2.7",
    "The server closes after 100",
    """
    C| qui\\nt\\r\\n
    S: 100|101 *
    <close>
    """,
    causes=causes.STAYS_OPEN,
)

chapter.transcript(
    "replies.closes-100-after-others",
    "HFTP-2.7",
    "The server closes after 100, even after other replies",
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
    causes=causes.STAYS_OPEN,
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
    causes=causes.STAYS_OPEN,
)


@chapter.play(
    "replies.closes-199",
    "HFTP-2.7",
    "The server closes after 199",
    needs=["local", "unreadable"],
    level_in=dict.fromkeys(("2019", "2018", "2016"), "SHOULD"),  # like everything about unreadable files
    causes=causes.STAYS_OPEN,
)
def closes_199(context: ScenarioContext) -> None:
    """Request an unreadable file; another scenario judges whether the status is 199."""
    client = context.connect()
    client.send_line(b"get_slice %b 0 1" % context.fixture("unreadable").name)
    if client.status(199, 200, 201, 202, 203).code != 199:  # noqa: PLR2004  (a code of the protocol)
        message = Message("the server does not answer with 199 for an unreadable file")
        raise Unsupported(message)
    client.read_end(Message("the end of the stream after 199"))


for _slug, _line, _codes, _what in (
    ("200", _UNKNOWN, "200|201|202", "an unknown command"),
    ("201", "get_slice {text}", "200|201|202", "invalid arguments"),
    ("202", f"get_metadata {_MISSING}", "201|202", "a missing file"),
    ("203", "get_slice {text} {text.size} 1", "201|203", "a slice past the end"),
):
    chapter.transcript(
        f"replies.goes-on-{_slug}",
        "HFTP-2.8",
        f"The connection stays open after {_what}",
        f"""
        C: {_line}
        S: {_codes} *
        C: get_metadata {{text}}
        S: 0 *
        S: {{text.size}}
        <in step>
        """,
        causes=causes.CLOSES,
    )

chapter.transcript(
    "replies.goes-on-0",
    "HFTP-2.8",
    "The connection stays open after every kind of success",
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
    causes=causes.CLOSES,
)


@chapter.play(
    "replies.goes-on-long",
    "HFTP-2.8",
    "The connection stays open after 90 errors in a row",
    needs=["text"],
    causes=causes.CLOSES
    | {Kind.TIMEOUT: Cause("the server stops answering after a number of errors", control=controls.ONE_BY_ONE)},
)
def goes_on_long(context: ScenarioContext) -> None:
    """Cause three kinds of non-fatal errors thirty times each, each after the previous reply."""
    text = context.fixture("text")
    client = context.connect()
    commands = (context.words.unknown, b"get_metadata", b"get_slice %b %d 1" % (text.name, text.size))
    for line in commands * 30:
        client.send_line(line)
        client.status(200, 201, 202, 203)
    client.send_line(b"get_metadata " + text.name)
    client.status(0)
    if (size := client.size()) != text.size:
        raise Failure(Kind.BODY, Message("the size {size}", size=text.size), str(size))
    client.finish()


_SIZES_KIB: Final = (64, 1024, 4096)


def _unread(context: ScenarioContext) -> bytes:
    """Return a command that is sent many times."""
    return b"get_metadata %b\r\n" % context.words.missing


def _add_arrival(slug: str, first: bytes, code: int, what: str, dialects: tuple[str, ...] = ()) -> None:
    """Add scenarios: the last reply arrives, with increasing amounts of unread input after the last command."""
    for kib in _SIZES_KIB:

        @chapter.play(
            f"replies.arrives-{slug}-{kib}",
            "HFTP-2.9",
            f"{what} is answered, even if {kib} KiB of unread commands follow",
            dialects=dialects,
            causes=causes.lost(escape(first), code),
        )
        def arrives(context: ScenarioContext, kib: int = kib) -> None:
            """Send everything as fast as the connection accepts it; a failed send is not a failure."""
            client = context.connect()
            unread = _unread(context)
            client.send(first + unread * (kib * 1024 // len(unread)))
            client.status(code)
            client.read_end(Message("the end of the stream after {code}", code=code))


_add_arrival("100", b"qui\nt\r\n", 100, "A bad line end")
_add_arrival("101", b"\r\n", 101, "An empty line", ("2026",))
_add_arrival("quit", b"quit\r\n", 0, "quit")


def _ask_much(context: ScenarioContext, last: bytes) -> tuple[Client, int]:
    """Request more replies than fit into the client's buffer, then send the last command and more input."""
    client = context.connect(receive_buffer_bytes=4096)
    count = 800
    unread = _unread(context)
    client.send(unread * count + last + unread * 8192)
    context.await_closed(client)
    return client, count


@chapter.play(
    "replies.arrives-behind-others",
    "HFTP-2.9",
    "A client that reads late gets all replies up to the fatal one",
    causes=causes.lost(r"qui\nt\r\n", 100),
)
def arrives_behind_others(context: ScenarioContext) -> None:
    """Keep replies in transit when the server closes: RST destroys those that do not fit into the client's buffer."""
    client, count = _ask_much(context, b"qui\nt\r\n")
    for _ in range(count):
        client.status(201, 202)
    client.status(100)
    client.read_end(Message("the end of the stream after 100"))


@chapter.play(
    "replies.arrives-behind-others-quit",
    "HFTP-2.9",
    "A client that reads late gets all replies up to the one to quit",
    causes=causes.lost(r"quit\r\n", 0),
)
def arrives_behind_others_quit(context: ScenarioContext) -> None:
    """Keep replies in transit when the server closes after quit."""
    client, count = _ask_much(context, b"quit\r\n")
    for _ in range(count):
        client.status(201, 202)
    client.status(0)
    client.read_end(Message("the end of the stream after quit"))

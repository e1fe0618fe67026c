"""Command lines: line ends, and lines split over several packets.

Each transcript ends with a proof that no more data follows: the end of the stream, or one more command that gets the
next reply. So no result depends on the length of a pause.
"""

from conformance.diagnosis import lines as causes
from conformance.failures import Failure
from conformance.language import Message
from conformance.model.scenario import Cause, Chapter, Kind, ScenarioContext

chapter = Chapter()

_UNKNOWN = "{unknown}"


@chapter.play(
    "framing.one-command",
    "HFTP-2.1",
    "A command gets a status line, and invalid commands do not all succeed",
    causes={
        Kind.MALFORMED: [causes.GREETED, *causes.STATUS_FORMS],
        Kind.STATUS: [
            causes.GREETED,
            Cause(
                "every line is answered with 0",
                got="^0 for all",
                seen="all of several invalid commands were answered with 0",
            ),
            Cause(causes.UNKNOWN_CODE, got=r"^\d", seen="another code was received"),
        ],
    },
)
def one_command(context: ScenarioContext) -> None:
    """Send an unknown command; if it succeeds, send two more invalid ones."""
    client = context.connect()
    for command in (context.words.unknown, b"get_metadata", b"get_slice"):
        client.send_line(command)
        if client.status().code:
            return
    raise Failure(
        Kind.STATUS, Message("an error status for at least one of three invalid commands"), Message("0 for all of them")
    )


chapter.transcript(
    "framing.byte-by-byte",
    "HFTP-1.1",
    "A command that arrives one byte at a time is one command",
    f"""
    <bytewise>
    C: {_UNKNOWN}
    S: 200 *
    C: get_metadata {{text}}
    S: 0 *
    S: {{text.size}}
    C: quit
    S: 0 *
    <close>
    """,
    causes=causes.IN_PIECES,
)

chapter.transcript(
    "framing.two-lines-byte-by-byte",
    "HFTP-1.1",
    "Two commands that arrive one byte at a time, without waiting for the first reply, are two commands",
    f"""
    <bytewise>
    C: {_UNKNOWN}
    C: quit
    S: 200 *
    S: 0 *
    <close>
    """,
    causes=causes.IN_PIECES,
)


@chapter.play("framing.cr-lf-apart", "HFTP-1.1", "CR and LF may arrive in different packets", causes=causes.IN_PIECES)
def cr_lf_apart(context: ScenarioContext) -> None:
    """Send each command up to its CR, let the server read it, then send the LF and wait for the reply."""
    client = context.connect()
    rest = b"\r\n"
    for command, status in ((context.words.unknown, 200), (b"get_metadata", 201), (b"quit", 0)):
        client.send(command + rest[:1])
        client.await_read()
        client.send(rest[1:])
        client.status(status)
    client.read_end(Message("the end of the stream after quit"))


@chapter.play(
    "framing.cr-lf-apart-pipelined",
    "HFTP-1.1",
    "A packet may end between CR and LF, and the next one start with that LF and another command",
    causes=causes.IN_PIECES,
)
def cr_lf_apart_pipelined(context: ScenarioContext) -> None:
    """Split pipelined commands into packets between CR and LF."""
    client = context.connect()
    unknown = context.words.unknown
    for piece in (unknown + b"\r", b"\n%b\r" % unknown, b"\nget_metadata\r", b"\nquit\r", b"\n"):
        client.send(piece)
        client.await_read()
    client.replies((200, 200, 201, 0))
    client.read_end(Message("the end of the stream after quit"))


@chapter.play(
    "framing.pieces", "HFTP-1.1", "Commands may arrive in pieces of any length", needs=["text"], causes=causes.IN_PIECES
)
def pieces(context: ScenarioContext) -> None:
    """Send the same commands in pieces of each length from 2 to 7, and of random lengths."""
    text = context.fixture("text")
    sent = b"%b\r\nget_metadata %b\r\nget_metadata\r\n%b\r\nquit\r\n" % (context.words.unknown, text.name, b"x" * 40)
    cuts = [list(range(size, len(sent), size)) for size in range(2, 8)]
    cuts += [sorted(context.random.sample(range(1, len(sent)), 12)) for _ in range(4)]
    for cut in cuts:
        client = context.connect()
        for start, end in zip([0, *cut], [*cut, len(sent)], strict=True):
            client.send(sent[start:end])
            client.await_read()
        client.replies((200, 0))
        if (size := client.size()) != text.size:
            raise Failure(Kind.BODY, Message("the size {size}", size=text.size), str(size))
        client.replies((201, 200, 0))
        client.read_end(Message("the end of the stream after quit"))


_BAD_ENDS = (
    ("lf-only", "quit\\n", "A line that ends in a bare LF"),
    ("lf-first", "\\nquit\\r\\n", "A bare LF before the command"),
    ("lf-inside", "qui\\nt\\r\\n", "A bare LF inside the command"),
    ("lf-after-command", "quit\\n\\r\\n", "A bare LF between the command and CR LF"),
    ("lf-cr", "quit\\n\\r", "A line that ends in LF CR"),
    ("lf-in-arguments", "get_metadata a\\nb\\r\\n", "A bare LF inside an argument"),
    ("lf-as-space", "get_metadata\\n{text}\\r\\n", "A bare LF instead of a space"),
    ("lf-alone", "\\n", "A bare LF"),
    ("lf-lf", "\\n\\n", "A pair of bare LFs"),
)

for _slug, _sent, _what in _BAD_ENDS:
    _is_at_once = not _sent.endswith("\\r\\n")
    chapter.transcript(
        f"framing.{_slug}",
        "HFTP-1.3" if _is_at_once else "HFTP-1.2",
        f"{_what} is answered with 100{' at once' if _is_at_once else ''}, and the connection closes",
        f"""
        C| {_sent}
        S: 100 *
        <close>
        """,
        causes=(causes.NOT_AT_ONCE if _is_at_once else {}) | causes.EXECUTED | causes.LF_TAKEN,
    )


@chapter.play(
    "framing.lf-in-pieces",
    "HFTP-1.2",
    "A bare LF inside a line is detected even if the line arrives in pieces",
    causes=causes.EXECUTED | causes.LF_TAKEN,
)
def lf_in_pieces(context: ScenarioContext) -> None:
    """Split a line around its bare LF."""
    for pieces in ((b"qui", b"\n", b"t\r\n"), (b"qui\n", b"t\r\n"), (b"quit", b"\n\r\n"), (b"quit\r", b"x\n\r\n")):
        client = context.connect()
        for piece in pieces:
            client.send(piece)
            client.await_read()
        client.status(100)
        client.read_end(Message("the end of the stream after 100"))


chapter.transcript(
    "framing.before-bad-eol",
    "HFTP-1.4",
    "Commands before a bad line end are answered first",
    f"""
    C| {_UNKNOWN}\\r\\nget_metadata\\r\\nqui\\nt\\r\\n
    S: 200 *
    S: 201 *
    S: 100 *
    <close>
    """,
    causes={Kind.STATUS: causes.SEARCHED_FIRST},
)

chapter.transcript(
    "framing.after-bad-eol",
    "HFTP-1.5",
    "Nothing after a bad line end is executed",
    f"""
    C| qui\\nt\\r\\n{_UNKNOWN}\\r\\nget_file_listing\\r\\nquit\\r\\n
    S: 100 *
    <close>
    """,
    causes=causes.EXECUTED,
)

chapter.transcript(
    "framing.after-lf-only",
    "HFTP-1.5",
    "Nothing after a bare LF is executed",
    f"""
    C| get_file_listing\\n{_UNKNOWN}\\n{_UNKNOWN}\\r\\n
    S: 100 *
    <close>
    """,
    causes=causes.EXECUTED,
)

chapter.transcript(
    "framing.pipelining",
    "HFTP-1.6",
    "Commands in one packet each get a reply, in order",
    f"""
    C| {_UNKNOWN}\\r\\nget_metadata {{text}}\\r\\nget_metadata\\r\\nget_metadata {{text}}\\r\\nquit\\r\\n
    S: 200 *
    S: 0 *
    S: {{text.size}}
    S: 201 *
    S: 0 *
    S: {{text.size}}
    S: 0 *
    <close>
    """,
    causes=causes.TOGETHER,
)


@chapter.play(
    "framing.deep-pipelining",
    "HFTP-1.6",
    "1,000 pipelined commands get 1,000 replies, in order",
    needs=["text"],
    causes=causes.TOGETHER,
)
def deep_pipelining(context: ScenarioContext) -> None:
    """Send four kinds of commands in random order, and read every reply."""
    text = context.fixture("text")
    kinds = {
        200: context.words.unknown,
        201: b"get_metadata",
        202: b"get_metadata " + context.words.missing,
        0: b"get_metadata " + text.name,
    }
    order = context.random.choices(list(kinds), k=1000)
    client = context.connect()
    client.send(b"".join(kinds[code] + b"\r\n" for code in order) + b"quit\r\n")
    for code in order:
        client.status(code)
        if code == 0 and (size := client.size()) != text.size:
            raise Failure(Kind.BODY, Message("the size {size}", size=text.size), str(size))
    client.status(0)
    client.read_end(Message("the end of the stream after quit"))


chapter.transcript(
    "framing.pipelined-slices",
    "HFTP-1.6",
    "Pipelined slices arrive complete and in order",
    """
    C: get_slice {text} 0 {text.size}
    C: get_slice {text} 1 1
    C: get_slice {text} {text.size} 1
    C: get_slice {text} 0 1
    C: get_file_listing
    C: quit
    S: 0 *
    S: <slice text 0 {text.size}>
    S: 0 *
    S: <slice text 1 1>
    S: 203 *
    S: 0 *
    S: <slice text 0 1>
    S: 0 *
    S: <listing>
    S: 0 *
    <close>
    """,
    causes=causes.TOGETHER,
)

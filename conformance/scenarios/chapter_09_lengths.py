"""Long names, long lines and endless input."""

from typing import Final

from conformance.client.client import Client
from conformance.diagnosis import lines as causes
from conformance.language import Message
from conformance.model.scenario import DESTRUCTIVE, Chapter, Kind, ScenarioContext
from conformance.scenarios.answering import require_readable, require_served

chapter = Chapter()

KIB: Final = 1 << 10
MIB: Final = 1 << 20

# --- Names -------------------------------------------------------------------------------------------

chapter.transcript(
    "lengths.longest-name",
    "HFTP-9.1",
    "A name of 255 bytes works",
    """
    C: get_metadata {long-name}
    S: 0 *
    S: <size long-name>
    C: get_slice {long-name} 0 {long-name.size}
    S: 0 *
    S: <slice long-name 0 {long-name.size}>
    <in step>
    """,
    causes=causes.LONGEST_NAME,
)

chapter.transcript(
    "lengths.longest-name-absent",
    "HFTP-9.1",
    "A missing name of 255 bytes is answered with 202",
    f"""
    C: get_metadata {"z" * 255}
    S: 202 *
    <in step>
    """,
    causes=causes.LONGEST_NAME,
)

_LONGER: Final = (
    ("name-256", 256, "256 bytes"),
    ("name-1-kib", KIB, "1 KiB"),
    ("name-path-max", 4096, "4 KiB"),
    ("name-8-kib", 8 * KIB, "8 KiB"),
)

for _slug, _size, _what in _LONGER:
    chapter.transcript(
        f"lengths.{_slug}",
        "HFTP-9.2",
        f"A name of {_what} is answered with 202",
        f"""
        C: get_metadata {"n" * _size}
        S: 202 *
        C: get_slice {"n" * _size} 0 1
        S: 202 *
        <in step>
        """,
        causes=causes.LONG,
    )


@chapter.play(
    "lengths.name-in-pieces",
    "HFTP-9.2",
    "A name of 8 KiB that arrives in 100 pieces is one name",
    causes=causes.LONG,
)
def name_in_pieces(context: ScenarioContext) -> None:
    """Send it in pieces of random lengths, with two more commands in the last piece."""
    sent = b"get_metadata " + b"p" * (8 * KIB) + b"\r\n" + context.words.unknown + b"\r\nquit\r\n"
    cuts = sorted(context.random.sample(range(1, 8 * KIB), 99))
    client = context.connect()
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        client.send(sent[start:end])
        client.await_read()
    client.replies((202, 200, 0))
    client.read_end(Message("the end of the stream after quit"))


@chapter.play(
    "lengths.names-pipelined",
    "HFTP-9.2",
    "Pipelined long names among other commands are answered in order",
    causes=causes.LONG_MIXED,
)
def names_pipelined(context: ScenarioContext) -> None:
    """Send about 100 names of up to 8 KiB, mixed with two other kinds of commands."""
    lines = {200: context.words.unknown, 201: b"get_metadata"}
    order = context.random.choices((200, 201, 202), (1, 1, 2), k=200)
    commands = (lines.get(code) or b"get_metadata " + b"n" * context.random.randint(256, 8 * KIB) for code in order)
    client = context.connect()
    client.send(b"".join(line + b"\r\n" for line in commands))
    client.replies(order)
    client.in_step()


for _slug, _size, _what in (("name-64-kib", 64 * KIB, "64 KiB"), ("name-1-mib", MIB, "1 MiB")):

    def _play(context: ScenarioContext, size: int = _size) -> None:
        """Request its size, and report the reply."""
        client = context.connect()
        client.send_line(b"get_metadata " + b"n" * size)
        context.observe(Message("answered {status}", status=client.status(101, 201, 202)))
        client.in_step()

    chapter.play(f"lengths.{_slug}", "HFTP-9.4", f"A name of {_what}: which status the server sends")(_play)


@chapter.play(
    "lengths.huge-name",
    "HFTP-9.3",
    "A name of 5 MiB is answered with 202",
    timeouts=20.0,
    isolation=DESTRUCTIVE,
    causes=causes.LONG_MIXED,
)
def huge_name(context: ScenarioContext) -> None:
    """Request its size, and pipeline another command."""
    client = context.connect()
    client.send(b"get_metadata " + b"n" * (5 * MIB) + b"\r\nget_metadata\r\n")
    client.replies((202, 201))
    client.in_step()


# --- Lines -------------------------------------------------------------------------------------------

_ANSWERS: Final = (101, 200, 201, 202)


def _add_line(slug: str, what: str, line: bytes, codes: tuple[int, ...]) -> None:
    @chapter.play(
        f"lengths.{slug}",
        "HFTP-9.6",
        f"{what} is answered",
        timeouts=20.0,
        isolation=DESTRUCTIVE,
        causes=causes.LONG,
    )
    def answered(context: ScenarioContext) -> None:
        client = context.connect()
        client.send(line)
        context.observe(Message("answered {status}", status=require_readable(client, *codes)))
        client.in_step()

    answered.__doc__ = f"Send it, and one more command. {what}."


for _line in (
    ("command-8-kib", "A command of 8 KiB", b"x" * (8 * KIB) + b"\r\n", _ANSWERS),
    ("command-1-mib", "A command of 1 MiB", b"x" * MIB + b"\r\n", _ANSWERS),
    ("arguments-10000", "A line of 10,000 arguments", b"get_metadata" + b" a" * 10_000 + b"\r\n", _ANSWERS),
    ("spaces-1-mib", "A line of 1 MiB of spaces", b"get_metadata" + b" " * MIB + b"\r\n", _ANSWERS),
    ("bad-eol-5-mib", "A line of 5 MiB that ends in a bare LF", b"x" * (5 * MIB) + b"\n", (100, 101)),
):
    _add_line(*_line)


@chapter.play(
    "lengths.others-meanwhile",
    "HFTP-10.2",
    "Other clients are served while a line of 1 MiB is incomplete",
    needs=["concurrency"],
    timeouts=20.0,
    causes={Kind.TIMEOUT: causes.OTHERS_WAIT},
)
def others_meanwhile(context: ScenarioContext) -> None:
    """Stop in the middle of the line, require that another client is served, and end the line."""
    slow = context.connect()
    slow.send(b"get_metadata " + b"n" * MIB)
    slow.await_read()
    require_served(context.connect())
    slow.send_line(b"n")
    slow.status()


# --- Input that must not crash the server ------------------------------------------------------------

_FLOOD_PATIENCES: Final = 4.0
_BLOCK_BYTES: Final = 256 * KIB


def _require_survival(context: ScenarioContext) -> None:
    """Require that a new client is served; allow for a server that is still busy with the input."""
    context.allow(20.0)
    context.probe()


def _flood(context: ScenarioContext, client: Client, block: bytes, most: int) -> None:
    """Send a block repeatedly until the server replies or closes, or the limit of bytes or time is reached."""
    deadline = context.clock() + _FLOOD_PATIENCES * context.timeout_seconds
    sent = 0
    while sent < most and context.clock() < deadline and not client.unread:
        if not client.send(block, is_apart=not sent):
            return
        sent += len(block)


def _add_endless(slug: str, what: str, first: bytes, unit: bytes, most: int) -> None:
    @chapter.play(
        f"lengths.{slug}",
        "HFTP-9.5",
        f"{what}: other clients are still served afterwards",
        timeouts=20.0,
        isolation=DESTRUCTIVE,
        causes=causes.FLOODED,
    )
    def survived(context: ScenarioContext) -> None:
        client = context.connect()
        client.send(first)
        _flood(context, client, unit * (_BLOCK_BYTES // len(unit)), most)
        client.close()
        _require_survival(context)

    survived.__doc__ = (
        f"Send {most // MIB} MiB of it unless the server answers or closes, leave, and connect again. {what}."
    )


for _flow in (
    ("endless-line", "An endless line", b"get_metadata ", b"n", 64 * MIB),
    ("endless-arguments", "Endless arguments", b"get_slice ", b"1 ", 16 * MIB),
    ("endless-high-bytes", "Endless bytes >= 0x80", b"", b"\xff\x80", 8 * MIB),
    ("endless-crs", "Endless CRs", b"quit", b"\r", 8 * MIB),
):
    _add_endless(*_flow)


@chapter.play(
    "lengths.left-in-line",
    "HFTP-9.5",
    "Clients that disconnect in the middle of a long line: other clients are still served afterwards",
    isolation=DESTRUCTIVE,
    timeouts=20.0,
    causes=causes.FLOODED,
)
def left_in_line(context: ScenarioContext) -> None:
    """Send 256 KiB, then close or reset, ten times each."""
    for number in range(20):
        client = context.connect()
        is_taken = client.send(b"get_metadata " + b"n" * _BLOCK_BYTES)
        if number % 2:
            client.reset()
        else:
            client.close()
        if not is_taken or not context.await_accepted():  # nor will it accept the next client's
            break
    _require_survival(context)


def _add_block(slug: str, requirement: str, what: str, block: bytes) -> None:
    @chapter.play(
        f"lengths.{slug}",
        requirement,
        f"{what}: other clients are still served afterwards",
        isolation=DESTRUCTIVE,
        timeouts=20.0,
        causes=causes.FLOODED,
    )
    def survived(context: ScenarioContext) -> None:
        client = context.connect()
        client.send(block or context.random.randbytes(_BLOCK_BYTES).translate(None, b"\r\n") + b"\r\n")
        client.quit_and_close()
        _require_survival(context)

    survived.__doc__ = f"Send them, end the stream, and connect again. {what}."


_HELLO: Final = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(255, 13, -1)) * 2

for _block in (
    ("random-bytes", "HFTP-1.13", "256 KiB of random bytes and a line end", b""),
    ("nuls", "HFTP-1.13", "64 KiB of NULs and a line end", bytes(64 * KIB) + b"\r\n"),
    ("tls", "HFTP-1.13", "A TLS ClientHello", _HELLO + b"\r\n"),
    ("http", "HFTP-9.5", "An HTTP request", b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
    ("empty-lines", "HFTP-9.5", "10,000 empty lines", b"\r\n" * 10_000),
):
    _add_block(*_block)

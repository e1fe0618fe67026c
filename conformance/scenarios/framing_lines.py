"""Command lines: what may be in them, bytes that nobody expects, and lines that the end of the stream cuts off."""

from conformance.scenario import DESTRUCTIVE, Chapter, Kind, Stage

chapter = Chapter()

_UNKNOWN = "hftp_conformance_probe"
_DIED = {
    Kind.CLOSED: "decoding the bytes failed, and the exception ended the client's thread or the process",
    Kind.RESET: "decoding the bytes failed, and the exception ended the client's thread or the process",
    Kind.TIMEOUT: "the line fell through all branches, and nobody answered it",
}

chapter.transcript(
    "framing.empty-line",
    "HFTP-1.7",
    "An empty line is a bad request",
    """
    C:
    S: 101 *
    <close>
    """,
    causes={
        Kind.TIMEOUT: "an empty line is skipped, as other protocols want it",
        Kind.STATUS: "an empty line is taken for an unknown command",
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
    causes={Kind.TIMEOUT: "an empty line is skipped, as other protocols want it"},
)

_ODD_LINES = (
    ("doubled-space", "get_metadata  {text}", "A doubled space"),
    ("leading-space", " get_metadata {text}", "A leading space"),
    ("trailing-space", "get_metadata {text} ", "A trailing space"),
    ("only-spaces", "   ", "A line of nothing but spaces"),
    ("tab", "get_metadata\\t{text}", "A tab for a space"),
    ("lone-cr", "get_metadata\\r{text}", "A lone CR in a line"),
    ("two-crs", "get_metadata {text}\\r", "CR CR LF at the end of a line"),
)


def _add_odd_line(slug: str, line: str, what: str) -> None:
    """Add two scenarios: what the answer is (a choice), and that it is one answer (not a choice)."""
    is_about_spaces = "\\" not in line

    def play(stage: Stage) -> None:
        text = stage.fixture("text")
        client = stage.connect()
        sent = line.replace("{text}", text.name.decode("latin-1")).encode().decode("unicode_escape").encode("latin-1")
        client.say(sent)
        status = client.status(0, 101, 200, 201, 202)
        stage.saw(f"answered {status}")
        if status.code == 0:
            client.size()
        client.in_step()

    play.__doc__ = f"Send it ({what}), and one more command."
    chapter.play(
        f"framing.{slug}",
        "HFTP-1.10",
        f"{what} gets one answer",
        needs=["text"],
        causes=_DIED | {Kind.STATUS: "the server takes it for the end of the line, and answers one line twice"},
    )(play)
    chapter.play(
        f"framing.{slug}-answer",
        "HFTP-1.9" if is_about_spaces else "HFTP-1.11",
        f"{what}: which answer",
        needs=["text"],
    )(play)


for _row in _ODD_LINES:
    _add_odd_line(*_row)

_FOREIGN = (
    ("nul", b"get_metadata a\0b", "A NUL in an argument"),
    ("nul-command", b"qu\0it", "A NUL in the command"),
    ("high-bytes", b"get_metadata \xff\xfe\x80", "Bytes that are no UTF-8"),
    ("utf-8", "get_metadata canción.txt".encode(), "A name in UTF-8"),
    ("controls", b"get_metadata \x01\x1b[31m\x7f\x08", "Control characters"),
    ("all-bytes", bytes(byte for byte in range(256) if byte not in b"\r\n"), "Every byte but CR and LF"),
)


def _add_foreign(slug: str, line: bytes, what: str) -> None:
    """Add two scenarios: that the line is answered, and that the server survives it."""

    @chapter.play(f"framing.{slug}", "HFTP-1.12", f"{what}: a status line", isolation=DESTRUCTIVE, causes=_DIED)
    def answered(stage: Stage) -> None:
        client = stage.connect()
        client.say(line)
        status = client.status(101, 200, 201, 202)
        stage.saw(f"answered {status}")
        client.in_step()

    @chapter.play(
        f"framing.{slug}-survived",
        "HFTP-1.13",
        f"{what}: other clients are served afterwards",
        isolation=DESTRUCTIVE,
        causes=_DIED | {Kind.REFUSED: "decoding the bytes failed, and the exception ended the process"},
    )
    def survived(stage: Stage) -> None:
        client = stage.connect()
        client.say(line)
        client.half_close()
        client.wait()
        client.close()
        stage.probe()

    answered.__doc__ = survived.__doc__ = f"Send it: {what}."


for _line in _FOREIGN:
    _add_foreign(*_line)

chapter.transcript(
    "framing.half-close",
    "HFTP-1.14",
    "The replies still come when the client has ended its half of the stream",
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
        Kind.CLOSED: "the end of the stream is taken for the end of the conversation, and owed replies are thrown away",
        Kind.OPEN: "recv returns no bytes at the end of the stream, and the server goes on reading",
    },
)

chapter.transcript(
    "framing.half-close-idle",
    "HFTP-1.14",
    "The server closes when a client that is owed nothing ends its half of the stream",
    f"""
    C: {_UNKNOWN}
    S: 200 *
    <half-close>
    <close>
    """,
    causes={Kind.OPEN: "recv returns no bytes at the end of the stream, and the server goes on reading"},
)


@chapter.play("framing.unfinished-line", "HFTP-1.15", "A line that the end of the stream cuts off")
def unfinished_line(stage: Stage) -> None:
    """Begin a line, and end the stream."""
    client = stage.connect()
    client.send(b"get_file_listing")
    client.half_close()
    answer = client.read_rest()
    stage.saw(f"answered by {len(answer)} bytes" if answer else "dropped")

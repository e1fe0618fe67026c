"""quit: its reply, and the end of the stream after it."""

from typing import Final

from conformance.diagnosis import commands as causes
from conformance.diagnosis.lines import SEARCHED_FIRST
from conformance.language import Message
from conformance.model.scenario import Cause, Chapter, Kind, ScenarioContext

chapter = Chapter()

_MISSING: Final = "{missing}"
_CUT_OFF: Final = Cause(
    "quit closes the connection before the previous slice is sent completely",
    control="""
    C: get_slice {medium} 0 {medium.size}
    S: 0 *
    S: <slice medium 0 {medium.size}>
    """,
)

chapter.transcript(
    "commands.quit",
    "HFTP-3.6",
    "quit is answered with 0, and the connection closes",
    """
    C: quit
    S: 0 *
    <close>
    """,
    causes=causes.QUIT_ALONE,
)

chapter.transcript(
    "commands.quit-after-others",
    "HFTP-3.6",
    "quit closes the connection after successes and errors",
    f"""
    C: get_metadata {{text}}
    S: 0 *
    S: {{text.size}}
    C: get_metadata {_MISSING}
    S: 202 *
    C: get_slice {{text}} 0 1
    S: 0 *
    S: <slice text 0 1>
    C: quit
    S: 0 *
    <close>
    """,
    causes=causes.QUIT,
)

chapter.transcript(
    "commands.quit-pipelined",
    "HFTP-3.6",
    "Commands after quit in the same packet are not executed",
    """
    C| quit\\r\\nget_file_listing\\r\\nget_metadata {text}\\r\\n{unknown-word}\\r\\n
    S: 0 *
    <close>
    """,
    causes=causes.QUIT_FIRST,
)

chapter.transcript(
    "commands.quit-twice",
    "HFTP-3.6",
    "Of two quits in one packet only the first is answered",
    """
    C| quit\\r\\nquit\\r\\n
    S: 0 *
    <close>
    """,
    causes=causes.QUIT_FIRST,
)

chapter.transcript(
    "commands.quit-before-bad-eol",
    "HFTP-3.6",
    "A bad line end after quit is ignored",
    """
    C| quit\\r\\n{unknown-word}\\nquit\\r\\n
    S: 0 *
    <close>
    """,
    causes=causes.QUIT_FIRST | {Kind.STATUS: SEARCHED_FIRST},
)

chapter.transcript(
    "commands.quit-with-argument-goes-on",
    "HFTP-3.6",
    "quit with an argument is an error, and the connection stays open",
    """
    C: quit now
    S: 201 *
    C: get_metadata {text}
    S: 0 *
    S: {text.size}
    C: quit
    S: 0 *
    <close>
    """,
    causes=causes.QUIT_ARGUMENT,
)


@chapter.play(
    "commands.quit-behind-slice",
    "HFTP-3.6",
    "A quit pipelined after get_slice does not truncate the slice",
    needs=["medium"],
    causes=causes.QUIT | dict.fromkeys((Kind.CLOSED, Kind.RESET), _CUT_OFF),
)
def quit_behind_slice(context: ScenarioContext) -> None:
    """Send get_slice of a whole file and quit in one packet; little of the file fits into the receive buffer."""
    file = context.fixture("medium")
    client = context.connect(receive_buffer_bytes=4096)
    client.send(b"get_slice %b 0 %d\r\nquit\r\n" % (file.name, file.size))
    client.status(0)
    client.slice(file.content, 0, file.size)
    client.status(0)
    client.read_end(Message("the end of the stream after quit"))


@chapter.play(
    "commands.quit-behind-many",
    "HFTP-3.6",
    "A quit pipelined after many commands does not lose their replies",
    causes=causes.QUIT
    | {
        Kind.CLOSED: "quit closes the connection before all replies to earlier commands are sent",
        Kind.RESET: "quit resets the connection before all replies have arrived, as SO_LINGER with 0 seconds does",
    },
)
def quit_behind_many(context: ScenarioContext) -> None:
    """Request more replies than a small buffer holds, and read them after the server has closed."""
    client = context.connect(receive_buffer_bytes=4096)
    count = 800
    client.send(b"get_metadata %b\r\n" % context.words.missing * count + b"quit\r\n")
    context.await_closed(client)
    for _ in range(count):
        client.status(202)
    client.status(0)
    client.read_end(Message("the end of the stream after quit"))

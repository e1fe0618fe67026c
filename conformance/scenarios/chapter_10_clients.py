"""A few clients at once: those that are busy, and those that say nothing, and neither is the others' business.

What clients do at the same time is never proved by a pause: a server that has answered the one client while the other
one's command, line or reply is under way has shown it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from conformance.client.client import UNKNOWN, Client, fetch
from conformance.diagnosis import controls
from conformance.failures import Failure
from conformance.model.causes import Cause, Told
from conformance.model.scenario import DESTRUCTIVE, Chapter, Kind, ScenarioContext

chapter = Chapter()

SMALL_BUFFER_BYTES: Final = 4096
"""What a client that does not read lets the kernel take in for it."""

_BLOCKED: Final[dict[Kind, Told]] = {
    Kind.TIMEOUT: Cause(
        "while the server waits for one client, it serves no other",
        expected="^200",
        seen="the other client gets no reply",
    ),
}
MIXED: Final[dict[Kind, Told]] = dict.fromkeys(
    (Kind.BODY, Kind.STATUS, Kind.MALFORMED, Kind.EXTRA),
    Cause("what belongs to one client is kept where all clients share it", control=controls.ONE_BY_ONE),
)


def together(works: Sequence[Callable[[], None]], workers: int = 0) -> None:
    """Do it all at the same time, each in a thread of its own; raise the first failure."""
    with ThreadPoolExecutor(workers or len(works), thread_name_prefix="client") as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()


def exchange(client: Client) -> None:
    """Have one command answered."""
    client.send_line(UNKNOWN)
    client.status(200)


# --- Two at once -------------------------------------------------------------------------------------


@chapter.play(
    "clients.two-at-once",
    "HFTP-10.1",
    "Two clients are served by turns",
    needs=["concurrency", "text"],
    causes=_BLOCKED,
)
def two_at_once(context: ScenarioContext) -> None:
    """Let two clients say different things, by turns, and read their replies the other way round."""
    text = context.fixture("text")
    first, second = context.connect(), context.connect()
    for _ in range(5):
        first.send_line(b"get_metadata " + text.name)
        second.send_line(b"get_metadata hftp-conformance-no-such-file")
        second.status(202)
        first.status(0)
        if (size := first.size()) != text.size:
            raise Failure(Kind.BODY, f"the size {text.size}", str(size))
    first.finish()
    second.finish()


@chapter.play(
    "clients.quit-of-one", "HFTP-10.3", "One client quits, and the others go on", needs=["concurrency"], causes=MIXED
)
def quit_of_one(context: ScenarioContext) -> None:
    """Let three clients begin and the second one quit."""
    clients = [context.connect() for _ in range(3)]
    for client in clients:
        exchange(client)
    clients.pop(1).finish()
    for client in clients:
        exchange(client)
        client.finish()


@chapter.play(
    "clients.fatal-of-one",
    "HFTP-10.3",
    "A fatal error of one client does not end the conversations of others",
    needs=["concurrency"],
    causes=MIXED,
)
def fatal_of_one(context: ScenarioContext) -> None:
    """Let three clients begin, the second one in the middle of a line, and the third send a bad line end."""
    first, second, third = (context.connect() for _ in range(3))
    exchange(first)
    second.send(b"get_meta")
    third.send(b"qui\nt\r\n")
    third.status(100)
    third.read_end("the end of the stream after 100")
    second.send(b"data\r\n")
    second.status(201)
    for client in (first, second):
        exchange(client)
        client.finish()


@chapter.play(
    "clients.errors-of-others",
    "HFTP-10.3",
    "An error of one client is not another's",
    needs=["text"],
    causes=MIXED,
)
def errors_of_others(context: ScenarioContext) -> None:
    """Let one client be refused in each way, and another one ask for what there is."""
    text = context.fixture("text")
    for line, code in (
        (b"get_slice %b %d 1" % (text.name, text.size), 203),
        (b"get_metadata hftp-conformance-no-such-file", 202),
        (b"get_slice %b x y" % text.name, 201),
        (UNKNOWN, 200),
    ):
        client = context.connect()
        client.send_line(line)
        client.status(code)
        client.part()
        other = context.connect()
        fetch(other, text.name, 0, text.size, text.content)
        other.finish()


# --- Who blocks whom ---------------------------------------------------------------------------------


@chapter.play(
    "clients.idle",
    "HFTP-10.2",
    "Clients that have said nothing do not block others",
    needs=["concurrency"],
    causes=_BLOCKED,
)
def idle(context: ScenarioContext) -> None:
    """Connect three, have a fourth one served, and then the three, the last first."""
    clients = [context.connect() for _ in range(3)]
    context.probe()
    for client in reversed(clients):
        exchange(client)
        client.finish()


@chapter.play(
    "clients.mid-line",
    "HFTP-10.2",
    "Clients that have stopped in the middle of a line do not block others",
    needs=["concurrency"],
    causes=_BLOCKED,
)
def mid_line(context: ScenarioContext) -> None:
    """Begin lines, have another client served, and end the lines, the last first."""
    begun = (b"get_me", b"get_metadata ", b"hftp_conformance_pro", b"get_metadata\r")
    clients = [(context.connect(), begin) for begin in begun]
    for client, begin in clients:
        client.send(begin)
    context.probe()
    ends = {b"get_me": (b"tadata\r\n", 201), begun[1]: (b"no-such\r\n", 202), begun[2]: (b"be\r\n", 200)}
    for client, begin in reversed(clients):
        end, code = ends.get(begin, (b"\n", 201))
        client.send(end)
        client.status(code)
        client.finish()


@chapter.play(
    "clients.half-closed",
    "HFTP-10.2",
    "Clients that have ended their half of the stream, and stay, do not block others",
    needs=["concurrency"],
    causes=_BLOCKED,
)
def half_closed(context: ScenarioContext) -> None:
    """End the stream at once, in the middle of a line and after a command, and have another client served."""
    for begin in (b"", b"get_meta", UNKNOWN + b"\r\n"):
        client = context.connect()
        client.send(begin)
        client.half_close()
    context.probe()


@chapter.play(
    "clients.not-reading",
    "HFTP-10.2",
    "Clients that do not read a large slice do not block others",
    needs=["concurrency", "large"],
    isolation=DESTRUCTIVE,
    timeouts=20.0,
    causes=_BLOCKED,
)
def not_reading(context: ScenarioContext) -> None:
    """Let three clients ask for all of it and read nothing but the status, and have others served."""
    large = context.fixture("large")
    for _ in range(3):
        client = context.connect(receive_buffer_bytes=SMALL_BUFFER_BYTES)
        client.send_line(b"get_slice %b 0 %d" % (large.name, large.size))
        client.status(0)
    for _ in range(3):
        context.probe()


@chapter.play(
    "clients.not-reading-replies",
    "HFTP-10.2",
    "A client that does not read the replies to many commands does not block others",
    needs=["concurrency", "medium"],
    isolation=DESTRUCTIVE,
    timeouts=20.0,
    causes=_BLOCKED,
)
def not_reading_replies(context: ScenarioContext) -> None:
    """Let a client ask for the same slice 30 times without reading, have others served, then read it all."""
    medium = context.fixture("medium")
    client = context.connect(receive_buffer_bytes=SMALL_BUFFER_BYTES)
    client.send((b"get_slice %b 0 %d\r\n" % (medium.name, medium.size)) * 30)
    for _ in range(3):
        context.probe()
    client.read_ahead()
    for _ in range(30):
        client.status(0)
        client.slice(medium.content, 0, medium.size)
    client.finish()


@chapter.play(
    "clients.slow-reader",
    "HFTP-10.3",
    "A client that reads late gets its slice whole, whatever others have done meanwhile",
    needs=["concurrency", "medium", "text"],
    isolation=DESTRUCTIVE,
    timeouts=20.0,
    causes=MIXED
    | dict.fromkeys(
        (Kind.CLOSED, Kind.RESET),
        Cause("a client that does not read for a moment is dropped", control=controls.LARGE_WORKS),
    ),
)
def slow_reader(context: ScenarioContext) -> None:
    """Let one client ask for a slice, have 40 others served, and read the slice then."""
    medium, text = context.fixture("medium"), context.fixture("text")
    slow = context.connect(receive_buffer_bytes=SMALL_BUFFER_BYTES)
    slow.send_line(b"get_slice %b 1 %d" % (medium.name, medium.size - 1))
    slow.status(0)
    for _ in range(40):
        other = context.connect()
        fetch(other, text.name, 0, text.size, text.content)
        other.finish()
    slow.read_ahead()
    slow.slice(medium.content, 1, medium.size - 1)
    slow.finish()

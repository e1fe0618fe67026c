"""A few concurrent clients, busy and idle, do not affect each other.

No pause proves concurrency: a server proves it by answering one client while another one's command, line or reply is
incomplete.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from conformance.client.client import Client, fetch
from conformance.diagnosis import controls
from conformance.failures import Failure
from conformance.language import Message
from conformance.model.likely_causes import Cause, CauseSpec
from conformance.model.scenario import DESTRUCTIVE, Chapter, Kind, ScenarioContext

chapter = Chapter()

SMALL_BUFFER_BYTES: Final = 4096
"""Size of the receive buffer of a client that does not read."""

_BLOCKED: Final[dict[Kind, CauseSpec]] = {
    Kind.TIMEOUT: Cause(
        "the server serves one client at a time: while it waits for one, others get no reply",
        expected="^200",
        seen="the other client got no reply",
    ),
}
MIXED: Final[dict[Kind, CauseSpec]] = dict.fromkeys(
    (Kind.BODY, Kind.STATUS, Kind.MALFORMED, Kind.EXTRA),
    Cause("state of one connection is stored in variables that all connections share", control=controls.ONE_BY_ONE),
)


def together(works: Sequence[Callable[[], None]], workers: int = 0) -> None:
    """Run all functions concurrently, each in its own thread; raise the first failure."""
    with ThreadPoolExecutor(workers or len(works), thread_name_prefix="client") as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()


def exchange(client: Client) -> None:
    """Send one command and require its reply."""
    client.send_line(client.words.unknown)
    client.status(200)


# --- Two at once -------------------------------------------------------------------------------------


@chapter.play(
    "clients.two-at-once",
    "HFTP-10.1",
    "Two clients are served at the same time",
    needs=["concurrency", "text"],
    causes=_BLOCKED,
)
def two_at_once(context: ScenarioContext) -> None:
    """Let two clients send different commands alternately, and read their replies in reverse order."""
    text = context.fixture("text")
    first, second = context.connect(), context.connect()
    for _ in range(5):
        first.send_line(b"get_metadata " + text.name)
        second.send_line(b"get_metadata " + context.words.missing)
        second.status(202)
        first.status(0)
        if (size := first.size()) != text.size:
            raise Failure(Kind.BODY, Message("the size {size}", size=text.size), str(size))
    first.finish()
    second.finish()


@chapter.play(
    "clients.quit-of-one",
    "HFTP-10.3",
    "When one client quits, the others stay connected",
    needs=["concurrency"],
    causes=MIXED,
)
def quit_of_one(context: ScenarioContext) -> None:
    """Connect three clients, and let the second one quit."""
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
    "A fatal error of one client does not close the connections of others",
    needs=["concurrency"],
    causes=MIXED,
)
def fatal_of_one(context: ScenarioContext) -> None:
    """Connect three clients; the second stops in the middle of a line, the third sends a bad line end."""
    first, second, third = (context.connect() for _ in range(3))
    exchange(first)
    second.send(b"get_meta")
    second.await_read()
    third.send(b"qui\nt\r\n")
    third.status(100)
    third.read_end(Message("the end of the stream after 100"))
    second.send(b"data\r\n")
    second.status(201)
    for client in (first, second):
        exchange(client)
        client.finish()


@chapter.play(
    "clients.errors-of-others",
    "HFTP-10.3",
    "An error of one client does not affect another one",
    needs=["text"],
    causes=MIXED,
)
def errors_of_others(context: ScenarioContext) -> None:
    """Cause each kind of error with one client, then fetch a file with another one."""
    text = context.fixture("text")
    for line, code in (
        (b"get_slice %b %d 1" % (text.name, text.size), 203),
        (b"get_metadata " + context.words.missing, 202),
        (b"get_slice %b x y" % text.name, 201),
        (context.words.unknown, 200),
    ):
        client = context.connect()
        client.send_line(line)
        client.status(code)
        client.quit_and_close()
        other = context.connect()
        fetch(other, text.name, 0, text.size, text.content)
        other.finish()


# --- Clients that must not block others --------------------------------------------------------------


@chapter.play(
    "clients.idle",
    "HFTP-10.2",
    "Idle clients do not block others",
    needs=["concurrency"],
    causes=_BLOCKED,
)
def idle(context: ScenarioContext) -> None:
    """Connect three, require that a fourth is served, and then the three in reverse order."""
    clients = [context.connect() for _ in range(3)]
    context.probe()
    for client in reversed(clients):
        exchange(client)
        client.finish()


@chapter.play(
    "clients.mid-line",
    "HFTP-10.2",
    "Clients that stop in the middle of a line do not block others",
    needs=["concurrency"],
    causes=_BLOCKED,
)
def mid_line(context: ScenarioContext) -> None:
    """Send parts of lines, require that another client is served, and end the lines in reverse order."""
    unknown, missing = context.words.unknown, context.words.missing
    begun = (b"get_me", b"get_metadata ", unknown[:-2], b"get_metadata\r")
    clients = [(context.connect(), begin) for begin in begun]
    for client, begin in clients:
        client.send(begin)
        client.await_read()
    context.probe()
    ends = {
        b"get_me": (b"tadata\r\n", 201),
        begun[1]: (missing + b"\r\n", 202),
        begun[2]: (unknown[-2:] + b"\r\n", 200),
    }
    for client, begin in reversed(clients):
        end, code = ends.get(begin, (b"\n", 201))
        client.send(end)
        client.status(code)
        client.finish()


@chapter.play(
    "clients.half-closed",
    "HFTP-10.2",
    "Clients that half-close and stay connected do not block others",
    needs=["concurrency"],
    causes=_BLOCKED,
)
def half_closed(context: ScenarioContext) -> None:
    """Half-close at once, in the middle of a line and after a command; require that another client is served."""
    for begin in (b"", b"get_meta", context.words.unknown + b"\r\n"):
        client = context.connect()
        client.send(begin)
        client.await_read()
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
    """Let three clients request all of it and read only the status; require that others are served."""
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
    """Request the same slice 30 times without reading, require that others are served, then read all replies."""
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
    "A client that reads late gets its complete slice, whatever others do meanwhile",
    needs=["concurrency", "medium", "text"],
    isolation=DESTRUCTIVE,
    timeouts=20.0,
    causes=MIXED
    | dict.fromkeys(
        (Kind.CLOSED, Kind.RESET),
        Cause("a client that stops reading for a moment is disconnected", control=controls.LARGE_WORKS),
    ),
)
def slow_reader(context: ScenarioContext) -> None:
    """Request a slice, require that 40 other clients are served, then read the slice."""
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

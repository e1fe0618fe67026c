"""A few clients at once: those that are busy, and those that say nothing, and neither is the others' business.

What clients do at the same time is never proved by a pause: a server that has answered the one client while the other
one's command, line or reply is under way has shown it.
"""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from conformance.client import UNKNOWN, Client, fetch
from conformance.failure import Failure
from conformance.fixtures import Fixture
from conformance.scenario import DESTRUCTIVE, EXCLUSIVE, Chapter, Kind, Stage

chapter = Chapter()

SMALL_BUFFER_BYTES: Final = 4096
"""What a client that does not read lets the kernel take in for it."""

_BLOCKED: Final = {
    Kind.TIMEOUT: "the server waits for one client and serves no other in the meantime",
    Kind.REFUSED: "the server waits for one client and accepts no other in the meantime",
}
_MIXED: Final = {
    Kind.BODY: "what belongs to one client is kept where all clients share it",
    Kind.STATUS: "what belongs to one client is kept where all clients share it",
    Kind.MALFORMED: "what belongs to one client is kept where all clients share it",
    Kind.EXTRA: "a reply went to a client that it does not belong to",
    Kind.TIMEOUT: "a reply went to another client, or one client keeps the others waiting",
    Kind.CLOSED: "what one client did has ended the conversation of another",
}


def together(works: Sequence[Callable[[], None]], workers: int = 0) -> None:
    """Do it all at the same time, each in a thread of its own; raise the first failure."""
    with ThreadPoolExecutor(workers or len(works), thread_name_prefix="client") as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()


def exchange(client: Client) -> None:
    """Have one command answered."""
    client.say(UNKNOWN)
    client.status(200)


# --- Two at once -------------------------------------------------------------------------------------


@chapter.play(
    "clients.two-at-once",
    "HFTP-10.1",
    "Two clients are served by turns",
    needs=["concurrency", "text"],
    causes=_BLOCKED,
)
def two_at_once(stage: Stage) -> None:
    """Let two clients say different things, by turns, and read their replies the other way round."""
    text = stage.fixture("text")
    first, second = stage.connect(), stage.connect()
    for _ in range(5):
        first.say(b"get_metadata " + text.name)
        second.say(b"get_metadata hftp-conformance-no-such-file")
        second.status(202)
        first.status(0)
        if (size := first.size()) != text.size:
            raise Failure(Kind.BODY, f"the size {text.size}", str(size))
    first.finish()
    second.finish()


@chapter.play(
    "clients.quit-of-one", "HFTP-10.3", "One client quits, and the others go on", needs=["concurrency"], causes=_MIXED
)
def quit_of_one(stage: Stage) -> None:
    """Let three clients begin and the second one quit."""
    clients = [stage.connect() for _ in range(3)]
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
    causes=_MIXED,
)
def fatal_of_one(stage: Stage) -> None:
    """Let three clients begin, the second one in the middle of a line, and the third send a bad line end."""
    first, second, third = (stage.connect() for _ in range(3))
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
    causes=_MIXED,
)
def errors_of_others(stage: Stage) -> None:
    """Let one client be refused in each way, and another one ask for what there is."""
    text = stage.fixture("text")
    for line, code in (
        (b"get_slice %b %d 1" % (text.name, text.size), 203),
        (b"get_metadata hftp-conformance-no-such-file", 202),
        (b"get_slice %b x y" % text.name, 201),
        (UNKNOWN, 200),
    ):
        client = stage.connect()
        client.say(line)
        client.status(code)
        client.close()
        other = stage.connect()
        fetch(other, text.name, 0, text.size, text.content)
        other.finish()


# --- Who blocks whom ---------------------------------------------------------------------------------


@chapter.play(
    "clients.idle",
    "HFTP-10.2",
    "Clients that have said nothing do not block others",
    needs=["concurrency"],
    causes=_BLOCKED | {Kind.TIMEOUT: "the server waits for a client's first bytes before it accepts the next"},
)
def idle(stage: Stage) -> None:
    """Connect three, have a fourth one served, and then the three, the last first."""
    clients = [stage.connect() for _ in range(3)]
    stage.probe()
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
def mid_line(stage: Stage) -> None:
    """Begin lines, have another client served, and end the lines, the last first."""
    begun = (b"get_me", b"get_metadata ", b"hftp_conformance_pro", b"get_metadata\r")
    clients = [(stage.connect(), begin) for begin in begun]
    for client, begin in clients:
        client.send(begin)
    stage.probe()
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
def half_closed(stage: Stage) -> None:
    """End the stream at once, in the middle of a line and after a command, and have another client served."""
    for begin in (b"", b"get_meta", UNKNOWN + b"\r\n"):
        client = stage.connect()
        client.send(begin)
        client.half_close()
    stage.probe()


@chapter.play(
    "clients.not-reading",
    "HFTP-10.2",
    "Clients that do not read a large slice do not block others",
    needs=["concurrency", "large"],
    isolation=DESTRUCTIVE,
    patiences=20.0,
    causes=_BLOCKED | {Kind.TIMEOUT: "the server sends to one client until that has taken all, and serves nobody else"},
)
def not_reading(stage: Stage) -> None:
    """Let three clients ask for all of it and read nothing but the status, and have others served."""
    large = stage.fixture("large")
    for _ in range(3):
        client = stage.connect(receive_buffer_bytes=SMALL_BUFFER_BYTES)
        client.say(b"get_slice %b 0 %d" % (large.name, large.size))
        client.status(0)
    for _ in range(3):
        stage.probe()


@chapter.play(
    "clients.not-reading-replies",
    "HFTP-10.2",
    "A client that does not read the replies to many commands does not block others",
    needs=["concurrency", "medium"],
    isolation=DESTRUCTIVE,
    patiences=20.0,
    causes=_BLOCKED,
)
def not_reading_replies(stage: Stage) -> None:
    """Let a client ask for the same slice 30 times without reading, have others served, then read it all."""
    medium = stage.fixture("medium")
    client = stage.connect(receive_buffer_bytes=SMALL_BUFFER_BYTES)
    client.send((b"get_slice %b 0 %d\r\n" % (medium.name, medium.size)) * 30)
    for _ in range(3):
        stage.probe()
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
    patiences=20.0,
    causes=_MIXED
    | {
        Kind.CLOSED: "a client that does not read at once is dropped",
        Kind.RESET: "a client that does not read at once is dropped",
    },
)
def slow_reader(stage: Stage) -> None:
    """Let one client ask for a slice, have 40 others served, and read the slice then."""
    medium, text = stage.fixture("medium"), stage.fixture("text")
    slow = stage.connect(receive_buffer_bytes=SMALL_BUFFER_BYTES)
    slow.say(b"get_slice %b 1 %d" % (medium.name, medium.size - 1))
    slow.status(0)
    for _ in range(40):
        other = stage.connect()
        fetch(other, text.name, 0, text.size, text.content)
        other.finish()
    slow.slice(medium.content, 1, medium.size - 1)
    slow.finish()


# --- What must not mix -------------------------------------------------------------------------------


@chapter.play(
    "clients.lines-by-turns",
    "HFTP-10.3",
    "Lines that several clients send in pieces, by turns, do not mix",
    needs=["concurrency"],
    causes=_MIXED,
)
def lines_by_turns(stage: Stage) -> None:
    """Let eight clients send a byte each, by turns, of lines of one length, until all lines have ended."""
    lines = {200: b"hftp_conformance_abc", 201: b"get_slice a bbb cccc", 202: b"get_metadata zzz.zzz"}
    codes = [stage.random.choice(list(lines)) for _ in range(8)]
    clients = [stage.connect() for _ in codes]
    whole = [lines[code] + b"\r\n" for code in codes]
    for at in range(len(whole[0])):
        for client, line in zip(clients, whole, strict=True):
            client.send(line[at : at + 1])
    for client, code in zip(clients, codes, strict=True):
        client.status(code)
        client.finish()


def _fetch_some(client: Client, files: Sequence[Fixture], seed: int, number: int) -> None:
    """Fetch random slices of files, and compare them."""
    draw = random.Random(seed)  # noqa: S311  (no secret)
    for _ in range(number):
        file = draw.choice(files)
        size = draw.randrange(1, min(file.size, 100_000) + 1)
        fetch(client, file.name, offset := draw.randrange(file.size - size + 1), size, file.content)
        if draw.random() < 0.2:  # noqa: PLR2004  (now and then)
            client.say(b"get_slice %b %d %d" % (file.name, offset, file.size))
            client.status(*((0,) if not offset else (203,)))
            if not offset:
                client.slice(file.content, 0, file.size)
    client.finish()


@chapter.play(
    "clients.busy-slices",
    "HFTP-10.3",
    "Slices that eight clients fetch at the same time do not mix",
    needs=["concurrency", "medium", "binary"],
    isolation=EXCLUSIVE,
    patiences=20.0,
    causes=_MIXED,
)
def busy_slices(stage: Stage) -> None:
    """Let each of them fetch random slices of two files, and compare every byte."""
    files = [stage.fixture("medium"), stage.fixture("binary")]
    works = [partial(_fetch_some, stage.connect(), files, stage.random.getrandbits(32), 25) for _ in range(8)]
    together(works)


@chapter.play(
    "clients.same-file",
    "HFTP-10.3",
    "A file that eight clients fetch at the same time, each from another offset on, does not mix",
    needs=["concurrency", "large"],
    isolation=EXCLUSIVE,
    patiences=30.0,
    causes=_MIXED,
)
def same_file(stage: Stage) -> None:
    """Let each of them fetch a MiB of it, or an eighth, and compare every byte."""
    large = stage.fixture("large")
    size = min(1 << 20, large.size // 8)

    def work(client: Client, offset: int) -> None:
        fetch(client, large.name, offset, size, large.content)
        client.finish()

    together([partial(work, stage.connect(), number * size) for number in range(8)])


@chapter.play(
    "clients.busy-commands",
    "HFTP-10.3",
    "The replies to 500 commands that each of four clients sends at once go to whom they belong to",
    needs=["concurrency", "text"],
    isolation=EXCLUSIVE,
    patiences=20.0,
    causes=_MIXED,
)
def busy_commands(stage: Stage) -> None:
    """Let them send commands of four kinds, in random orders, and read every reply in its order."""
    text = stage.fixture("text")
    lines = {200: UNKNOWN, 201: b"get_metadata", 202: b"get_metadata no-such", 0: b"get_metadata " + text.name}

    def work(client: Client, order: Sequence[int]) -> None:
        client.send(b"".join(lines[code] + b"\r\n" for code in order))
        for code in order:
            client.status(code)
            if code == 0 and (size := client.size()) != text.size:
                raise Failure(Kind.BODY, f"the size {text.size}", str(size))
        client.finish()

    orders = [stage.random.choices(list(lines), k=500) for _ in range(4)]
    together([partial(work, stage.connect(), order) for order in orders])

"""Large slices: read fast, late or slowly, pipelined, and abandoned."""

from typing import Final

from conformance.client.client import fetch
from conformance.diagnosis import slices as causes
from conformance.language import Message
from conformance.model.scenario import DESTRUCTIVE, EXCLUSIVE, Chapter, ScenarioContext

chapter = Chapter()

# --- Large slices ------------------------------------------------------------------------------------


@chapter.play(
    "slices.large",
    "HFTP-6.12",
    "A large file arrives complete in one slice",
    needs=["large"],
    isolation=EXCLUSIVE,
    timeouts=60.0,
    causes=causes.LARGE,
)
def large(context: ScenarioContext) -> None:
    """Fetch the whole file as fast as possible."""
    file = context.fixture("large")
    client = context.connect()
    fetch(client, file.name, 0, file.size, file.content)
    client.finish()


@chapter.play(
    "slices.large-read-late",
    "HFTP-6.12",
    "A large slice arrives complete at a client that starts to read late",
    needs=["large"],
    timeouts=60.0,
    causes=causes.LARGE_LATE,
)
def large_read_late(context: ScenarioContext) -> None:
    """Let the socket buffers fill before reading."""
    file = context.fixture("large")
    size = min(file.size, 12 << 20)
    client = context.connect(receive_buffer_bytes=65_536)
    client.send_line(b"get_slice %b 0 %d" % (file.name, size))
    client.await_filled()
    client.read_ahead()
    client.status(0)
    client.slice(file.content, 0, size)
    client.finish()


@chapter.play(
    "slices.large-read-slowly",
    "HFTP-6.12",
    "Large slices arrive complete at a client that reads slowly",
    needs=["large"],
    timeouts=60.0,
    causes=causes.MANY,
)
def large_read_slowly(context: ScenarioContext) -> None:
    """Pipeline requests for many slices, and pause before reading each."""
    file = context.fixture("large")
    size = min(file.size // 32, 1 << 18)
    client = context.connect(receive_buffer_bytes=65_536)
    client.send(b"".join(b"get_slice %b %d %d\r\n" % (file.name, at * size, size) for at in range(32)))
    for at in range(32):
        context.pause()
        client.status(0)
        client.slice(file.content, at * size, size)
    client.finish()


@chapter.play(
    "slices.pipelined",
    "HFTP-6.12",
    "200 pipelined slices arrive complete and in order",
    needs=["medium"],
    timeouts=20.0,
    causes=causes.MANY,
)
def pipelined(context: ScenarioContext) -> None:
    """Send all commands before reading."""
    file = context.fixture("medium")
    parts = [(context.random.randrange(file.size - 3000), context.random.randrange(3000)) for _ in range(200)]
    client = context.connect()
    client.send(b"".join(b"get_slice %b %d %d\r\n" % (file.name, *part) for part in parts))
    for offset, size in parts:
        client.status(0)
        client.slice(file.content, offset, size)
    client.finish()


# --- Clients that disconnect -------------------------------------------------------------------------


_LARGER_THAN_BUFFERS: Final = 8 << 20
"""Linux buffers up to 4 MiB of what a server sends (tcp_wmem in tcp(7))."""


def _leave(context: ScenarioContext, how: str, read_bytes: int, most: int | None = None) -> None:
    """Request a large slice, of at most so many bytes, read some of it, and close or reset the connection."""
    file = context.fixture("large")
    size = file.size if most is None else min(most, file.size)
    client = context.connect(receive_buffer_bytes=65_536)
    client.send_line(b"get_slice %b 0 %d" % (file.name, size))
    if read_bytes:
        client.read(min(read_bytes, size), Message("the beginning of a slice"))
    if how == "reset":
        client.reset()
    else:
        client.close()
    context.await_accepted()


def _still_serves(context: ScenarioContext) -> None:
    """Require a correct slice, not only a status line."""
    file = context.fixture("large")
    client = context.connect()
    fetch(client, file.name, 1, min(1000, file.size - 1), file.content)
    client.finish()


for _how, _read, _what in (
    ("closed", 0, "closes before it reads from a large slice"),
    ("closed", 100_000, "closes in the middle of a large slice"),
    ("reset", 0, "resets the connection before it reads from a large slice"),
    ("reset", 100_000, "resets the connection in the middle of a large slice"),
):

    @chapter.play(
        f"slices.{_how}-{'midway' if _read else 'unread'}",
        "HFTP-6.13",
        f"A client that {_what} does not affect the next one",
        needs=["large"],
        isolation=DESTRUCTIVE,
        causes=causes.LEFT,
    )
    def left(context: ScenarioContext, how: str = _how, read: int = _read) -> None:
        """Disconnect three times, then require service."""
        for _ in range(3):
            _leave(context, how, read)
        _still_serves(context)


@chapter.play(
    "slices.reset-often",
    "HFTP-6.13",
    "50 clients that reset the connection in the middle of a slice do not affect the next one",
    needs=["large"],
    isolation=DESTRUCTIVE,
    timeouts=20.0,
    causes=causes.LEFT,
)
def reset_often(context: ScenarioContext) -> None:
    """Disconnect at different points, then require service."""
    for number in range(50):
        _leave(context, "reset", (number % 5) * 10_000, _LARGER_THAN_BUFFERS)
    _still_serves(context)

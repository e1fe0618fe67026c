"""Many clients, and clients that disconnect: no resource leaks, and other clients are still served."""

import resource
from typing import Final

from conformance.client.client import Client
from conformance.failures import Incomplete
from conformance.language import Message
from conformance.model.likely_causes import Cause, CauseSpec
from conformance.model.scenario import DESTRUCTIVE, Chapter, Kind, ScenarioContext
from conformance.scenarios.chapter_10_clients import SMALL_BUFFER_BYTES, exchange, together

chapter = Chapter()

_SPARE_DESCRIPTORS: Final = 100
_DIALLERS: Final = 32

_LIMITED: Final[dict[Kind, CauseSpec]] = {
    Kind.STATUS: Cause("each command leaks a resource: an open file, a socket or memory", codes=(199,)),
}
_ORPHANED: Final[dict[Kind, CauseSpec]] = {
    Kind.GONE: "clients that disconnect crash the server, or keep it from serving others",
    Kind.REFUSED: "after clients disconnect, the server refuses connections",
    Kind.TIMEOUT: "after clients disconnect, the server accepts others but does not serve them: recv() returns no"
    " bytes at the end of a stream, and the server keeps waiting for more",
}


def _crowd(context: ScenarioContext, number: int) -> list[Client]:
    """Connect `number` clients, at most a backlog at a time; raise Incomplete if the system refuses."""
    _make_room(number)
    return context.connect_many(number)


def _finish(clients: list[Client]) -> None:
    """Send quit on all connections, then close each."""
    for client in clients:
        client.send_line("quit")
    for client in clients:
        client.leave()


def _make_room(number: int) -> None:
    """Raise the limit on open files of this process for `number` clients; raise Incomplete."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number + _SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            message = Message(
                "{number} clients need {wanted} open files, and the system allows {hard} (ulimit -n)",
                number=number,
                wanted=wanted,
                hard=hard,
            )
            raise Incomplete(message)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


# --- Many clients ------------------------------------------------------------------------------------


@chapter.play(
    "clients.many",
    "HFTP-10.4",
    "Many concurrent clients (--clients) are all served",
    needs=["concurrency"],
    isolation=DESTRUCTIVE,
    timeouts=30.0,
    causes=_LIMITED,
)
def many(context: ScenarioContext) -> None:
    """Connect all, require two replies for each, and that one more client is served."""
    clients = _crowd(context, context.clients)
    for _ in range(2):
        for client in clients:
            client.send_line(client.words.unknown)
        for client in clients:
            client.status(200)
    context.probe()
    _finish(clients)


@chapter.play(
    "clients.many-idle",
    "HFTP-10.4",
    "Many idle clients (--clients) do not block an active one",
    needs=["concurrency"],
    isolation=DESTRUCTIVE,
    timeouts=30.0,
    causes=_LIMITED,
)
def many_idle(context: ScenarioContext) -> None:
    """Connect all, require that another client is served, and then the first one connected."""
    clients = _crowd(context, context.clients)
    context.probe()
    clients[0].finish()


@chapter.play(
    "clients.burst",
    "HFTP-10.4",
    "Many clients (--clients) that connect at the same time are all served",
    needs=["concurrency"],
    isolation=DESTRUCTIVE,
    timeouts=30.0,
    causes=_LIMITED,
)
def burst(context: ScenarioContext) -> None:
    """Connect a backlog of clients at the same moment, until all are connected; require a reply for each."""
    _make_room(context.clients)
    clients: list[Client] = []

    def work() -> None:
        client = context.connect(timeout_seconds=2 * context.timeout_seconds)
        clients.append(client)
        client.send_line(client.words.unknown)

    while len(clients) < context.clients:
        together([work] * min(context.wave, _DIALLERS, context.clients - len(clients)))
        context.await_accepted()
    for client in clients:
        client.status(200)
    _finish(clients)


_USUAL_BACKLOG: Final = 128


@chapter.play(
    "clients.backlog",
    "HFTP-10.6",
    "How long the backlog of the listening socket is",
    needs=["concurrency"],
    isolation=DESTRUCTIVE,
)
def backlog(context: ScenarioContext) -> None:
    """Connect a backlog of clients at once, at most 32; require a reply for each, and report the backlog."""
    length = context.run_context.backlog
    clients = [context.connect() for _ in range(min(context.wave, _DIALLERS))]
    for client in clients:
        exchange(client)
    if length is None:
        context.observe(Message("the backlog is unknown"))
    elif length < _USUAL_BACKLOG:
        context.observe(
            Message(
                "listen({length}): if more clients than that connect at the same moment, some wait a second or longer;"
                " listen({usual}) avoids that at no cost",
                length=length,
                usual=_USUAL_BACKLOG,
            )
        )
    else:
        context.observe(f"listen({length})")


@chapter.play(
    "clients.one-after-another",
    "HFTP-10.4",
    "Many clients (--clients) in sequence are all served",
    isolation=DESTRUCTIVE,
    timeouts=30.0,
    causes=_LIMITED,
)
def one_after_another(context: ScenarioContext) -> None:
    """Connect, send a command and quit, repeatedly."""
    for _ in range(context.clients):
        context.connect().finish()
    context.probe()


@chapter.play(
    "clients.many-files",
    "HFTP-10.4",
    "A file can be fetched 1,100 times",
    needs=["text"],
    isolation=DESTRUCTIVE,
    timeouts=20.0,
    causes={
        Kind.STATUS: Cause("files are opened but never closed, until the limit on open files is reached", codes=(199,))
    },
)
def many_files(context: ScenarioContext) -> None:
    """Fetch a file 1,100 times in pipelines of 100, more than the usual limit on open files (1,024)."""
    text = context.fixture("text")
    client = context.connect()
    for _ in range(11):
        client.send((b"get_slice %b 0 %d\r\n" % (text.name, text.size)) * 100)
        for _ in range(100):
            client.status(0)
            client.slice(text.content, 0, text.size)
    client.finish()


# --- Clients that disconnect -------------------------------------------------------------------------


def _add_departure(slug: str, what: str, begin: str, *, is_reset: bool, times: int = 20) -> None:
    @chapter.play(
        f"clients.{slug}",
        "HFTP-10.5",
        f"{what}: other clients are still served afterwards",
        isolation=DESTRUCTIVE,
        timeouts=20.0,
        causes=_ORPHANED,
    )
    def survived(context: ScenarioContext) -> None:
        for _ in range(times or context.clients):
            client = context.connect()
            client.send(context.filled(begin).encode())
            if begin and "\n" not in begin:
                client.await_read()
            if is_reset:
                client.reset()
            else:
                client.close()
        context.probe()

    survived.__doc__ = f"{what}, {times or '--clients'} times; then require that a new client is served."


for _slug, _what, _begin, _is_reset, _times in (
    ("leave-at-once", "Clients that connect and close", "", False, 0),
    ("reset-at-once", "Clients that connect and reset", "", True, 20),
    ("leave-mid-line", "Clients that close in the middle of a line", "get_meta", False, 20),
    ("reset-mid-line", "Clients that reset in the middle of a line", "get_meta", True, 20),
    ("leave-unread", "Clients that close before they get a reply", "{unknown}\r\n", False, 0),
    ("reset-unread", "Clients that reset before they get a reply", "{unknown}\r\n" * 200, True, 20),
    ("leave-after-fatal", "Clients that close after a bad line end", "a\nb\r\n" * 2000, False, 20),
):
    _add_departure(_slug, _what, _begin, is_reset=_is_reset, times=_times)


@chapter.play(
    "clients.reset-mid-reply",
    "HFTP-10.5",
    "Clients that reset in the middle of a slice: other clients are still served afterwards",
    needs=["large"],
    isolation=DESTRUCTIVE,
    timeouts=20.0,
    causes=_ORPHANED,
)
def reset_mid_reply(context: ScenarioContext) -> None:
    """Let ten clients request a large slice and read its beginning; five reset, five close."""
    large = context.fixture("large")
    for number in range(10):
        client = context.connect(receive_buffer_bytes=SMALL_BUFFER_BYTES)
        client.send_line(b"get_slice %b 0 %d" % (large.name, large.size))
        client.status(0)
        client.read(1, Message("the beginning of the slice"))
        if number % 2:
            client.close()
        else:
            client.reset()
    context.probe()


@chapter.play(
    "clients.reset-together",
    "HFTP-10.5",
    "Eight clients that reset at the same time: other clients are still served",
    needs=["concurrency", "text"],
    isolation=DESTRUCTIVE,
    timeouts=20.0,
    causes=_ORPHANED,
)
def resettogether(context: ScenarioContext) -> None:
    """Require a reply for each, request more, and reset all; require that another client is still served."""
    text = context.fixture("text")
    staying = context.connect()
    clients = [context.connect() for _ in range(8)]
    for client in clients:
        exchange(client)
        client.send((b"get_slice %b 0 %d\r\n" % (text.name, text.size)) * 3)
    for client in clients:
        client.reset()
    exchange(staying)
    staying.finish()
    context.probe()

"""A server whose address space is used up goes on: clients wait, or one is told 199 or cut, and slots come back."""

import contextlib
import resource
import time
from collections import Counter
from pathlib import Path

import pytest

from greenserver.config.limits import HEADROOM_BYTES
from tests.greenserver.conftest import LARGE, Start
from tests.greenserver.launching import CONCURRENT
from tests.greenserver.serving import ENGINES, Client, Server, wait_until

pytestmark = pytest.mark.once

CLIENTS = 60
FEW = 15
ASK_ONE, SIZE_OF_ONE = b"get_metadata one\r\n", b"0 OK\r\n1\r\n"
FAILED = b"199 INTERNAL SERVER ERROR\r\n"
REPLIES = {
    b"get_metadata large.bin\r\nquit\r\n": len(b"0 OK\r\n1200000\r\n0 OK\r\n"),
    b"get_slice large.bin 0 1200000\r\nquit\r\n": len(b"0 OK\r\n") + len(LARGE) // 3 * 4 + len(b"\r\n0 OK\r\n"),
    b"get_slice large.bin 7 30000\r\n" * 100 + b"quit\r\n": 100 * len(b"0 OK\r\n%b\r\n" % bytes(40000))
    + len(b"0 OK\r\n"),
}
"""What ordinary clients ask for, and the length of the whole reply: the last is buffered until it is read."""

SHORT_BYTES = HEADROOM_BYTES // 2
"""Less address space than a server wants to have for another client, and more than it needs for a few."""

LIMITED = 8 << 30  # so that the server expects its memory to run out, and it does not yet


def limit(server: Server, more_bytes: int) -> None:
    """Leave a server so much address space beside what it has."""
    set_limit(server, address_space(server) + more_bytes)


def address_space(server: Server) -> int:
    """Return the size of a server's address space, in bytes."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def set_limit(server: Server, most: int) -> None:
    resource.prlimit(server.process.pid, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


@pytest.fixture
def start_short(start: Start, directory: Path) -> Start:
    """Return a function that starts a server of an engine, whose address space may have a limit from the start."""

    def start_server(engine: str, at_start: int) -> Server:
        def prepare() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (at_start, resource.RLIM_INFINITY))

        options = ("--engine", engine, "--max-connections", str(CLIENTS), "--quiet", "--linger-seconds", "1")
        server = start(directory, *options, prepare=prepare)
        for request in REPLIES:
            server.ask(request)  # allocate now what stays allocated
        return server

    return start_server


def crowd(server: Server, count: int) -> Counter[str]:
    """Return how many of so many clients, who all ask at once and read later, got what."""
    outcomes: Counter[str] = Counter()
    clients = []
    for number in range(count):
        client = server.connect()
        request, length = list(REPLIES.items())[number % len(REPLIES)]
        client.send(request)
        clients.append((client, length))
    time.sleep(0.2)  # the server serves as many as it can
    for client, length in clients:
        with client:
            outcomes[outcome(client, length)] += 1
    return outcomes


def outcome(client: Client, length: int) -> str:
    parts = []
    try:
        while part := client.socket.recv(1 << 20):
            parts.append(part)
    except ConnectionError:
        return "reset"
    reply = b"".join(parts)
    return "whole" if len(reply) == length else "failed" if reply.endswith(FAILED) else "cut"


def are_all_slots_free(server: Server) -> bool:
    """Return whether as many clients as there are slots are served at once."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(CLIENTS)]
        for client in clients:
            client.send(ASK_ONE)
        return all(client.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE for client in clients)


def check(server: Server, engine: str) -> None:
    """Check that a server is as well as it was."""
    answers = {SIZE_OF_ONE, FAILED} if engine == "threads" else {SIZE_OF_ONE}  # a thread takes more than there may be
    assert server.ask(ASK_ONE) in answers
    set_limit(server, LIMITED)
    assert server.ask(ASK_ONE) == SIZE_OF_ONE
    if engine in CONCURRENT:
        wait_until(lambda: are_all_slots_free(server), "all slots are free")
    assert "Traceback" not in server.log()
    assert "the server was full" not in server.log()


@pytest.mark.parametrize("engine", ENGINES)
def test_little_address_space_is_reserved(start_short: Start, engine: str) -> None:
    server = start_short(engine, resource.RLIM_INFINITY)
    assert crowd(server, CLIENTS) == {"whole": CLIENTS}
    assert address_space(server) < 150 << 20, "each thread reserved a stack of 8 MiB, and an arena of 64 MiB"


@pytest.mark.parametrize("engine", ENGINES)
def test_clients_wait_while_memory_is_short(start_short: Start, engine: str) -> None:
    server = start_short(engine, LIMITED)
    before = server.counts()
    limit(server, SHORT_BYTES)
    assert crowd(server, FEW) == {"whole": FEW}
    check(server, engine)
    wait_until(lambda: server.counts()["descriptors"] <= before["descriptors"], "the descriptors are closed")
    assert server.log().count("accept failed; retrying") == (engine in CONCURRENT)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_survives_when_memory_runs_out(start_short: Start, engine: str) -> None:
    server = start_short(engine, resource.RLIM_INFINITY)
    before = server.counts()
    limit(server, SHORT_BYTES // 4)
    outcomes = crowd(server, CLIENTS)
    assert outcomes["whole"], "some are served"
    check(server, engine)
    wait_until(lambda: server.counts()["descriptors"] <= before["descriptors"], "the descriptors are closed")
    if engine in CONCURRENT:
        assert outcomes["whole"] < CLIENTS, "memory has run out"
        assert server.log().count("\n") <= 10, "a series of failures is one line"


def test_a_client_for_whom_there_is_no_thread_is_told(start_short: Start) -> None:
    server = start_short("threads", resource.RLIM_INFINITY)
    limit(server, SHORT_BYTES)
    outcomes = crowd(server, FEW)
    assert not outcomes["reset"]
    assert outcomes["failed"], outcomes
    assert server.log().count("rejecting connections: no thread or memory left") == 1
    check(server, "threads")

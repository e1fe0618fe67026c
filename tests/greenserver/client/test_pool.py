"""The connections to a server are shared by the threads of a process, and closed when they are not needed."""

import gc
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from greenserver.client import ConnectionFailedError, Options, RefusedError
from greenserver.client.address import parse_address
from greenserver.client.pool import ConnectionPool, pool_of
from tests.greenserver.client.scripted import Handler, Peer, one_file, serving
from tests.greenserver.serving import TIMEOUT_SECONDS, wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]

CONTENT = bytes(range(256)) * 400
TWO = Options(dialect="2019", connections=2, retries=0)


class Counted:
    """A server that counts its connections, and notes how each ended."""

    def __init__(self, handler: Handler) -> None:
        self.total = self.open = self.most = 0
        self._handler = handler
        self._lock = threading.Lock()

    def __call__(self, peer: Peer) -> None:
        with self._lock:
            self.total += 1
            self.open += 1
            self.most = max(self.most, self.open)
        try:
            self._handler(peer)
        finally:
            with self._lock:
                self.open -= 1

    def is_left(self) -> bool:
        return not self.open


@pytest.fixture
def counted() -> Counted:
    def size(_peer: Peer, words: list[str]) -> bytes:
        return b"0 OK\r\n%d\r\n" % len(CONTENT) if words[1] == "file" else b"202 FILE NOT FOUND\r\n"

    return Counted(one_file(CONTENT, get_metadata=size))


@pytest.fixture
def pool(counted: Counted) -> Iterator[ConnectionPool]:
    """Return a pool of connections to a server that counts them."""
    with serving(counted) as address:
        pool = ConnectionPool(parse_address(address), TWO)
        yield pool
        pool.close()


def read(pool: ConnectionPool) -> bytes:
    with pool.client() as client:
        return client.read("file")


def test_a_connection_is_used_again(pool: ConnectionPool, counted: Counted) -> None:
    assert [read(pool) for _ in range(5)] == [CONTENT] * 5
    with pytest.raises(RefusedError), pool.client() as client:
        client.size("nothing")
    assert read(pool) == CONTENT
    assert counted.total == 1


def test_threads_wait_for_a_connection(pool: ConnectionPool, counted: Counted) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(lambda _: read(pool), range(40))] == [CONTENT] * 40
    assert counted.most <= 2
    assert counted.total <= 2


def test_a_connection_on_which_a_reply_is_missing_is_not_used_again(pool: ConnectionPool, counted: Counted) -> None:
    with pool.client() as client:
        next(client.stream("file"))
    assert read(pool) == CONTENT
    assert counted.total == 2


def test_a_connection_is_closed_once_it_was_idle(counted: Counted) -> None:
    with serving(counted) as address:
        pool = ConnectionPool(parse_address(address), TWO, idle_seconds=0.01)
        assert read(pool) == CONTENT
        wait_until(counted.is_left, "the connection is closed")
        assert read(pool) == CONTENT
        wait_until(counted.is_left, "the connection is closed")


def test_what_is_idle_is_closed_with_the_pool(counted: Counted) -> None:
    with serving(counted) as address:
        pool = ConnectionPool(parse_address(address), TWO)
        assert read(pool) == CONTENT
        assert counted.open == 1
        del pool
        gc.collect()
        wait_until(counted.is_left, "the connection is closed")


def test_a_pool_is_shared() -> None:
    address = parse_address("h:1")
    pool = pool_of(address, TWO)
    assert pool_of(address, TWO) is pool
    assert pool_of(address, Options()) is not pool
    assert pool_of(parse_address("h:2"), TWO) is not pool


def test_a_pool_goes_on_after_its_server_was_away() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    place = listener.getsockname()
    with serving(one_file(CONTENT), listener) as address:
        pool = ConnectionPool(parse_address(address), TWO)
        assert read(pool) == CONTENT
    with pytest.raises(ConnectionFailedError):
        read(pool)
    with serving(one_file(CONTENT), socket.create_server(place)):
        assert read(pool) == CONTENT
        pool.close()


def _exit_status(work: Callable[[], object]) -> int:
    """Return 0 if work in a forked process went well."""
    process = os.fork()
    if not process:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_forked_process_makes_connections_of_its_own(counted: Counted) -> None:
    with serving(counted) as address:
        pool = pool_of(parse_address(address), TWO)
        assert read(pool) == CONTENT
        with pool.client() as busy:
            assert busy.size("file") == len(CONTENT)

            def work() -> None:
                assert [read(pool) for _ in range(2)] == [CONTENT] * 2
                with pool.client(), pool.client():  # neither is lent any more here
                    pool.close()

            assert _exit_status(work) == 0
            assert busy.read("file") == CONTENT
        assert read(pool) == CONTENT
        pool.close()
    assert counted.total == 2


def test_a_connection_that_is_held_makes_others_wait_and_does_not_break_them(pool: ConnectionPool) -> None:
    def read_in_thread() -> None:
        results.append(read(pool))

    results: list[bytes] = []
    thread = threading.Thread(target=read_in_thread)
    with pool.client(), pool.client():
        thread.start()
        thread.join(0.05)
        assert not results
    thread.join(TIMEOUT_SECONDS)
    assert results == [CONTENT]

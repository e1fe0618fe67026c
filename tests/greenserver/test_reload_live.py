"""A reload succeeds completely or changes nothing, and what it replaces is released with its last connection."""

import os
import resource
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from greenserver.config.limits import Limits
from greenserver.server import Server
from tests.greenserver.oracle import OK
from tests.greenserver.serving import TIMEOUT_SECONDS, Client, run_script, wait_until

pytestmark = pytest.mark.once

IN_PROCESS = ("threads", "selectors", "sequential")
"""The engines that need no monkey-patching."""

CONCURRENT = ("threads", "selectors")
SIZE_OF_ONE = OK + b"1\r\n"


@contextmanager
def serving(server: Server) -> Iterator[None]:
    """Serve in a thread for the duration of the block."""
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive()


def connect(server: Server) -> Client:
    return Client(socket.create_connection((server.host, server.port), TIMEOUT_SECONDS))


def size_of_one(client: Client) -> bytes:
    """Request the size of a file, and return the reply."""
    client.send(b"get_metadata one\r\n")
    first = client.line()
    return first + client.line() if first == OK else first


@pytest.mark.parametrize("engine", IN_PROCESS)
def test_a_reload_closes_idle_connections_and_applies_to_new_ones(directory: Path, engine: str) -> None:
    with Server(directory, port=0, engine=engine) as server, serving(server):
        with connect(server) as client:
            assert size_of_one(client) == SIZE_OF_ONE
            server.reload(directory, hidden=True, dialect="2018")
            assert client.rest() == b""
        with connect(server) as client:
            client.send(b"get_slice .hidden 0 6\r\nhelp\r\nquit\r\n")
            assert client.rest() == OK + b"hidden200 NO SUCH COMMAND\r\n" + OK


def test_a_replaced_store_closes_with_its_last_connection(directory: Path) -> None:
    with Server(directory, port=0, engine="threads", dialect="2018") as server, serving(server):
        before = server.config.store
        with connect(server) as client:
            client.send(b"get_slice large.bin 0 1200000\r\n")
            assert client.line() == OK
            server.reload(directory, dialect="2018")
            assert before.descriptor >= 0, "a reply is in progress"
            client.rest()
        wait_until(lambda: before.descriptor < 0, "the store is closed")
        assert server.config.store.descriptor >= 0
    assert server.config.store.descriptor < 0


@pytest.mark.parametrize("step", ["FileStore", "ServingConfig"])
def test_a_failed_reload_changes_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    with Server(directory, port=0, engine="threads") as server, serving(server), connect(server) as client:
        assert size_of_one(client) == SIZE_OF_ONE
        before, descriptors = server.config, len(os.listdir("/proc/self/fd"))
        with monkeypatch.context() as patched:
            patched.setattr(f"greenserver.server.{step}", fail)
            with pytest.raises(MemoryError):
                server.reload(directory, dialect="2018", hidden=True, limits=Limits(idle_seconds=1.0))
        assert server.config is before
        assert size_of_one(client) == SIZE_OF_ONE, "no connection is closed"
        assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.parametrize("engine", CONCURRENT)
def test_no_connection_is_served_with_a_mixture_of_two_configurations(
    directory: Path, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One configuration has `help` but not the file, the other has the file but not `help`."""
    monkeypatch.setattr("greenserver.config.limits.LINGER_QUIET_SECONDS", 0.01)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    replies = set()
    is_over = threading.Event()

    def reload_all_the_time() -> None:
        while not is_over.is_set():
            server.reload(tmp_path, dialect="2026")
            server.reload(directory, dialect="2018")

    try:
        with Server(directory, port=0, engine=engine, dialect="2018") as server, serving(server):
            reloading = threading.Thread(target=reload_all_the_time)
            reloading.start()
            try:
                for _ in range(300):
                    with connect(server) as client, suppress(ConnectionError):
                        client.send(b"help x\r\nget_metadata one\r\nquit\r\n")
                        replies.add(client.rest())
            finally:
                is_over.set()
                reloading.join(TIMEOUT_SECONDS)
    finally:
        sys.setswitchinterval(interval)
    newer = b"201 INVALID ARGUMENTS FOR COMMAND\r\n202 FILE NOT FOUND\r\n" + OK
    older = b"200 NO SUCH COMMAND\r\n" + SIZE_OF_ONE + OK
    assert {older, newer} <= replies
    assert all(newer.startswith(reply) or older.startswith(reply) for reply in replies)


@pytest.mark.parametrize("engine", CONCURRENT)
def test_the_connection_limit_holds_across_reloads(directory: Path, engine: str) -> None:
    limits = Limits(max_connections=3)
    with Server(directory, port=0, engine=engine, dialect="2018", limits=limits) as server, serving(server):
        with ExitStack() as stack:
            readers = []
            for _ in range(3):
                client = stack.enter_context(connect(server))
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.send(b"get_slice large.bin 0 1200000\r\n" * 20)
                assert client.line() == OK
                readers.append(client)
            for _ in range(2):
                server.reload(directory, dialect="2018", limits=limits)
                with connect(server) as client:
                    assert size_of_one(client) == b"199 INTERNAL SERVER ERROR\r\n"
        wait_until(lambda: is_served(server), "a new client is served")


@pytest.mark.parametrize("engine", CONCURRENT)
def test_a_reload_while_clients_are_connected_keeps_the_capacity(directory: Path, engine: str) -> None:
    """The descriptors of connected clients do not lower the capacity that a reload computes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low_limit = len(os.listdir("/proc/self/fd")) + 100
    with Server(directory, port=0, engine=engine) as server:
        resource.setrlimit(resource.RLIMIT_NOFILE, (low_limit, hard))
        try:
            server._limiter.measure_capacity()  # noqa: SLF001  (as `serve` does, but with a low limit)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        before = server._limiter._capacity  # noqa: SLF001  (logged when the server is full)
        held = [os.dup(0) for _ in range(60)]
        server.reload(directory)
        assert server.config.limiter._capacity == before  # noqa: SLF001  (as above)
        for descriptor in held:
            os.close(descriptor)


def is_served(server: Server) -> bool:
    with connect(server) as client:
        return size_of_one(client) == SIZE_OF_ONE


@pytest.mark.parametrize("engine", IN_PROCESS)
def test_stop_is_safe_in_another_thread_and_after_the_end(directory: Path, tmp_path: Path, engine: str) -> None:
    with Server(directory, port=0, engine=engine) as server:
        stopping = threading.Thread(target=server.stop)
        thread = threading.Thread(target=server.serve)
        thread.start()
        with connect(server) as client:
            assert size_of_one(client) == SIZE_OF_ONE
            stopping.start()
            assert client.rest() == b""
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive()
    with (tmp_path / "file").open("w+b") as file:  # which reuses a descriptor of the server
        others = [os.dup(file.fileno()) for _ in range(8)]
        server.stop()
        for descriptor in others:
            os.close(descriptor)
        assert file.read() == b""


MANY_IDLE = """
import socket, sys, tempfile, threading, time
from pathlib import Path
engine = sys.argv[1]
real_sleep = time.sleep
from greenserver.monkeypatch import patch_for
patch_for(engine)
from greenserver import Server
from greenserver.connection import handshake
linger = handshake.linger

def slow_linger(*arguments):
    real_sleep(0.02)  # simulate a slow close
    return linger(*arguments)

handshake.linger = slow_linger
sys.modules["greenserver.config.limits"].ENDING_BURST = 1
directory = tempfile.mkdtemp()
Path(directory, "one").write_bytes(b"1")
with Server(directory, port=0, engine=engine) as server:
    serving = threading.Thread(target=server.serve)
    serving.start()

    def connect():
        client = socket.create_connection(("127.0.0.1", server.port), 20)
        client.sendall(b"get_metadata one\\r\\n")
        assert client.recv(100) == b"0 OK\\r\\n1\\r\\n"
        return client

    idle = [connect() for _ in range(100)]
    server.reload(directory)
    for _ in range(3):
        connect().close()
    for client in idle:
        client.setblocking(False)
    left = 0
    for client in idle:
        try:
            client.recv(1)
        except BlockingIOError:
            left += 1
    server.stop()
    serving.join(20)
    print(left > 0, serving.is_alive())
"""


@pytest.mark.parametrize("engine", ["gevent", "selectors"])
def test_others_are_served_while_many_idle_connections_are_closed(engine: str) -> None:
    done = run_script(MANY_IDLE, engine)
    assert done.stdout == "True False\n", done.stderr

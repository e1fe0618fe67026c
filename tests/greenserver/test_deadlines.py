"""A client that is too slow is cut at its deadline, on every engine; one that is merely slow is served."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.greenserver.conftest import LARGE
from tests.greenserver.launching import Launch, LaunchedServer
from tests.greenserver.serving import ENGINES, PATIENCE_SECONDS, Client, wait_until

MARGIN_SECONDS = 10.0
"""How much later than its deadline a cut may be seen on a machine that does other things; it is within 1 s else."""

pytestmark = [pytest.mark.once, pytest.mark.parametrize("engine", ENGINES)]


@pytest.fixture
def launch(launch: Launch) -> Launch:
    """Start servers whose limits are all that matters."""

    def launch_limited(engine: str, *where: Path, **limits: float) -> LaunchedServer:
        return launch(engine, *where, limits=limits)

    return launch_limited


def seconds_until_cut(client: Client) -> float:
    """Wait for the end of the stream and return how long that took."""
    started = time.monotonic()
    client.rest()
    return time.monotonic() - started


def ends(server: LaunchedServer, limit: str) -> bool:
    """Tell whether the log names the limit that ended a conversation."""
    wait_until(lambda: "disconnected" in server.log(), "the end is logged")
    return [event.get("limit") for event in server.events_named("disconnected")] == [limit]


def small_window(server: LaunchedServer) -> Client:
    """Return a client whose kernel takes little that it does not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.settimeout(PATIENCE_SECONDS)
    sock.connect(("127.0.0.1", server.port))
    return Client(sock)


def test_a_client_that_says_nothing_is_cut(launch: Launch, engine: str) -> None:
    server = launch(engine, idle_seconds=1.0)
    with server.connect() as client:
        client.send(b"get_metadata one\r\n")
        assert client.exactly(9) == b"0 OK\r\n1\r\n"
        assert 0.9 < seconds_until_cut(client) < 1 + MARGIN_SECONDS
    assert ends(server, "idle")


def test_a_line_that_comes_byte_by_byte_is_cut_however_steady_it_is(launch: Launch, engine: str) -> None:
    server = launch(engine, line_seconds=1.0)
    with server.connect() as client:
        started = time.monotonic()
        client.socket.settimeout(0.05)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < started + PATIENCE_SECONDS:
                client.socket.sendall(b"x")
                with contextlib.suppress(TimeoutError):
                    if not client.socket.recv(1):
                        break
        assert 0.9 < time.monotonic() - started < 1 + MARGIN_SECONDS
    assert ends(server, "line")


def test_a_long_line_that_keeps_up_the_floor_is_answered(launch: Launch, engine: str) -> None:
    server = launch(engine, line_seconds=1.0, line_floor=50_000)
    with server.connect() as client:
        client.send(b"get_metadata ")
        for _ in range(25):  # 2.5 seconds, at twice the floor
            client.send(b"n" * 10_000)
            time.sleep(0.1)
        client.send(b"\r\n")
        assert client.line() == b"202 FILE NOT FOUND\r\n"


def test_a_client_that_takes_nothing_is_cut(launch: Launch, engine: str, sparse: Path) -> None:
    server = launch(engine, sparse, stall_seconds=1.0)
    with small_window(server) as client:
        client.send(b"get_slice gigabyte 0 1073741824\r\n")
        wait_until(lambda: "disconnected" in server.log(), "the client is cut")
        (event,) = server.events_named("disconnected")
        assert event["limit"] == "write"
        assert 0.9 < event["seconds"] < 1 + MARGIN_SECONDS


def test_a_client_that_takes_a_little_all_the_time_is_cut(launch: Launch, engine: str, sparse: Path) -> None:
    server = launch(engine, sparse, stall_seconds=2.0, write_floor=1_000_000)
    with small_window(server) as client:
        client.send(b"get_slice gigabyte 0 1073741824\r\n")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "disconnected" not in server.log():
            with contextlib.suppress(ConnectionError):
                client.socket.recv(2_000)
            time.sleep(0.05)  # 40 kB a second
            assert time.monotonic() < deadline
    assert ends(server, "write")


def test_a_slow_and_steady_reader_is_served(launch: Launch, engine: str) -> None:
    server = launch(engine, stall_seconds=1.0, write_floor=1_000)
    with small_window(server) as client:
        client.send(b"get_slice large.bin 0 1200000 raw\r\nquit\r\n")
        received = b""
        for _ in range(50):  # 5 seconds, as many deadlines
            received += client.socket.recv(4096)
            time.sleep(0.1)
        received += client.rest()
    assert received == b"0 OK\r\nContent-Length: 1200000\r\n\r\n" + LARGE + b"0 OK\r\n"


def test_a_client_that_talks_on_after_the_end_is_cut(launch: Launch, engine: str) -> None:
    server = launch(engine, linger_seconds=1.0)
    with server.connect() as client:
        client.send(b"\r\n")
        assert client.line() == b"101 BAD REQUEST\r\n"
        started = time.monotonic()
        client.socket.settimeout(1.0)
        with contextlib.suppress(OSError):
            while time.monotonic() < started + PATIENCE_SECONDS:
                client.socket.sendall(b"more and more\r\n")
                time.sleep(0.02)
        assert 0.5 < time.monotonic() - started < 1 + MARGIN_SECONDS


def test_others_are_served_while_some_are_cut(launch: Launch, engine: str, sparse: Path) -> None:
    if engine == "sequential":  # it serves the others afterwards
        server = launch(engine, sparse, stall_seconds=0.5, line_seconds=0.5, idle_seconds=0.5)
        with small_window(server) as client:
            client.send(b"get_slice gigabyte 0 1073741824\r\n")
            assert server.ask(b"get_metadata gigabyte\r\n") == b"0 OK\r\n1073741824\r\n"
        return
    server = launch(engine, sparse, stall_seconds=2.0, line_seconds=2.0, idle_seconds=2.0)
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(small_window(server)) for _ in range(60)]
        for client, words in zip(slow, [b"get_slice gigabyte 0 1073741824\r\n", b"get_met", b""] * 20, strict=True):
            client.send(words)
        threading.Event().wait(0.2)
        for _ in range(20):
            assert server.ask(b"get_metadata gigabyte\r\n") == b"0 OK\r\n1073741824\r\n"
        wait_until(lambda: server.log().count('"timed out"') == 60, "all are cut")
    limits = [event["limit"] for event in server.events_named("disconnected") if event["outcome"] == "timed out"]
    assert {limit: limits.count(limit) for limit in limits} == {"write": 20, "line": 20, "idle": 20}


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """Return a directory with a file of a GiB that takes no space."""
    directory = tmp_path / "sparse"
    directory.mkdir()
    with (directory / "gigabyte").open("wb") as file:
        file.truncate(1 << 30)
    return directory

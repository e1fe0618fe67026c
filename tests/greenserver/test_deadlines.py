"""A client that is too slow is disconnected at its deadline, on every engine; one above the minimum rate is served."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.greenserver.conftest import LARGE
from tests.greenserver.launching import Launch, LaunchedServer
from tests.greenserver.serving import ENGINES, TIMEOUT_SECONDS, Client, wait_until

MARGIN_SECONDS = 10.0
"""How late a timeout may be seen on a busy machine; on an idle one it is within 1 s."""

pytestmark = [pytest.mark.once, pytest.mark.parametrize("engine", ENGINES)]


@pytest.fixture
def launch(launch: Launch) -> Launch:
    """Return a function that starts servers with these limits."""

    def launch_limited(engine: str, *where: Path, **limits: float) -> LaunchedServer:
        return launch(engine, *where, limits=limits)

    return launch_limited


def seconds_until_disconnected(client: Client) -> float:
    """Wait for EOF, and return how long that took."""
    started = time.monotonic()
    client.rest()
    return time.monotonic() - started


def was_ended_by(server: LaunchedServer, limit: str) -> bool:
    """Tell whether the log names this limit as the one that ended the connection."""
    wait_until(lambda: "disconnected" in server.log(), "the disconnection is logged")
    return [event.get("limit") for event in server.events_named("disconnected")] == [limit]


def client_with_small_window(server: LaunchedServer) -> Client:
    """Return a client with a small receive buffer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.settimeout(TIMEOUT_SECONDS)
    sock.connect(("127.0.0.1", server.port))
    return Client(sock)


def test_an_idle_client_times_out(launch: Launch, engine: str) -> None:
    server = launch(engine, idle_seconds=1.0)
    with server.connect() as client:
        client.send(b"get_metadata one\r\n")
        assert client.exactly(9) == b"0 OK\r\n1\r\n"
        assert 0.9 < seconds_until_disconnected(client) < 1 + MARGIN_SECONDS
    assert was_ended_by(server, "idle")


def test_a_line_sent_steadily_byte_by_byte_times_out(launch: Launch, engine: str) -> None:
    server = launch(engine, line_seconds=1.0)
    with server.connect() as client:
        started = time.monotonic()
        client.socket.settimeout(0.05)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < started + TIMEOUT_SECONDS:
                client.socket.sendall(b"x")
                with contextlib.suppress(TimeoutError):
                    if not client.socket.recv(1):
                        break
        assert 0.9 < time.monotonic() - started < 1 + MARGIN_SECONDS
    assert was_ended_by(server, "line")


def test_a_long_line_above_the_minimum_rate_is_answered(launch: Launch, engine: str) -> None:
    server = launch(engine, line_seconds=1.0, line_floor=50_000)
    with server.connect() as client:
        client.send(b"get_metadata ")
        for _ in range(25):  # 2.5 seconds, at twice the minimum rate
            client.send(b"n" * 10_000)
            time.sleep(0.1)
        client.send(b"\r\n")
        assert client.line() == b"202 FILE NOT FOUND\r\n"


def test_a_client_that_does_not_read_times_out(launch: Launch, engine: str, sparse: Path) -> None:
    server = launch(engine, sparse, stall_seconds=1.0)
    with client_with_small_window(server) as client:
        client.send(b"get_slice gigabyte 0 1073741824\r\n")
        wait_until(lambda: "disconnected" in server.log(), "the client is disconnected")
        (event,) = server.events_named("disconnected")
        assert event["limit"] == "write"
        assert 0.9 < event["seconds"] < 1 + MARGIN_SECONDS


def test_a_client_that_reads_too_slowly_times_out(launch: Launch, engine: str, sparse: Path) -> None:
    server = launch(engine, sparse, stall_seconds=2.0, write_floor=1_000_000)
    with client_with_small_window(server) as client:
        client.send(b"get_slice gigabyte 0 1073741824\r\n")
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while "disconnected" not in server.log():
            with contextlib.suppress(ConnectionError):
                client.socket.recv(2_000)
            time.sleep(0.05)  # 40 kB a second
            assert time.monotonic() < deadline
    assert was_ended_by(server, "write")


def test_a_slow_and_steady_reader_is_served(launch: Launch, engine: str) -> None:
    server = launch(engine, stall_seconds=1.0, write_floor=1_000)
    with client_with_small_window(server) as client:
        client.send(b"get_slice large.bin 0 1200000 raw\r\nquit\r\n")
        received = b""
        for _ in range(50):  # 5 seconds, five times the timeout
            received += client.socket.recv(4096)
            time.sleep(0.1)
        received += client.rest()
    assert received == b"0 OK\r\nContent-Length: 1200000\r\n\r\n" + LARGE + b"0 OK\r\n"


def test_a_client_that_keeps_sending_after_a_fatal_reply_is_disconnected(launch: Launch, engine: str) -> None:
    server = launch(engine, linger_seconds=1.0)
    with server.connect() as client:
        client.send(b"\r\n")
        assert client.line() == b"101 BAD REQUEST\r\n"
        started = time.monotonic()
        client.socket.settimeout(1.0)
        with contextlib.suppress(OSError):
            while time.monotonic() < started + TIMEOUT_SECONDS:
                client.socket.sendall(b"more and more\r\n")
                time.sleep(0.02)
        assert 0.5 < time.monotonic() - started < 1 + MARGIN_SECONDS


def test_other_clients_are_served_while_slow_ones_time_out(launch: Launch, engine: str, sparse: Path) -> None:
    if engine == "sequential":  # it serves one client after the other
        server = launch(engine, sparse, stall_seconds=0.5, line_seconds=0.5, idle_seconds=0.5)
        with client_with_small_window(server) as client:
            client.send(b"get_slice gigabyte 0 1073741824\r\n")
            assert server.ask(b"get_metadata gigabyte\r\n") == b"0 OK\r\n1073741824\r\n"
        return
    server = launch(engine, sparse, stall_seconds=2.0, line_seconds=2.0, idle_seconds=2.0)
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(client_with_small_window(server)) for _ in range(60)]
        for client, sent in zip(slow, [b"get_slice gigabyte 0 1073741824\r\n", b"get_met", b""] * 20, strict=True):
            client.send(sent)
        threading.Event().wait(0.2)
        for _ in range(20):
            assert server.ask(b"get_metadata gigabyte\r\n") == b"0 OK\r\n1073741824\r\n"
        wait_until(lambda: server.log().count('"timed out"') == 60, "all slow clients are disconnected")
    limits = [event["limit"] for event in server.events_named("disconnected") if event["outcome"] == "timed out"]
    assert {limit: limits.count(limit) for limit in limits} == {"write": 20, "line": 20, "idle": 20}


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """Return a directory with a sparse file of 1 GiB."""
    directory = tmp_path / "sparse"
    directory.mkdir()
    with (directory / "gigabyte").open("wb") as file:
        file.truncate(1 << 30)
    return directory

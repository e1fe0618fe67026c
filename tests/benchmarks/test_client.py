"""The clients in C and Python count the same, and report errors in one line."""

import contextlib
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.client import ClientError, Load, build, drive, outcome, running

pytestmark = pytest.mark.once

PYTHON = [sys.executable, "-m", "tests.benchmarks.client"]
GREETING = b"220 welcome\r\n"
REPLY = b"0 OK\r\n100\r\n"
REQUEST = b"get_metadata small\r\n"


@pytest.fixture(scope="module", params=["C", "Python"])
def command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    if request.param == "Python":
        return PYTHON
    if shutil.which("gcc") is None and shutil.which("cc") is None:
        return PYTHON  # as in the benchmark
    built, language = build(tmp_path_factory.mktemp("client"))
    assert language == "C"
    return built


@pytest.fixture
def port() -> Iterator[int]:
    """Return the port of a server that sends a greeting, and the same reply to each line; it closes after `bye`."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def handle_client(channel: socket.socket) -> None:
        with channel, channel.makefile("rb") as lines:
            channel.sendall(GREETING)
            with contextlib.suppress(ConnectionError):  # a client disconnects during a reply when its time is over
                for line in lines:
                    if line == b"bye\r\n":
                        return
                    channel.sendall(REPLY)

    def accept() -> None:
        while True:
            channel, _ = listener.accept()
            if stopping:
                channel.close()
                return
            threads.append(threading.Thread(target=handle_client, args=(channel,)))
            threads[-1].start()

    stopping: list[bool] = []
    acceptor = threading.Thread(target=accept)
    acceptor.start()
    yield listener.getsockname()[1]
    stopping.append(True)
    socket.create_connection(listener.getsockname()).close()
    for thread in (acceptor, *threads):
        thread.join(20)
        assert not thread.is_alive()
    listener.close()


def load(requests: bytes = REQUEST, *, connections: int = 1) -> Load:
    return Load(requests, len(REPLY), connections=connections, preamble_bytes=len(GREETING))


@pytest.mark.parametrize("connections", [1, 7])
def test_counts_whole_batches_and_their_bytes(command: list[str], port: int, connections: int) -> None:
    measured = drive(command, port, load(connections=connections), seconds=20, batches=50)
    assert measured.batches == 50
    assert 50 * len(REPLY) <= measured.bytes <= (50 + connections) * len(REPLY)
    assert 0 < measured.p50_us <= measured.p99_us <= measured.max_us <= measured.seconds * 1e6
    assert measured.cpu_seconds >= 0


def test_reads_all_replies_to_a_pipelined_batch(command: list[str], port: int) -> None:
    batch = Load(REQUEST * 100, len(REPLY) * 100, commands=100, preamble_bytes=len(GREETING))
    measured = drive(command, port, batch, seconds=20, batches=3)
    assert (measured.batches, measured.bytes) == (3, 300 * len(REPLY))


def test_stops_when_its_time_is_over(command: list[str], port: int) -> None:
    measured = drive(command, port, load(), seconds=0.1)
    assert 0.1 <= measured.seconds < 5
    assert measured.batches > 0


def test_stops_on_sigterm(command: list[str], port: int) -> None:
    with running(command, port, load(connections=2), seconds=60) as process:
        measured = outcome(process, stop=True)
    assert measured.seconds < 20


def test_a_closed_connection_is_reported_in_one_line(command: list[str], port: int) -> None:
    with pytest.raises(ClientError, match=r"^client: receive: the server closed the connection$"):
        drive(command, port, load(b"bye\r\n"), seconds=20)


def test_a_refused_connection_is_reported_in_one_line(command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ClientError, match=r"^client: .*[Rr]efused"):
        drive(command, port, load(), seconds=20)


def test_without_a_compiler_the_python_client_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build(tmp_path) == (PYTHON, "Python")

"""The client in C and the one in Python count the same, and fail in one line."""

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
ASKED = b"get_metadata small\r\n"


@pytest.fixture(scope="module", params=["C", "Python"])
def command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    if request.param == "Python":
        return PYTHON
    if shutil.which("gcc") is None and shutil.which("cc") is None:
        return PYTHON  # what the benchmark does, too
    built, language = build(tmp_path_factory.mktemp("client"))
    assert language == "C"
    return built


@pytest.fixture
def port() -> Iterator[int]:
    """Return the port of a server that greets, and answers each line with the same reply; `bye` ends it."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def converse(channel: socket.socket) -> None:
        with channel, channel.makefile("rb") as lines:
            channel.sendall(GREETING)
            with contextlib.suppress(ConnectionError):  # a client leaves in the middle of a reply when its time is over
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
            threads.append(threading.Thread(target=converse, args=(channel,)))
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


def load(asked: bytes = ASKED, *, connections: int = 1) -> Load:
    return Load(asked, len(REPLY), connections=connections, preamble_bytes=len(GREETING))


@pytest.mark.parametrize("connections", [1, 7])
def test_counts_whole_batches_and_their_bytes(command: list[str], port: int, connections: int) -> None:
    seen = drive(command, port, load(connections=connections), seconds=20, batches=50)
    assert seen.batches == 50
    assert 50 * len(REPLY) <= seen.bytes <= (50 + connections) * len(REPLY)
    assert 0 < seen.p50_us <= seen.p99_us <= seen.max_us <= seen.seconds * 1e6
    assert seen.cpu_seconds >= 0


def test_takes_all_replies_to_a_pipelined_batch(command: list[str], port: int) -> None:
    batch = Load(ASKED * 100, len(REPLY) * 100, commands=100, preamble_bytes=len(GREETING))
    seen = drive(command, port, batch, seconds=20, batches=3)
    assert (seen.batches, seen.bytes) == (3, 300 * len(REPLY))


def test_ends_when_its_time_is_over(command: list[str], port: int) -> None:
    seen = drive(command, port, load(), seconds=0.1)
    assert 0.1 <= seen.seconds < 5
    assert seen.batches > 0


def test_ends_when_it_is_told_to(command: list[str], port: int) -> None:
    with running(command, port, load(connections=2), seconds=60) as process:
        seen = outcome(process, stop=True)
    assert seen.seconds < 20


def test_a_server_that_closes_is_one_clear_line(command: list[str], port: int) -> None:
    with pytest.raises(ClientError, match=r"^client: receive: the server closed the connection$"):
        drive(command, port, load(b"bye\r\n"), seconds=20)


def test_nobody_there_is_one_clear_line(command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ClientError, match=r"^client: .*[Rr]efused"):
        drive(command, port, load(), seconds=20)


def test_without_a_compiler_the_client_is_the_one_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build(tmp_path) == (PYTHON, "Python")

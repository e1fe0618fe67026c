"""The admin endpoint answers HTTP requests, however many others are slow, and survives errors."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from greenserver.admin import http, prometheus_text
from greenserver.admin.shared_memory import SharedMemory
from tests.greenserver.serving import ROOT, TIMEOUT_SECONDS

pytestmark = [pytest.mark.once, pytest.mark.measured]

START = "from greenserver.admin.http import main; main()"


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory()
    yield memory
    memory.close()


@pytest.fixture
def address(memory: SharedMemory, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """Return where it listens, in a thread of this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    where = listener.getsockname()
    parents = [os.getppid()]
    monkeypatch.setattr(os, "getppid", lambda: parents[0])
    thread = threading.Thread(target=lambda: asyncio.run(http.serve(listener, memory, parents[0])))
    thread.start()
    yield where
    parents[0] = 0
    thread.join(TIMEOUT_SECONDS)
    assert not thread.is_alive(), "it ends with its parent"


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, TIMEOUT_SECONDS)


def ask(address: tuple[str, int], *pieces: bytes) -> bytes:
    """Return all that is answered to a request that comes in pieces."""
    with connect(address) as client:
        for piece in pieces:
            client.sendall(piece)
        answer = b""
        while data := client.recv(1 << 16):
            answer += data
    return answer


def test_readiness_follows_the_shared_memory(memory: SharedMemory) -> None:
    assert http.readiness(memory)[0] == HTTPStatus.SERVICE_UNAVAILABLE
    memory.set_serving()
    assert http.readiness(memory)[0] == HTTPStatus.OK
    memory.set_draining()
    assert http.readiness(memory)[0] == HTTPStatus.SERVICE_UNAVAILABLE
    assert http.health(memory)[0] == HTTPStatus.OK


@pytest.mark.parametrize(
    ("pieces", "begins", "ends"),
    [
        ((b"GET /healthz HTTP/1.0\r\n\r\n",), b"HTTP/1.0 200 OK\r\n", b"\r\n\r\nalive\n"),
        ((b"GET /heal", b"thz?x=1 HTTP/1.1\r\nHost: a\r", b"\n\r", b"\n"), b"HTTP/1.0 200 OK\r\n", b"\r\n\r\nalive\n"),
        ((b"GET /readyz HTTP/1.0\n\n",), b"HTTP/1.0 503 ", b"not ready\n"),
        ((b"HEAD /healthz HTTP/1.0\r\n\r\n",), b"HTTP/1.0 200 OK\r\n", b"Cache-Control: no-store\r\n\r\n"),
        ((b"GET / HTTP/1.0\r\n\r\n",), b"HTTP/1.0 404 ", b"the paths are /metrics, /healthz, /readyz\n"),
        ((b"POST /metrics HTTP/1.0\r\n\r\n",), b"HTTP/1.0 405 ", b"the methods are GET and HEAD\n"),
        ((b"\xff\r\n\r\n",), b"HTTP/1.0 405 ", b""),
        ((b"\r\n\r\n",), b"HTTP/1.0 405 ", b""),
        (
            (b"GET /metrics HTTP/1.0\r\n\r\n",),
            b"HTTP/1.0 200 OK\r\nServer: greenserver\r\nContent-Type: text/plain",
            b"",
        ),
        ((b"GET /" + b"x" * 10_000,), b"", b""),
    ],
)
def test_each_request_gets_its_response(
    address: tuple[str, int], pieces: tuple[bytes, ...], begins: bytes, ends: bytes
) -> None:
    answer = ask(address, *pieces)
    assert answer.startswith(begins), answer
    assert answer.endswith(ends), answer
    assert bool(answer) == bool(begins)


def test_partial_requests_do_not_block_others(address: tuple[str, int]) -> None:
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connect(address)) for _ in range(3 * http.REQUESTS)]
        for each in crowd:
            each.sendall(b"GET /readyz HT")
        assert ask(address, b"GET /healthz HTTP/1.0\r\n\r\n").endswith(b"alive\n")
        with contextlib.suppress(ConnectionResetError):
            assert crowd[0].recv(1) == b"", "the oldest is closed"
        crowd[-1].sendall(b"TP/1.0\r\n\r\n")
        assert crowd[-1].recv(100).startswith(b"HTTP/1.0 503 "), "the latest is not"


def test_closes_a_request_that_takes_too_long(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.2)
    with (
        pytest.raises(ConnectionResetError) if sys.version_info < (3, 0) else contextlib.suppress(ConnectionResetError)
    ):
        assert ask(address, b"GET /healthz HTTP/1.0\r\n") == b""


def test_logs_a_failed_response_and_answers_the_next_request(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_memory: SharedMemory) -> bytes:
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr(prometheus_text, "write", fail)
        assert ask(address, b"GET /metrics HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 500 ")
    assert caplog.messages == ["admin request failed"]
    assert ask(address, b"GET /metrics HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200 ")


def test_ends_when_its_parent_has_died(memory: SharedMemory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptors = listener.fileno(), memory.fileno()
        program = [sys.executable, "-c", START, *map(str, descriptors), "1", "json"]
        ended = subprocess.run(program, cwd=ROOT, pass_fds=descriptors, timeout=TIMEOUT_SECONDS, check=False)
    assert ended.returncode == 0

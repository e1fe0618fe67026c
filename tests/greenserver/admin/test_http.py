"""What is asked by HTTP has an answer each, and there are no more requests at once than there is room for."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from greenserver.admin import http
from greenserver.admin.state_directory import StateDirectory
from tests.greenserver.serving import PATIENCE_SECONDS, ROOT

pytestmark = [pytest.mark.once, pytest.mark.measured]


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StateDirectory]:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    with StateDirectory() as board:
        yield board


def test_readiness_is_what_the_board_says(board: StateDirectory) -> None:
    assert http.readiness(board)[0] == HTTPStatus.SERVICE_UNAVAILABLE
    board.set_serving()
    assert http.readiness(board)[0] == HTTPStatus.OK
    board.set_draining()
    board.set_serving()
    assert http.readiness(board)[0] == HTTPStatus.SERVICE_UNAVAILABLE
    assert http.health(board)[0] == HTTPStatus.OK


def test_without_any_number_there_is_an_empty_answer(board: StateDirectory) -> None:
    status, kind, body = http.metrics(board)
    assert (status, body) == (HTTPStatus.OK, b"")
    assert kind.startswith("text/plain")


def test_more_requests_than_there_is_room_for_are_closed_at_once(board: StateDirectory) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "greenserver.admin.http"),
                *(str(listener.fileno()), str(board.directory), str(os.getpid())),
            ],
            cwd=ROOT,
            pass_fds=(listener.fileno(),),
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        crowd = [
            stack.enter_context(socket.create_connection(listener.getsockname(), PATIENCE_SECONDS)) for _ in range(17)
        ]
        assert crowd[-1].recv(1) == b"", "one too many"
        crowd[0].sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert crowd[0].recv(100).startswith(b"HTTP/1.0 200 OK")


def test_it_ends_when_somebody_else_is_its_parent(board: StateDirectory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "greenserver.admin.http",
                str(listener.fileno()),
                str(board.directory),
                "1",
            ],
            cwd=ROOT,
            pass_fds=(listener.fileno(),),
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert done.returncode == 0

"""Signals stop a server gracefully, and idle or stalled clients time out, on every engine."""

import contextlib
import ctypes
import os
import platform
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.greenserver.conftest import Start
from tests.greenserver.oracle import OK
from tests.greenserver.serving import TIMEOUT_SECONDS, Client, Server, wait_until

MIB = 1 << 20
SIZE = 32 * MIB
SIZE_OF_ONE = OK + b"1\r\n"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a directory with a file that is larger than socket buffers, and a small one."""
    path = tmp_path / "own"
    path.mkdir()
    (path / "sparse").touch()
    os.truncate(path / "sparse", SIZE)
    (path / "one").write_bytes(b"1")
    return path


def start_server(start: Start, own: Path, engine: str, *options: str) -> Server:
    return start(own, "--engine", engine, "--dialect", "2018", *options)


def ask_slice(client: Client) -> None:
    """Request the whole large file, and wait until the reply has begun."""
    client.send(b"get_slice sparse 0 %d\r\nget_metadata one\r\n" % SIZE)
    assert client.line() == OK


def is_refused(server: Server) -> bool:
    try:
        server.connect().socket.close()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_reply_in_progress_finishes_after_a_signal(start: Start, own: Path, engine: str, number: int) -> None:
    server = start_server(start, own, engine)
    with contextlib.ExitStack() as clients:
        reader = clients.enter_context(server.connect())
        ask_slice(reader)
        if engine != "sequential":
            idle = clients.enter_context(server.connect())
            idle.send(b"get_metadata one\r\n")
            assert idle.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE
        server.process.send_signal(number)
        if engine != "sequential":
            assert idle.rest() == b""
            wait_until(lambda: is_refused(server), "the server stops listening")
        else:
            time.sleep(1)  # ten times as long as it drains the backlog
        assert server.process.poll() is None
        assert reader.skip(SIZE) == SIZE
        assert reader.rest() == b""
    assert server.process.wait(TIMEOUT_SECONDS) == 0
    assert " stopped " in server.log()
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("engine", ["threads"])
def test_a_signal_delivered_to_another_thread_stops_the_server(start: Start, own: Path, engine: str) -> None:
    server = start_server(start, own, engine)
    with server.connect() as client:
        client.send(b"get_metadata one\r\n")
        assert client.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE
        threads = {int(name) for name in os.listdir(f"/proc/{server.process.pid}/task")} - {server.process.pid}
        for thread in threads:
            send_to_thread(server.process.pid, thread, signal.SIGTERM)
            break
        assert client.rest() == b""
    assert server.process.wait(TIMEOUT_SECONDS) == 0


def send_to_thread(process: int, thread: int, number: int) -> None:
    """Send a signal to one thread of a process, see tgkill(2)."""
    call_number = {"x86_64": 234, "aarch64": 131}[platform.machine()]
    assert ctypes.CDLL(None).syscall(call_number, process, thread, int(number)) == 0


def test_idle_connections_and_partial_commands_are_closed_at_once(start: Start, own: Path, engine: str) -> None:
    server = start_server(start, own, engine)
    with server.connect() as idle, server.connect() as halfway:
        idle.send(b"get_metadata one\r\n")
        assert idle.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE
        halfway.send(b"get_meta")
        server.process.send_signal(signal.SIGTERM)
        assert idle.rest() == b""
        idle.socket.close()
        assert halfway.rest() == b""
    assert server.process.wait(TIMEOUT_SECONDS) == 0


def test_a_second_signal_ends_the_server_at_once(start: Start, own: Path, engine: str) -> None:
    server = start_server(start, own, engine)
    with server.connect() as reader:
        ask_slice(reader)
        server.process.send_signal(signal.SIGTERM)

        def has_ended() -> bool:  # repeated, since the first signal may not have been handled yet
            with contextlib.suppress(ProcessLookupError):
                server.process.send_signal(signal.SIGINT)
            return server.process.poll() is not None

        wait_until(has_ended, "the server exits")
    assert server.process.returncode in {-signal.SIGINT, -signal.SIGTERM}


def test_a_reply_is_aborted_after_the_grace_period(start: Start, own: Path, engine: str) -> None:
    server = start_server(start, own, engine, "--grace-seconds", "0.3")
    with server.connect() as reader:
        ask_slice(reader)
        assert server.stop() == 0
        assert len(reader.rest()) < SIZE


def test_idle_and_stalled_clients_time_out(start: Start, own: Path, engine: str) -> None:
    server = start_server(start, own, engine, "--idle-seconds", "0.2", "--stall-seconds", "0.2")
    with server.connect() as silent:
        assert silent.rest() == b""
    with server.connect() as stalled:
        ask_slice(stalled)
        wait_until(lambda: server.log().count('outcome="timed out"') == 2, "both clients time out")
        assert len(stalled.rest()) < SIZE
    assert server.ask(b"get_metadata one\r\n") == SIZE_OF_ONE


def test_a_unix_socket_is_served_and_removed_at_a_stop(start: Start, own: Path, engine: str) -> None:
    path = own.parent / "socket"
    server = start(own, "--engine", engine, "--address", f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        client = Client(sock)
        client.send(b"get_metadata one\r\nquit\r\n")
        assert client.rest() == SIZE_OF_ONE + OK
    assert server.stop() == 0
    assert not path.exists()
    assert f"listens on unix:{path} and serves {own}; try: printf" in server.stdout.read_text()
    assert f"nc -U {path}" in server.stdout.read_text()
    assert "client=unix" in server.log()

"""Whoever watches a server is answered however busy it is, with numbers that are right over all its processes."""

import contextlib
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from greenserver.admin.process import Admin
from tests.cycles.__main__ import state_of
from tests.greenserver.conftest import Start
from tests.greenserver.service.test_workers import wait_for_workers, workers_of
from tests.greenserver.serving import PATIENCE_SECONDS, Server, wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]

ANSWERED = re.compile(r'greenserver_commands_total\{command="get_metadata",status="0"\} (\d+)')


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep boards where the test can see them."""
    path = tmp_path / "boards"
    path.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(path))
    return path


def endpoint(server: Server) -> str:
    found = re.search(r"admin endpoint listening address=(\S+)", server.log())
    assert found is not None
    return found[1]


def get(server: Server, path: str) -> tuple[int, str]:
    """Return the status and the body of an answer."""
    try:
        with urllib.request.urlopen(f"http://{endpoint(server)}{path}", timeout=PATIENCE_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def admin_process(server: Server) -> int:
    """Return the process that answers."""
    for child in workers_of(server):
        if b"greenserver.admin.http" in Path(f"/proc/{child}/cmdline").read_bytes():
            return child
    raise AssertionError


def value(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1])


@pytest.fixture(params=["one process", "workers"])
def watched(request: pytest.FixtureRequest, start: Start, directory: Path) -> Server:
    workers = ("--workers", "2") if request.param == "workers" else ()
    server: Server = start(directory, "--admin", "127.0.0.1:0", *workers)
    server.ask(b"quit\r\n")
    wait_until(lambda: get(server, "/readyz") == (200, "ready\n"), "it is ready")
    return server


def test_every_engine_counts(start: Start, directory: Path, engine: str, scratch: Path) -> None:
    server = start(directory, "--admin", "127.0.0.1:0", "--engine", engine)
    sent = b"get_metadata one\r\nget_metadata none\r\nturn_around\r\n"
    received = server.ask(sent)
    wait_until(lambda: "greenserver_connections_total{" in get(server, "/metrics")[1], "the end is counted")
    text = get(server, "/metrics")[1]
    for name, expected in {
        'greenserver_commands_total{command="get_metadata",status="0"}': 1,
        'greenserver_commands_total{command="get_metadata",status="202"}': 1,
        'greenserver_commands_total{command="unknown",status="200"}': 1,
        'greenserver_connections_total{outcome="closed"}': 1,
        "greenserver_received_bytes_total": len(sent),
        "greenserver_sent_bytes_total": len(received),
        "greenserver_command_seconds_count": 3,
        "greenserver_connection_seconds_count": 1,
        "greenserver_open_connections": 0,
        "greenserver_serving_processes": 1,
    }.items():
        assert value(text, name) == expected, name
    wait_until(lambda: value(get(server, "/metrics")[1], "greenserver_open_descriptors") > 5, "descriptors")
    assert 0 <= value(get(server, "/metrics")[1], "greenserver_loop_lag_seconds") < 10
    assert server.stop() == 0
    assert list(scratch.iterdir()) == [], "nothing is left"


def test_refusals_and_stalls_are_counted(start: Start, directory: Path) -> None:
    server = start(directory, "--admin", "127.0.0.1:0", "--max-connections", "1", "--idle-seconds", "0.5")
    with server.connect() as client:
        client.send(b"get_metadata one\r\n")
        client.line()
        assert server.ask(b"quit\r\n").startswith(b"199 ")
        assert client.rest() == b"1\r\n"
    wait_until(
        lambda: (
            'greenserver_refusals_total{reason="full"} 1.0' in get(server, "/metrics")[1]
            and 'greenserver_stalls_total{what="idle"} 1.0' in get(server, "/metrics")[1]
        ),
        "both are counted",
    )


def test_the_numbers_of_workers_that_have_ended_are_kept_in_files_that_do_not_grow_in_number(
    start: Start, directory: Path, scratch: Path
) -> None:
    server = start(directory, "--admin", "127.0.0.1:0", "--workers", "2")
    wait_for_workers(server, 3)
    (board,) = scratch.iterdir()
    asked = 0
    for _ in range(3):
        for _ in range(5):
            server.ask(b"get_metadata one\r\n")
        asked += 5
        old = [worker for worker in workers_of(server) if worker != admin_process(server)]
        server.process.send_signal(signal.SIGHUP)
        wait_for_workers(server, 3, other_than=old)
        found = ANSWERED.search(get(server, "/metrics")[1])
        assert found is not None
        assert int(found[1]) == asked
    wait_until(
        lambda: len(list(board.glob("*.db"))) <= 2 * 5 + 2, "files of the living, and one of each kind for all others"
    )


def test_a_server_that_does_not_move_is_still_told_about(watched: Server) -> None:
    serving = [child for child in workers_of(watched) if child != admin_process(watched)] or [watched.process.pid]
    for process in serving:
        os.kill(process, signal.SIGSTOP)
    try:
        assert get(watched, "/healthz") == (200, "alive\n")
        assert get(watched, "/metrics")[0] == 200
    finally:
        for process in serving:
            os.kill(process, signal.SIGCONT)


def test_a_server_that_drains_is_not_ready_but_alive(watched: Server) -> None:
    with watched.connect() as client:
        client.send(b"get_slice large.bin 0 1000000 raw\r\n" * 50)
        assert client.exactly(10)
        watched.process.send_signal(signal.SIGTERM)
        wait_until(lambda: get(watched, "/readyz") == (503, "not ready\n"), "it is not ready")
        assert get(watched, "/healthz") == (200, "alive\n")
        watched.process.send_signal(signal.SIGTERM)
    assert watched.process.wait(PATIENCE_SECONDS) == -signal.SIGTERM


def test_the_admin_process_is_started_again_when_it_is_killed(watched: Server) -> None:
    first = admin_process(watched)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: state_of(first) == "X", "the old one is gone")

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return get(watched, "/healthz") == (200, "alive\n")
        return False

    wait_until(answers, "another one answers")


def test_the_admin_process_and_its_files_do_not_outlive_a_server_that_is_killed(
    watched: Server, scratch: Path, start: Start, directory: Path
) -> None:
    left = workers_of(watched)
    assert admin_process(watched) in left
    watched.process.kill()
    watched.process.wait()
    wait_until(lambda: all(state_of(process) in "XZ" for process in left), "it ends, and the workers do")
    (abandoned,) = scratch.iterdir()
    start(directory, "--admin", "127.0.0.1:0").ask(b"quit\r\n")
    wait_until(lambda: not abandoned.exists(), "the next server cleans up")


def test_what_is_no_good_request_is_refused_and_a_slow_one_is_cut(watched: Server) -> None:
    assert get(watched, "/")[0] == 404
    host, _, port = endpoint(watched).rpartition(":")
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection((host, int(port)), PATIENCE_SECONDS)) for _ in range(8)]
        started = time.monotonic()
        for each in slow:
            each.sendall(b"GET /metrics HT")
        assert get(watched, "/healthz") == (200, "alive\n")
        for each in slow:
            assert each.recv(100) == b""
        assert time.monotonic() - started < PATIENCE_SECONDS
    with socket.create_connection((host, int(port)), PATIENCE_SECONDS) as client:
        client.sendall(b"HEAD /healthz HTTP/1.0\r\n\r\n")
        answer = b""
        while data := client.recv(1000):
            answer += data
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


def test_an_address_that_cannot_be_had_is_told(scratch: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match=r"^cannot listen on 127\.0"):
        Admin(taken.getsockname()).__enter__()
    assert list(scratch.iterdir()) == []

"""The admin endpoint answers while the server is busy, with correct totals over all its processes."""

import contextlib
import errno
import os
import re
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from greenserver.admin import process as admin_module
from greenserver.admin.process import Admin
from greenserver.telemetry.metrics_interface import SILENT
from tests.cycles.__main__ import state_of
from tests.greenserver.conftest import Start
from tests.greenserver.service.test_workers import wait_for_workers, workers_of
from tests.greenserver.serving import TIMEOUT_SECONDS, Server, wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]

ANSWERED = re.compile(r'greenserver_commands_total\{command="get_metadata",status="0"\} (\d+)')


def endpoint(server: Server) -> str:
    found = re.search(r"admin endpoint listening address=(\S+)", server.log())
    assert found is not None
    return found[1]


def get(server: Server, path: str) -> tuple[int, str]:
    """Return the status and the body of an answer."""
    try:
        with urllib.request.urlopen(f"http://{endpoint(server)}{path}", timeout=TIMEOUT_SECONDS) as answer:
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


def test_every_engine_counts_commands(start: Start, directory: Path, engine: str) -> None:
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


def test_counts_rejected_and_stalled_connections(start: Start, directory: Path) -> None:
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


def test_keeps_the_counts_of_exited_workers(start: Start, directory: Path) -> None:
    server = start(directory, "--admin", "127.0.0.1:0", "--workers", "2")
    wait_for_workers(server, 3)
    for turn, end in enumerate((signal.SIGHUP, signal.SIGKILL, signal.SIGHUP), 1):
        for _ in range(5):
            server.ask(b"get_metadata one\r\n")
        wait_until(lambda turn=turn: answered(server) == 5 * turn, "they are counted")  # type: ignore[misc]
        old = [worker for worker in workers_of(server) if worker != admin_process(server)]
        for process in old if end == signal.SIGKILL else [server.process.pid]:
            os.kill(process, end)
        wait_for_workers(server, 3, other_than=old)
        assert answered(server) == 5 * turn
        wait_until(lambda: "serving_processes 2.0" in get(server, "/metrics")[1], "those that have ended do not serve")


def answered(server: Server) -> int:
    """Return how many commands its metrics count."""
    found = ANSWERED.search(get(server, "/metrics")[1])
    return 0 if found is None else int(found[1])


def test_answers_while_the_server_is_stopped(watched: Server) -> None:
    serving = [child for child in workers_of(watched) if child != admin_process(watched)] or [watched.process.pid]
    for each in serving:
        os.kill(each, signal.SIGSTOP)
    try:
        assert get(watched, "/healthz") == (200, "alive\n")
        assert get(watched, "/metrics")[0] == 200
    finally:
        for each in serving:
            os.kill(each, signal.SIGCONT)


def test_draining_server_is_alive_but_not_ready(watched: Server) -> None:
    with watched.connect() as client:
        client.send(b"get_slice large.bin 0 1000000 raw\r\n" * 50)
        assert client.exactly(10)
        watched.process.send_signal(signal.SIGTERM)
        wait_until(lambda: get(watched, "/readyz") == (503, "not ready\n"), "it is not ready")
        assert get(watched, "/healthz") == (200, "alive\n")
        watched.process.send_signal(signal.SIGTERM)
    assert watched.process.wait(TIMEOUT_SECONDS) == -signal.SIGTERM


def test_restarts_a_killed_admin_process(watched: Server) -> None:
    first = admin_process(watched)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: state_of(first) == "X", "the old one is gone")

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return get(watched, "/healthz") == (200, "alive\n")
        return False

    wait_until(answers, "another one answers")


def test_admin_process_ends_with_a_killed_server(watched: Server) -> None:
    left = workers_of(watched)
    assert admin_process(watched) in left
    watched.process.kill()
    watched.process.wait()
    wait_until(lambda: all(state_of(process) in "XZ" for process in left), "it ends, and the workers do")


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_needs_no_file_for_metrics_and_readiness(
    start: Start, directory: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """A file could be removed, replaced or filled up, for example by a cleaner of the temporary directory."""
    nowhere = dict.fromkeys(("TMPDIR", "RUNTIME_DIRECTORY"), str(tmp_path / "nowhere"))
    server = start(directory, "--admin", "127.0.0.1:0", *options, environment=nowhere)
    server.ask(b"get_metadata one\r\n")
    wait_until(lambda: get(server, "/readyz")[0] == 200, "it is ready")
    wait_until(lambda: ANSWERED.search(get(server, "/metrics")[1]) is not None, "it is counted")

    def holds_no_file(process: int) -> bool:
        with contextlib.suppress(FileNotFoundError):  # a module that was being imported
            held = {path.readlink() for path in Path(f"/proc/{process}/fd").iterdir()}
            return not [path for path in held if path.is_file() and path.parent != server.stdout.parent]
        return False

    for each in [server.process.pid, *workers_of(server)]:
        wait_until(lambda each=each: holds_no_file(each), "nothing is open but the log")  # type: ignore[misc]
    assert list(tmp_path.glob("nowhere")) == []


@pytest.mark.parametrize("fails", ["memory.allot", "memory.open"])
def test_serves_without_metrics_if_memory_is_short(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    def fail(_number: int = 0) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Admin(("127.0.0.1", 0), "text") as admin:
        monkeypatch.setattr(admin.memory, fails.partition(".")[2], fail)
        admin.prepare()
        assert admin.metrics() is SILENT
        admin.began(1)
        admin.ended(1)
        assert "no memory for metrics; serving without" in caplog.messages
        monkeypatch.undo()
        admin.watch()
        assert not admin._ended_pages  # noqa: SLF001  (given back later)


def test_retries_an_admin_process_that_fails_to_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(admin_module, "RESTART_SECONDS", 0.1)
    with Admin(("127.0.0.1", 0), "text") as admin:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", "/nowhere/python")
            admin.watch()
            admin.watch()  # too soon
            assert caplog.messages.count("admin process failed to start") == 1
        time.sleep(0.1)
        admin.watch()
        assert caplog.messages.count("admin process failed to start") == 1
        assert admin._process is not None  # noqa: SLF001  (watch() has no other way in)


def test_reports_an_unusable_admin_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match=r"^cannot listen on 127\.0"):
        Admin(taken.getsockname(), "text").__enter__()

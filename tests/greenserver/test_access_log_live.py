"""The access log tells who downloads what, within a rate of lines for each client, on every engine."""

import contextlib
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenserver.config import limits
from tests.greenserver.conftest import LARGE, Start
from tests.greenserver.launching import Launch, LaunchedServer
from tests.greenserver.serving import TIMEOUT_SECONDS, Client, wait_until

pytestmark = pytest.mark.once

SIZE_OF_ONE = b"0 OK\r\n1\r\n"
WHOLE = b"get_slice large.bin 0 %d raw\r\n" % len(LARGE)
HEAD = b"0 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE)
RATE = 2
MOST = RATE * limits.LOG_BURST_SECONDS
FLOOD = 1000


def connect_from(server: LaunchedServer, address: str) -> Client:
    """Return a client with an address of its own."""
    return Client(socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS, (address, 0)))


def flood(client: Client, count: int) -> None:
    """Send so many commands, and read the replies."""
    for _ in range(count // 100):
        client.send(b"get_metadata one\r\n" * 100)
        assert client.exactly(100 * len(SIZE_OF_ONE)) == SIZE_OF_ONE * 100


def told_of(server: LaunchedServer, address: str) -> tuple[int, int]:
    """Return how many lines the log has about a client, and how many were left out."""
    events = [event for event in server.events() if event.get("client", "").partition(":")[0] == address]
    left_out = [event["count"] for event in events if event["event"] == "log lines suppressed"]
    return len(events) - len(left_out), sum(left_out)


def test_lines_past_the_rate_of_a_client_are_counted(launch: Launch, engine: str) -> None:
    server = launch(engine, limits={"log_rate": RATE})
    with connect_from(server, "127.0.0.2") as client:
        flood(client, FLOOD)
        wait_until(lambda: sum(told_of(server, "127.0.0.2")) == 1 + FLOOD, "all are counted, though it is silent now")
        lines, _ = told_of(server, "127.0.0.2")
        assert MOST <= lines < FLOOD // 2
    with connect_from(server, "127.0.0.3") as other:
        flood(other, 100)
        other.end()
        assert other.rest() == b""
    wait_until(lambda: sum(told_of(server, "127.0.0.3")) == 102, "another client has a rate of its own")
    assert told_of(server, "127.0.0.3")[0] >= MOST


def test_a_stop_tells_how_many_lines_were_left_out(launch: Launch, engine: str) -> None:
    server = launch(engine, limits={"log_rate": RATE})
    with connect_from(server, "127.0.0.2") as client:
        flood(client, FLOOD)
        assert server.stop() == 0
        assert client.rest() == b""
    assert sum(told_of(server, "127.0.0.2")) == 2 + FLOOD


def test_lines_about_failures_are_limited_too(start: Start, tmp_path: Path, engine: str) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / "secret").write_bytes(b"1")
    (served / "secret").chmod(0)
    options = ("--engine", engine, "-q", "--log-rate", str(RATE), "--log-format", "json")
    server = start(served, *options, environment={"TEST_PERMISSIONS": "1"})
    for _ in range(3 * MOST):
        assert server.ask(b"get_slice secret 0 1\r\n").startswith(b"199 ")
    assert server.stop() == 0
    assert MOST <= server.log().count("command failed") < 3 * MOST
    assert "log lines suppressed" in server.log()


def downloads(server: LaunchedServer) -> list[dict[str, Any]]:
    return server.events_named("download")


def test_each_download_is_a_line_with_what_was_sent(launch: Launch, engine: str) -> None:
    server = launch(engine, access_log="downloads")
    with server.connect() as client:
        client.send(b"get_metadata large.bin\r\nget_slice one 0 1\r\nget_slice absent 0 1\r\n" + WHOLE + b"quit\r\n")
        client.rest()
        wait_until(lambda: len(downloads(server)) == 2, "both are logged")
    slices = [b"get_slice large.bin %d 30000 raw\r\n" % offset for offset in range(0, len(LARGE), 30_000)]
    server.ask(b"".join(slices))
    wait_until(lambda: len(downloads(server)) == 3, "it is logged")
    small, large, sliced = downloads(server)
    assert {event["event"] for event in server.events()} == {"download"}, "and nothing else"
    assert small | {"file": "one", "offset": 0, "size": 1, "bytes": 6 + 6, "slices": 1, "complete": True} == small
    of_large = {"file": "large.bin", "offset": 0, "size": len(LARGE), "complete": True}
    assert large | of_large | {"bytes": len(HEAD) + len(LARGE), "slices": 1} == large
    overhead = len(b"0 OK\r\nContent-Length: 30000\r\n\r\n")
    assert sliced | of_large | {"bytes": len(LARGE) + 40 * overhead, "slices": 40} == sliced
    assert all(event["client"].startswith("127.0.0.1:") and 0 <= event["seconds"] < 20 for event in (large, sliced))


def reset_in_the_middle(client: Client) -> None:
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


@pytest.mark.parametrize("access_log", ["commands", "downloads"])
@pytest.mark.parametrize("end", [reset_in_the_middle, None])
def test_a_transfer_that_was_cut_is_not_complete(
    launch: Launch, engine: str, end: Callable[[Client], None] | None, access_log: str
) -> None:
    server = launch(engine, access_log=access_log, limits={"stall_seconds": 0.5, "linger_seconds": 0.5})
    with contextlib.closing(socket.socket()) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", server.port))
        client = Client(sock)
        client.send(WHOLE * 20)
        assert client.exactly(len(HEAD) + 1000).startswith(HEAD)
        if end is not None:
            end(client)
        wait_until(lambda: bool(cut_transfers(server)), "the transfer is over")
    (event,) = cut_transfers(server)
    assert event | {"file": "large.bin", "offset": 0} == event
    assert event["bytes"] < event["size"] + len(HEAD) * event.get("slices", 1)
    if access_log == "downloads":
        expected = {"outcome": "timed out", "limit": "write"} if end is None else {}
        assert event | expected == event


def cut_transfers(server: LaunchedServer) -> list[dict[str, Any]]:
    return [event for event in server.events_named("command", "download") if event.get("complete") is False]


@pytest.mark.measured
@pytest.mark.parametrize("workers", [0, 1])
def test_a_reload_changes_what_is_logged_and_how_much(
    start: Start, directory: Path, tmp_path: Path, workers: int
) -> None:
    config = tmp_path / "greenserver.toml"
    always = f'directory = "{directory}"\nworkers = {workers}\nlog-format = "json"\n'

    def lines_after(more: str) -> str:
        """Return what the log says of 40 commands and one download after a reload."""
        config.write_text(always + more)
        reloads = server.log().count("configuration reloaded")
        stops = server.log().count('"stopped"')
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.log().count("configuration reloaded") > reloads, "the configuration is reloaded")
        if workers:
            wait_until(lambda: server.log().count('"stopped"') > stops, "the old worker ends")
        before = len(server.log())
        server.ask(b"get_metadata one\r\n" * 40 + b"get_slice one 0 1\r\n" + b"quit\r\n")
        wait_until(lambda: len(server.log()) > before or "none" in more, "it is logged")
        return server.log()[before:]

    config.write_text(always)
    server = start(directory, "-c", str(config), "--engine", "threads", is_directory_option=False)
    assert lines_after('access-log = "none"\n') == ""
    brief = lines_after('access-log = "downloads"\n')
    assert brief.count("\n") == brief.count('"event": "download"') == 1
    limited = lines_after("log-rate = 1\n")
    assert limited.count('"command"') < 2 * limits.LOG_BURST_SECONDS
    assert lines_after("log-rate = 0\n").count('"event": "command"') == 42
    assert server.stop() == 0
    assert "log lines suppressed" in server.log()

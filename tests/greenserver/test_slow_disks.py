"""A hanging disk delays only the clients that need it; concurrent clients share a long listing."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenserver.config.limits import WRITE_NANOSECONDS
from tests.greenserver.launching import EVENT_LOOP_ENGINES, LaunchedServer
from tests.greenserver.serving import TIMEOUT_SECONDS, no_leaks

pytestmark = [pytest.mark.once, pytest.mark.measured]

HUNG = b"".join(number.to_bytes(4, "big") for number in range(150_000))
each_event_loop_engine = pytest.mark.parametrize("engine", EVENT_LOOP_ENGINES)


class HangingDisk:
    """A server whose reads of files named hung* block until `release`."""

    def __init__(self, tmp_path: Path, engine: str, **settings: object) -> None:
        files = self._files = tmp_path / "files"
        files.mkdir()
        (files / "warm.txt").write_bytes(b"warm")
        (files / "hung.bin").write_bytes(HUNG)
        self._hang = tmp_path / "hang"
        self._hang.touch()
        self.server = LaunchedServer(files, tmp_path / "server", engine, hang=str(self._hang), **settings)  # type: ignore[arg-type]

    def settle(self) -> None:
        """Wait until no file is so new that a slice of it has to be read where a read may block."""
        newest = max(path.stat().st_ctime_ns for path in self._files.iterdir())
        time.sleep(max(0.0, (newest + WRITE_NANOSECONDS - time.time_ns()) / 1e9 + 0.05))

    def release(self) -> None:
        """Let the reads continue."""
        self._hang.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path, engine: str) -> Iterator[HangingDisk]:
    disk = HangingDisk(tmp_path, engine)
    yield disk
    disk.release()
    disk.server.close()


@each_event_loop_engine
def test_cached_files_are_served_while_a_disk_hangs(disk: HangingDisk) -> None:
    server = disk.server
    disk.settle()
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(server.connect()) for _ in range(30)]  # several times the number of threads
        for client in waiting:
            client.send(b"get_slice hung.bin 0 %d raw\r\nquit\r\n" % len(HUNG))
        time.sleep(0.3)
        delays = []
        for _ in range(100):
            started = time.monotonic()
            assert server.ask(b"get_slice warm.txt 0 4 raw\r\n") == b"0 OK\r\nContent-Length: 4\r\n\r\nwarm"
            delays.append(time.monotonic() - started)
        assert sorted(delays)[98] < 0.5, "on an idle machine, p99 is under 50 ms"
        disk.release()
        for client in waiting:
            assert client.rest() == b"0 OK\r\nContent-Length: %d\r\n\r\n%b0 OK\r\n" % (len(HUNG), HUNG)


@each_event_loop_engine
def test_as_many_threads_read_files_as_are_asked_for(tmp_path: Path, engine: str) -> None:
    counts = []
    for threads in (2, 7):
        server = LaunchedServer(tmp_path, tmp_path / f"server-{threads}", engine, limits={"file_threads": threads})
        try:
            server.ask(b"help\r\n")  # it serves
            counts.append(server.counts()["threads"])
        finally:
            server.close()
    assert counts[1] - counts[0] == 5


@each_event_loop_engine
def test_a_server_can_be_stopped_while_a_disk_hangs(tmp_path: Path, engine: str) -> None:
    disk = HangingDisk(tmp_path, engine, limits={"grace_seconds": 0.5})
    with disk.server.connect() as client:
        client.send(b"get_slice hung.bin 0 9 raw\r\n")
        time.sleep(0.3)
        started = time.monotonic()
        assert disk.server.stop() == 0
        assert time.monotonic() - started < 10
    disk.release()


@each_event_loop_engine
def test_a_disconnect_while_the_disk_hangs_leaks_nothing(disk: HangingDisk) -> None:
    server = disk.server
    server.ask(b"get_slice warm.txt 0 4\r\n")
    with no_leaks(server):
        for _ in range(5):
            with server.connect() as client:
                client.send(b"get_slice hung.bin 0 600000 raw\r\n")
                time.sleep(0.05)
        disk.release()


@each_event_loop_engine
def test_others_are_served_while_many_clients_request_a_long_listing(tmp_path: Path, engine: str) -> None:
    files = tmp_path / "many"
    files.mkdir()
    names = {f"file-{number:05}" for number in range(20_000)}
    for name in names:
        (files / name).touch()
    server = LaunchedServer(files, tmp_path / "server", engine)
    try:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(server.connect()) for _ in range(40)]
            started = time.monotonic()
            for client in clients:
                client.send(b"get_file_listing\r\nquit\r\n")
            for _ in range(20):
                assert server.ask(b"get_metadata file-00007\r\n") == b"0 OK\r\n0\r\n"
            replies = {client.rest() for client in clients}
            seconds = time.monotonic() - started
        (reply,) = replies
        assert reply.startswith(b"0 OK\r\n")
        assert reply.endswith(b"\r\n\r\n0 OK\r\n")
        assert set(reply[6:-10].decode().split("\r\n")) == names
        assert seconds < TIMEOUT_SECONDS
        (files / "file-new").touch()
        assert b"\r\nfile-new\r\n" in server.ask(b"get_file_listing\r\n"), "no listing is older than its request"
    finally:
        server.close()

"""Nobody who does not read the log can hold the server, and who reads again learns what was lost."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenserver.config import limits
from greenserver.io import c_library
from greenserver.telemetry import log
from tests.greenserver.launching import LaunchedServer
from tests.greenserver.serving import ENGINES, wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]


class Reader:
    """The reading end of a log, which reads only when it is told to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._received = b""
        os.set_blocking(descriptor, False)

    def read(self) -> bytes:
        """Return all that has ever come, after reading what is there."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._descriptor, 1 << 16):
                self._received += data
        return self._received

    def events(self) -> list[dict[str, object]]:
        """Return all complete lines, each of which must be one object."""
        return [json.loads(line) for line in self.read().splitlines()]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    for descriptor in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(descriptor)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_server_serves_while_nobody_reads_its_log_and_then_says_how_much_was_lost(
    directory: Path, tmp_path: Path, engine: str, pipe: tuple[int, int]
) -> None:
    reader = Reader(pipe[0])
    server = LaunchedServer(directory, tmp_path / "server", engine, stderr=pipe[1])
    os.close(pipe[1])
    try:
        commands = 3 * limits.LOG_BACKLOG_LINES
        assert server.ask(b"say_it\r\n" * commands) == b"200 NO SUCH COMMAND\r\n" * commands
        with server.connect() as client:

            def loss_is_told() -> bool:
                client.send(b"say_it\r\n")
                assert client.line() == b"200 NO SUCH COMMAND\r\n"
                return b"log lines dropped" in reader.read()

            wait_until(loss_is_told, "the loss is told")
        os.set_blocking(pipe[0], True)
        assert server.stop() == 0
    finally:
        server.close()
    events = reader.events()
    lost = [event for event in events if event["event"] == "log lines dropped"]
    assert events[-1]["event"] == "stopped"
    answered = sum(event["event"] == "command" for event in events)
    assert answered >= commands - sum(int(str(event["count"])) for event in lost)
    assert answered + sum(int(str(event["count"])) for event in lost) >= commands


def handler_on(descriptor: int) -> log.LineHandler:
    handler = log.LineHandler(descriptor)
    handler.setFormatter(log.JsonFormatter())
    return handler


def emit(handler: log.LineHandler, event: str) -> None:
    handler.handle(logging.LogRecord("x", logging.INFO, __file__, 0, event, None, None))


def test_what_is_kept_comes_in_order_and_what_is_lost_is_counted_exactly(pipe: tuple[int, int]) -> None:
    reader, handler = Reader(pipe[0]), handler_on(pipe[1])
    count = 2 * limits.LOG_BACKLOG_LINES
    for number in range(count):
        emit(handler, str(number))
    for _ in range(200):  # as many reads of a page as it takes, several times over
        reader.read()
        emit(handler, str(count))
        count += 1
    reader.read()
    handler.close()
    events = reader.events()
    (told,) = (event for event in events if "count" in event)
    numbers = [int(str(event["event"])) for event in events if "count" not in event]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + int(str(told["count"])) == count


def test_a_line_longer_than_the_pipe_comes_whole(pipe: tuple[int, int]) -> None:
    reader, handler = Reader(pipe[0]), handler_on(pipe[1])
    emit(handler, "x" * 10_000)
    for _ in range(5):
        reader.read()
        emit(handler, "y")
    handler.close()
    reader.read()
    assert [event["event"] for event in reader.events()] == ["x" * 10_000, *"yyyyy"]


def test_a_log_that_nobody_will_ever_read_is_no_trouble(
    pipe: tuple[int, int], capfd: pytest.CaptureFixture[str]
) -> None:
    handler = handler_on(pipe[1])
    os.close(pipe[0])
    for _ in range(10):
        emit(handler, "into the void")
    handler.close()
    assert capfd.readouterr().err == "", "and the logging module has no error to tell"


def test_a_socket_as_a_log_is_not_waited_for_either() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        handler = handler_on(ours.fileno())
        for _ in range(5000):
            emit(handler, "x" * 100)
        assert theirs.recv(1000).startswith(b'{"time"')
        theirs.close()
        handler.close()


@pytest.mark.parametrize("system", ["all of it", "an old kernel", "an old C library"])
def test_a_pipe_that_may_not_be_opened_anew_is_not_waited_for_either(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 1 << 16)  # a pipe of one page is ready only while it is empty
    if system == "an old kernel":
        monkeypatch.setattr(os, "pwritev", refuse_flag)
    elif system == "an old C library":
        monkeypatch.setattr(c_library, "NOWAIT", None)
        monkeypatch.delattr(os, "pwritev")
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        handler = handler_on(pipe[1])
    reader = Reader(pipe[0])
    count = 3 * limits.LOG_BACKLOG_LINES
    for number in range(count):
        emit(handler, str(number))
    emit(handler, "x" * 10_000)
    for _ in range(200):  # as many reads of a page as it takes, several times over
        reader.read()
        emit(handler, str(count))
        count += 1
    handler.close()
    events = reader.events()
    lost = sum(int(str(event.get("count", 0))) for event in events)
    assert lost + sum("count" not in event for event in events) == count + 1
    assert events[0]["event"] == "0"


def refuse(*_: object, **__: object) -> int:
    raise PermissionError


def refuse_flag(*_: object) -> int:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def test_a_file_as_a_log_gets_every_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        handler = handler_on(file.fileno())
        for number in range(3000):
            emit(handler, str(number))
        handler.close()
    events = [json.loads(line)["event"] for line in path.read_text(encoding="ascii").splitlines()]
    assert events == [str(number) for number in range(3000)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 64 KiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a disk")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_no_line_is_broken_by_a_full_disk_and_what_is_lost_is_counted(small_disk: Path, mode: str) -> None:
    path = small_disk / "log"
    with path.open(mode) as file:
        handlers = [handler_on(file.fileno()) for _ in range(2)]  # as in two processes
        sent = 0
        for _ in range(3 * limits.LOG_BACKLOG_LINES):
            emit(handlers[sent % 2], str(sent))
            sent += 1
        assert all(json.loads(line) for line in path.read_text(encoding="ascii").splitlines()), "while it is full"
        subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
        for handler in handlers:
            emit(handler, str(sent))
            sent += 1
            handler.close()
    events = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    lost = sum(event["count"] for event in events if event["event"] == "log lines dropped")
    assert lost > 0
    assert len([event for event in events if "count" not in event]) + lost == sent


def test_what_does_not_fit_and_cannot_be_taken_back_is_written_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        handler = handler_on(file.fileno())
        full = [True]
        write = os.write

        def write_some(descriptor: int, data: bytes) -> int:
            if not full:
                return write(descriptor, data)
            if len(data) < 50:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(descriptor, data[:20])

        monkeypatch.setattr(handler._sink, "_write", lambda data: write_some(file.fileno(), data))  # noqa: SLF001
        monkeypatch.setattr(os, "ftruncate", refuse)
        emit(handler, "one")
        full.clear()
        emit(handler, "two")
        handler.close()
    assert [json.loads(line)["event"] for line in path.read_text(encoding="ascii").splitlines()] == ["one", "two"]

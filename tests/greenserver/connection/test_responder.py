"""The fast path answers short commands while a connection waits, with the same replies as the generator."""

import contextlib
import itertools
import logging
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any

import pytest

import greenserver
from greenserver.config.limits import DEFAULTS
from greenserver.connection.connection import Connection
from greenserver.connection.serving_config import ServingConfig
from greenserver.files.store import FileStore
from greenserver.io.wait import KEEP_WAITING, READ, READY, WRITE, Steps, Wait, poll
from greenserver.protocol.dialects import DIALECTS
from greenserver.telemetry.log import LineHandler, TextFormatter
from greenserver.telemetry.metrics_interface import Metrics
from tests.greenserver.oracle import OK
from tests.greenserver.serving import TIMEOUT_SECONDS, Client
from tests.greenserver.test_random_input import oracle_for

SERVER = f"{Path(greenserver.__file__).parent}/"
ASK_ONE = b"get_metadata one\r\n"
SIZE_OF_ONE = OK + b"1\r\n"
MAX_WAITS = 1000
MAX_COMMANDS = 100_000


@dataclass
class DrivenConnection:
    """A connection that waits for its first command, driven step by step, and its client."""

    connection: Connection
    client: Client
    steps: Steps[None]
    wait: Wait
    outcome: object = READY

    def run_fast_path(self) -> bool:
        """Run the fast path on the received bytes, and return whether the generator must be resumed."""
        assert poll(self.connection.socket.fileno(), READ, TIMEOUT_SECONDS)
        self.outcome = self.wait.outcome()
        return self.outcome is not KEEP_WAITING

    def resume(self) -> None:
        """Do the job that the generator waits for, if any, and resume it with the outcome of the fast path."""
        if self.wait.work is not None:
            self.wait.work()
        outcome, self.outcome = self.outcome, READY
        self.wait = self.steps.send(outcome)

    def finish(self) -> bytes:
        """Run the connection to its end, and return what its client receives."""
        received = b""
        self.client.socket.settimeout(0)
        with contextlib.suppress(StopIteration):
            for _ in range(MAX_WAITS):
                with contextlib.suppress(BlockingIOError):
                    received += self.client.socket.recv(1 << 20)
                self.resume()
        self.client.socket.settimeout(TIMEOUT_SECONDS)
        return received + self.client.rest()


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take all files for so old that no write to them is under way."""
    monkeypatch.setattr("greenserver.files.file_slice.time_ns", lambda: 1 << 62)


@pytest.fixture
def driven(directory: Path) -> Iterator[DrivenConnection]:
    with driving(directory) as made:
        yield made


@contextlib.contextmanager
def driving(directory: Path, **more: Any) -> Iterator[DrivenConnection]:  # noqa: ANN401  (any setting)
    """Yield a connection that runs up to its first wait."""
    ours, theirs = socket.socketpair()
    with FileStore(directory) as store, Client(theirs) as client:
        connection = Connection(ours, ServingConfig(store, DIALECTS["2026"], **more), may_block=False)
        steps = connection.steps()
        yield DrivenConnection(connection, client, steps, next(steps))
        steps.close()


def test_short_commands_are_answered_on_the_fast_path(driven: DrivenConnection) -> None:
    for sent in (ASK_ONE, ASK_ONE * 3, ASK_ONE):
        driven.client.send(sent)
        assert not driven.run_fast_path()
        expected = SIZE_OF_ONE * sent.count(b"\n")
        assert driven.client.exactly(len(expected)) == expected


def test_each_reply_extends_the_deadline(driven: DrivenConnection) -> None:
    first = driven.wait.deadline
    driven.client.send(ASK_ONE)
    assert not driven.run_fast_path()
    assert first < driven.wait.deadline <= first + TIMEOUT_SECONDS


def test_a_partial_line_has_the_line_deadline(driven: DrivenConnection) -> None:
    before = driven.wait.deadline
    driven.client.send(ASK_ONE + ASK_ONE[:5])
    assert not driven.run_fast_path()
    in_line = driven.wait.deadline
    assert in_line <= before - DEFAULTS.idle_seconds + DEFAULTS.line_seconds + TIMEOUT_SECONDS
    driven.client.send(ASK_ONE[5:7])
    assert not driven.run_fast_path()
    assert driven.wait.deadline - in_line < 1, "one more byte does not extend the deadline"
    driven.client.send(ASK_ONE[7:])
    assert not driven.run_fast_path()
    assert driven.wait.deadline > in_line + DEFAULTS.line_seconds
    assert driven.client.exactly(2 * len(SIZE_OF_ONE)) == 2 * SIZE_OF_ONE


@pytest.mark.parametrize(
    "sent",
    [
        b"get_file_listing\r\n",
        b"get_slice large.bin 0 300000\r\n",
        b"qui\nt\r\n",
        b"\r\n",
        b"quit\r\n",
    ],
)
def test_other_commands_are_passed_to_the_generator_in_order(
    driven: DrivenConnection, directory: Path, sent: bytes
) -> None:
    sent = ASK_ONE + sent + ASK_ONE
    driven.client.send(sent)
    driven.client.end()
    assert driven.run_fast_path()
    assert driven.finish() == oracle_for("2026", directory).replies(sent)


@pytest.mark.parametrize(
    "sent",
    [
        b"get_metadata absent\r\n",
        b"get_metadata ../one\r\n",
        b"get_metadata\r\n",
        b"get_slice one 0 1\r\n",
        b"get_slice one 0 1 raw\r\n",
        b"get_slice one 1 1\r\n",
        b"help\r\n",
        b"nonsense\r\n",
    ],
)
def test_short_replies_and_errors_are_sent_on_the_fast_path(
    driven: DrivenConnection, directory: Path, sent: bytes
) -> None:
    sent = ASK_ONE + sent + ASK_ONE
    for name in ("one", "absent"):  # so that the kernel caches the names
        with contextlib.suppress(FileNotFoundError):
            driven.connection.config.store.size(name)
    driven.client.send(sent)
    assert not driven.run_fast_path()
    expected = oracle_for("2026", directory).replies(sent)
    assert driven.client.exactly(len(expected)) == expected


def test_buffered_replies_are_bounded(directory: Path) -> None:
    sent = b"get_slice large.bin 0 47000 raw\r\n" * 30
    with driving(directory) as driven:
        driven.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        driven.client.send(sent)
        driven.client.end()
        assert driven.run_fast_path()
        assert len(driven.connection._writer.replies) < 1 << 18  # noqa: SLF001  (its memory is bounded)
        assert driven.finish() == oracle_for("2026", directory).replies(sent)


def test_any_segmentation_gives_the_same_replies(directory: Path) -> None:
    """This includes pieces that are a cached command without its line end."""
    sent = ASK_ONE + b"no\r\n" + ASK_ONE + b"q\nt\r\n"
    expected = oracle_for("2026", directory).replies(sent)
    for cuts in itertools.combinations(range(1, len(sent)), 2):
        with driving(directory) as driven:
            with contextlib.suppress(StopIteration):
                for start, end in zip((0, *cuts), (*cuts, len(sent)), strict=True):
                    driven.client.send(sent[start:end])
                    if driven.run_fast_path():
                        driven.resume()
            assert driven.client.exactly(len(expected)) == expected, cuts


def test_a_client_that_does_not_read_makes_the_connection_wait_for_write(driven: DrivenConnection) -> None:
    driven.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    commands_sent = 0
    while commands_sent < MAX_COMMANDS:
        driven.client.send(ASK_ONE * 10)
        commands_sent += 10
        if driven.run_fast_path():
            break
    driven.resume()
    assert driven.wait.events == WRITE
    assert driven.client.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE
    driven.client.end()
    assert driven.finish() == SIZE_OF_ONE * (commands_sent - 1)


def test_eof_ends_the_connection(driven: DrivenConnection) -> None:
    driven.client.end()
    assert driven.run_fast_path()
    assert driven.finish() == b""


def test_a_reset_connection_is_logged_as_such(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    with driving(directory) as driven:
        driven.client.send(ASK_ONE)
        assert not driven.run_fast_path()
        driven.client.socket.close()  # with an unread reply
        assert driven.run_fast_path()
        with pytest.raises(StopIteration):
            driven.resume()
    ended = caplog.records[-1]
    assert (ended.message, ended.facts["outcome"]) == ("disconnected", "Connection reset by peer")  # type: ignore[attr-defined]


def test_a_cached_line_that_ends_another_is_not_run_by_itself(driven: DrivenConnection) -> None:
    driven.client.send(ASK_ONE)
    assert not driven.run_fast_path()
    driven.client.exactly(len(SIZE_OF_ONE))
    driven.client.send(b"get_metadata tw")
    assert not driven.run_fast_path()
    driven.client.send(ASK_ONE)
    assert not driven.run_fast_path()
    assert driven.client.line() == b"201 INVALID ARGUMENTS FOR COMMAND\r\n"


@pytest.mark.parametrize("sent", [ASK_ONE, ASK_ONE * 2], ids=["one", "pipelined"])
def test_a_name_is_assumed_to_be_in_memory_for_a_limited_time(
    driven: DrivenConnection, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    files = driven.connection.config.store.in_memory
    monkeypatch.setattr(files, "_is_all_in_memory", False)  # even on a tmpfs
    monkeypatch.setattr(files, "_known_seconds", 100.0)
    files.refresh(monotonic())
    driven.connection.config.store.size("one")  # so that the kernel caches the name
    for _ in range(2):
        driven.client.send(sent)
        assert not driven.run_fast_path()
        monkeypatch.setattr("greenserver.files.store.is_name_cached", lambda *_: False)
    files.stale_at = 0.0
    driven.client.send(sent)
    assert driven.run_fast_path(), "the name is looked up again, in a thread"


def test_a_file_that_is_not_in_memory_is_passed_to_the_generator(
    driven: DrivenConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greenserver.files.store.is_name_cached", lambda *_: False)
    monkeypatch.setattr(driven.connection.config.store.in_memory, "_is_all_in_memory", False)  # even on a tmpfs
    driven.client.send(ASK_ONE)
    assert driven.run_fast_path()
    driven.resume()
    assert driven.wait.work is not None
    driven.resume()
    assert driven.client.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE


def test_commands_on_the_fast_path_are_counted_and_logged(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Counting(Metrics):
        def __init__(self) -> None:
            self.commands: list[tuple[str, int, int]] = []
            self.received_bytes = 0

        def received(self, count: int) -> None:
            self.received_bytes += count

        def command(self, name: str, status: int, sent_bytes: int, seconds: float) -> None:
            assert 0 <= seconds < TIMEOUT_SECONDS
            self.commands.append((name, status, sent_bytes))

    caplog.set_level(logging.INFO, "greenserver")
    metrics = Counting()
    with driving(directory, metrics=metrics) as driven:
        for sent in (ASK_ONE, ASK_ONE * 2):
            driven.client.send(sent)
            assert not driven.run_fast_path()
    assert metrics.commands == [("get_metadata", 0, len(SIZE_OF_ONE))] * 3
    assert metrics.received_bytes == 3 * len(ASK_ONE)
    assert [record.message for record in caplog.records].count("command") == 3


@pytest.mark.parametrize(("level", "most_calls", "most_modules"), [(logging.WARNING, 26, 10), (logging.INFO, 66, 14)])
def test_a_small_slice_takes_few_calls(
    directory: Path, log: logging.Logger, level: int, most_calls: int, most_modules: int
) -> None:
    """Count the calls of the server's functions, as a profiler sees them; to log a command takes twice as many."""
    called: list[str] = []

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(SERVER):
            called.append(frame.f_code.co_filename)

    with Path(os.devnull).open("wb") as null, contextlib.ExitStack() as stack:
        handler = LineHandler(null.fileno())
        handler.setFormatter(TextFormatter())
        log.handlers = [handler]
        log.setLevel(level)
        driven = stack.enter_context(driving(directory))  # it finds out which lines are wanted
        before = sys.getprofile()
        for profiled in (before, before, profile):  # it is parsed, and found in memory, before
            driven.client.send(b"get_slice text.txt 0 9\r\n")
            sys.setprofile(profiled)
            must_resume = driven.run_fast_path()
            sys.setprofile(before)
            assert not must_resume
            assert driven.client.line() + driven.client.line() == OK + b"SGVsbG8sIEhG\r\n"
    assert 15 < len(called) <= most_calls, called
    assert len(set(called)) <= most_modules, set(called)


def test_read_buffer_returns_a_command_without_answering_it(directory: Path) -> None:
    ours, theirs = socket.socketpair()
    with FileStore(directory) as store, ours, Client(theirs) as client:
        client.send(ASK_ONE)
        assert Connection(ours, ServingConfig(store, DIALECTS["2026"])).read_buffer() == "get_metadata one"

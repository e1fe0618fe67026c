"""The fast path answers what it can while a connection waits; the replies are the same as without it."""

import contextlib
import itertools
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from greenserver.config.limits import DEFAULTS
from greenserver.connection.connection import Connection
from greenserver.connection.serving_config import ServingConfig
from greenserver.files.store import FileStore
from greenserver.io.wait import KEEP_WAITING, READ, READY, WRITE, Steps, Wait, poll
from greenserver.protocol.dialects import DIALECTS
from greenserver.telemetry.metrics import Metrics
from tests.greenserver.oracle import OK
from tests.greenserver.serving import PATIENCE_SECONDS, Client
from tests.greenserver.test_random_conversations import oracle_for

ASK_ONE = b"get_metadata one\r\n"
SIZE_OF_ONE = OK + b"1\r\n"
MOST_WAITS = 1000
MOST_COMMANDS = 100_000


@dataclass
class Talk:
    """A conversation that has begun and waits, and its client."""

    connection: Connection
    client: Client
    steps: Steps[None]
    wait: Wait
    outcome: object = READY

    def react(self) -> bool:
        """Run the fast path on what has come, and return whether the generator is to go on."""
        assert poll(self.connection.socket.fileno(), READ, PATIENCE_SECONDS)
        self.outcome = self.wait.outcome()
        return self.outcome is not KEEP_WAITING

    def go_on(self) -> None:
        """Resume the generator with what the fast path left, once the job that it waits for is done."""
        if self.wait.work is not None:
            self.wait.work()
        outcome, self.outcome = self.outcome, READY
        self.wait = self.steps.send(outcome)

    def end(self) -> bytes:
        """Let the conversation come to its end, and return what its client got."""
        received = b""
        self.client.socket.settimeout(0)
        with contextlib.suppress(StopIteration):
            for _ in range(MOST_WAITS):
                with contextlib.suppress(BlockingIOError):
                    received += self.client.socket.recv(1 << 20)
                self.go_on()
        self.client.socket.settimeout(PATIENCE_SECONDS)
        return received + self.client.rest()


@pytest.fixture
def talk(directory: Path) -> Iterator[Talk]:
    with begun(directory) as made:
        yield made


@contextlib.contextmanager
def begun(directory: Path, **more: Any) -> Iterator[Talk]:  # noqa: ANN401  (any setting)
    """Begin a conversation, up to its first wait."""
    ours, theirs = socket.socketpair()
    with FileStore(directory) as store, Client(theirs) as client:
        connection = Connection(ours, ServingConfig(store, DIALECTS["2026"], **more), may_block=False)
        steps = connection.steps()
        yield Talk(connection, client, steps, next(steps))
        steps.close()


def test_short_commands_are_answered_without_the_conversation(talk: Talk) -> None:
    for sent in (ASK_ONE, ASK_ONE * 3, ASK_ONE):
        talk.client.send(sent)
        assert not talk.react()
        expected = SIZE_OF_ONE * sent.count(b"\n")
        assert talk.client.exactly(len(expected)) == expected


def test_each_answer_puts_the_deadline_off(talk: Talk) -> None:
    first = talk.wait.deadline
    talk.client.send(ASK_ONE)
    assert not talk.react()
    assert first < talk.wait.deadline <= first + PATIENCE_SECONDS


def test_a_line_under_way_has_the_deadline_of_a_line(talk: Talk) -> None:
    before = talk.wait.deadline
    talk.client.send(ASK_ONE + ASK_ONE[:5])
    assert not talk.react()
    in_line = talk.wait.deadline
    assert in_line <= before - DEFAULTS.idle_seconds + DEFAULTS.line_seconds + PATIENCE_SECONDS
    talk.client.send(ASK_ONE[5:7])
    assert not talk.react()
    assert talk.wait.deadline - in_line < 1, "a byte is no reason for more patience"
    talk.client.send(ASK_ONE[7:])
    assert not talk.react()
    assert talk.wait.deadline > in_line + DEFAULTS.line_seconds
    assert talk.client.exactly(2 * len(SIZE_OF_ONE)) == 2 * SIZE_OF_ONE


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
def test_anything_else_is_left_to_the_conversation_in_its_place(talk: Talk, directory: Path, sent: bytes) -> None:
    sent = ASK_ONE + sent + ASK_ONE
    talk.client.send(sent)
    talk.client.end()
    assert talk.react()
    assert talk.end() == oracle_for("2026", directory).replies(sent)


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
def test_short_replies_and_errors_need_no_generator(talk: Talk, directory: Path, sent: bytes) -> None:
    sent = ASK_ONE + sent + ASK_ONE
    for name in ("one", "absent"):  # so that the kernel knows the names
        with contextlib.suppress(FileNotFoundError):
            talk.connection.config.store.size(name)
    talk.client.send(sent)
    assert not talk.react()
    expected = oracle_for("2026", directory).replies(sent)
    assert talk.client.exactly(len(expected)) == expected


def test_replies_too_large_to_buffer_are_sent_before_there_are_more(directory: Path) -> None:
    sent = b"get_slice large.bin 0 47000 raw\r\n" * 30
    with begun(directory) as talk:
        talk.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        talk.client.send(sent)
        talk.client.end()
        assert talk.react()
        assert len(talk.connection._writer.replies) < 1 << 18  # noqa: SLF001  (memory is what is promised)
        assert talk.end() == oracle_for("2026", directory).replies(sent)


def test_any_cut_gives_the_same_replies(directory: Path) -> None:
    """Also where a piece is a known command but for its line end."""
    sent = ASK_ONE + b"no\r\n" + ASK_ONE + b"q\nt\r\n"
    expected = oracle_for("2026", directory).replies(sent)
    for cuts in itertools.combinations(range(1, len(sent)), 2):
        with begun(directory) as talk:
            with contextlib.suppress(StopIteration):
                for start, end in zip((0, *cuts), (*cuts, len(sent)), strict=True):
                    talk.client.send(sent[start:end])
                    if talk.react():
                        talk.go_on()
            assert talk.client.exactly(len(expected)) == expected, cuts


def test_a_client_that_takes_no_replies_is_waited_for(talk: Talk) -> None:
    talk.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    asked = 0
    while asked < MOST_COMMANDS:
        talk.client.send(ASK_ONE * 10)
        asked += 10
        if talk.react():
            break
    talk.go_on()
    assert talk.wait.events == WRITE
    assert talk.client.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE
    talk.client.end()
    assert talk.end() == SIZE_OF_ONE * (asked - 1)


def test_the_end_of_the_stream_ends_the_conversation(talk: Talk) -> None:
    talk.client.end()
    assert talk.react()
    assert talk.end() == b""


def test_a_broken_connection_is_told_as_what_it_is(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    with begun(directory) as talk:
        talk.client.send(ASK_ONE)
        assert not talk.react()
        talk.client.socket.close()  # with a reply that nobody has read
        assert talk.react()
        with pytest.raises(StopIteration):
            talk.go_on()
    ended = caplog.records[-1]
    assert (ended.message, ended.facts["outcome"]) == ("disconnected", "Connection reset by peer")  # type: ignore[attr-defined]


def test_a_known_line_that_ends_another_is_not_taken_for_one(talk: Talk) -> None:
    talk.client.send(ASK_ONE)
    assert not talk.react()
    talk.client.exactly(len(SIZE_OF_ONE))
    talk.client.send(b"get_metadata tw")
    assert not talk.react()
    talk.client.send(ASK_ONE)
    assert not talk.react()
    assert talk.client.line() == b"201 INVALID ARGUMENTS FOR COMMAND\r\n"


@pytest.mark.parametrize("sent", [ASK_ONE, ASK_ONE * 2], ids=["one", "pipelined"])
def test_a_name_is_taken_to_be_in_memory_for_a_while_only(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    files = talk.connection.config.store.in_memory
    monkeypatch.setattr(files, "_is_all_in_memory", False)  # wherever the tests lie
    monkeypatch.setattr(files, "_known_seconds", 100.0)
    files.refresh(monotonic())
    talk.connection.config.store.size("one")  # so that the kernel knows the name
    for _ in range(2):
        talk.client.send(sent)
        assert not talk.react()
        monkeypatch.setattr("greenserver.files.store.is_name_cached", lambda *_: False)
    files.stale_at = 0.0
    talk.client.send(sent)
    assert talk.react(), "it is looked up again, in a thread"


def test_a_file_that_is_not_in_memory_is_left_to_the_conversation(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenserver.files.store.is_name_cached", lambda *_: False)
    monkeypatch.setattr(talk.connection.config.store.in_memory, "_is_all_in_memory", False)  # wherever the tests lie
    talk.client.send(ASK_ONE)
    assert talk.react()
    talk.go_on()
    assert talk.wait.work is not None
    talk.go_on()
    assert talk.client.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE


def test_what_is_answered_is_counted_and_logged(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Counting(Metrics):
        def __init__(self) -> None:
            self.commands: list[tuple[str, int, int]] = []
            self.received_bytes = 0

        def received(self, count: int) -> None:
            self.received_bytes += count

        def command(self, name: str, status: int, sent_bytes: int, seconds: float) -> None:
            assert 0 <= seconds < PATIENCE_SECONDS
            self.commands.append((name, status, sent_bytes))

    caplog.set_level(logging.INFO, "greenserver")
    meter = Counting()
    with begun(directory, meter=meter) as talk:
        for sent in (ASK_ONE, ASK_ONE * 2):
            talk.client.send(sent)
            assert not talk.react()
    assert meter.commands == [("get_metadata", 0, len(SIZE_OF_ONE))] * 3
    assert meter.received_bytes == 3 * len(ASK_ONE)
    assert [record.message for record in caplog.records].count("command") == 3


def test_a_buffer_is_read_and_nothing_is_answered(directory: Path) -> None:
    ours, theirs = socket.socketpair()
    with FileStore(directory) as store, ours, Client(theirs) as client:
        client.send(ASK_ONE)
        assert Connection(ours, ServingConfig(store, DIALECTS["2026"])).read_buffer() == "get_metadata one"

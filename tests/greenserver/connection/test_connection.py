"""One conversation, in this process: its four public methods, its patience, and how it is told to stop."""

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserver.config import limits
from greenserver.connection.connection import Connection
from greenserver.connection.serving_config import ServingConfig
from greenserver.connection.state import State
from greenserver.files.store import FileStore
from greenserver.io.wait import KEEP_WAITING, LATE, READ, READY, WRITE, Wait, Waiter, poll, wait_blocking
from greenserver.protocol.dialects import DIALECTS
from greenserver.protocol.status import CommandError, Status
from tests.greenserver.conftest import LARGE, PURE
from tests.greenserver.oracle import BAD_EOL, BAD_REQUEST, FAILED, OK, in_form
from tests.greenserver.serving import PATIENCE_SECONDS, Client
from tests.greenserver.test_random_conversations import COMMAND_BYTES, PIECES, oracle_for

Meet = Callable[..., tuple[Connection, Client]]
SIZE_OF_ONE = OK + b"1\r\n"


@pytest.fixture
def meet(store: FileStore) -> Iterator[Meet]:
    """Return what makes a connection, and the client at its other end, given a dialect."""
    opened: list[socket.socket] = []

    def make(
        dialect: str = "2026",
        *,
        wait: Waiter = wait_blocking,
        **more: Any,  # noqa: ANN401  (any setting)
    ) -> tuple[Connection, Client]:
        ours, theirs = socket.socketpair()
        opened.extend((ours, theirs))
        connection = Connection(ours, ServingConfig(store, DIALECTS[dialect], **more), "tester")
        connection.wait = wait
        return connection, Client(theirs)

    yield make
    for sock in opened:
        sock.close()


def outcomes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return how conversations ended, as the log tells."""
    return [record.facts["outcome"] for record in caplog.records if record.message == "disconnected"]  # type: ignore[attr-defined]


# --- normalize_command ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "name", "arguments"),
    [
        ("get_metadata home.txt", "get_metadata", ["home.txt"]),
        ("quit", "quit", []),
        ("a b c d e f g h i j", "a", list("bcdefghij")),
        ("!~ ~!", "!~", ["~!"]),
    ],
)
def test_a_command_is_split_at_its_spaces(command: str, name: str, arguments: list[str]) -> None:
    assert Connection.normalize_command(command) == (name, arguments)


@pytest.mark.parametrize(
    "command", ["", " ", " a", "a ", "a  b", "a\tb", "a\r", "\0", "a\x7f", "\xe9", "\u0661", "a\n"]
)
def test_a_malformed_command_is_a_bad_request(command: str) -> None:
    with pytest.raises(CommandError) as refusal:
        Connection.normalize_command(command)
    assert refusal.value.status is Status.BAD_REQUEST


# --- parser_command ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("get_metadata one", Status.OK),
        ("get_metadata one\r\n", Status.OK),
        ("quit", Status.OK),
        ("", Status.BAD_REQUEST),
        ("\r\n", Status.BAD_REQUEST),
        ("quit\n", Status.BAD_EOL),
        ("qui\nt\n\r\n", Status.BAD_EOL),
        ("\0\n", Status.BAD_EOL),
        ("put", Status.NO_SUCH_COMMAND),
        ("get_metadata", Status.INVALID_ARGUMENTS_FOR_COMMAND),
        ("get_metadata nothing", Status.FILE_NOT_FOUND),
        ("get_slice one 2 0", Status.OFFSET_EXCEEDS_FILE_SIZE),
    ],
)
def test_a_command_gets_its_status(meet: Meet, command: str, status: Status) -> None:
    response = meet()[0].parser_command(command)
    assert response.status is status
    assert response.closes == (status.is_fatal or command == "quit")


def test_whatever_goes_wrong_is_an_internal_error_and_logged(
    meet: Meet, store: FileStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_name: str) -> int:
        message = "the disk is on fire"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(store, "size", fail)
    assert meet()[0].parser_command("get_metadata one").status is Status.INTERNAL_SERVER_ERROR
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None


# --- read_buffer ---------------------------------------------------------------------------------


def test_commands_are_read_one_by_one_without_their_ends(meet: Meet) -> None:
    connection, client = meet()
    client.send(b"help\r\n\r\nget_meta")
    assert connection.read_buffer() == "help"
    assert connection.read_buffer() == "\r\n"
    client.send(b"data \xe9\r\nqu")
    assert connection.read_buffer() == "get_metadata \xe9"
    client.send(b"i\nt\r\n")
    assert connection.read_buffer() == "qui\n"
    client.end()
    assert connection.read_buffer() == ""


def test_reading_from_a_client_that_says_nothing_ends_in_a_timeout(meet: Meet) -> None:
    connection, _ = meet(wait=lambda *_: False)
    with pytest.raises(TimeoutError):
        connection.read_buffer()


# --- handle --------------------------------------------------------------------------------------


def handled(meet: Meet, dialect: str, sent: bytes) -> bytes:
    connection, client = meet(dialect)
    client.send(sent)
    client.end()
    connection.handle()
    assert connection.socket.fileno() < 0
    return client.rest()


def test_a_whole_conversation(meet: Meet) -> None:
    assert handled(meet, "2026", b"get_metadata one\r\nquit\r\nget_metadata one\r\n") == SIZE_OF_ONE + OK
    assert handled(meet, "2026", b"get_metadata one\r\nqui\nt\n\r\n") == SIZE_OF_ONE + BAD_EOL
    assert handled(meet, "2026", b"get_metadata one\r\n \r\n") == SIZE_OF_ONE + BAD_REQUEST
    assert handled(meet, "2026", b"") == b""


def test_any_bytes_are_answered_as_the_oracle_says(store: FileStore, directory: Path) -> None:
    @PURE
    @given(COMMAND_BYTES, PIECES, st.sampled_from(sorted(DIALECTS)), st.booleans())
    def replies_are_right(sent: bytes, pieces: list[int], dialect: str, has_reflex: bool) -> None:
        ours, theirs = socket.socketpair()
        pending = [*pieces, 1 << 20]
        rest = sent

        def wait(sock: socket.socket, wait: Wait) -> object:
            nonlocal rest
            while True:
                if wait.events == READ and rest:  # the next piece comes only when it is waited for
                    count = pending.pop(0)
                    theirs.sendall(rest[:count])
                    rest = rest[count:]
                elif wait.events == READ:
                    theirs.shutdown(socket.SHUT_WR)
                if not poll(sock.fileno(), wait.events, PATIENCE_SECONDS):
                    return LATE
                outcome = wait.outcome() if has_reflex else READY
                if outcome is not KEEP_WAITING:
                    return outcome

        expected = oracle_for(dialect, directory).replies(sent)
        if len(expected) > 50_000:
            expected, rest = b"", b""  # more than a socket holds, and nobody reads while we handle
        with Client(theirs) as client:
            connection = Connection(ours, ServingConfig(store, DIALECTS[dialect]))
            connection.wait = wait
            connection.handle()
            assert client.rest() == expected

    replies_are_right()


def test_a_large_slice_is_sent_as_the_client_takes_it(meet: Meet) -> None:
    taken = b""
    waits = []

    def wait(_sock: socket.socket, wait: Wait) -> bool:
        nonlocal taken
        waits.append(wait.events)
        if wait.events == WRITE:
            with contextlib.suppress(BlockingIOError):
                taken += take(client, 100_000)
        return True

    connection, client = meet("2018", wait=wait)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    client.send(b"get_slice large.bin 0 1200000\r\nquit\r\n")
    client.end()
    connection.handle()
    assert taken + client.rest() == OK + LARGE + OK
    assert waits.count(WRITE) > 5


def test_a_client_that_takes_nothing_is_given_up(meet: Meet, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    connection, client = meet(wait=lambda _, wait: wait.events == READ)
    client.send(b"get_slice large.bin 0 1200000\r\n")
    connection.handle()
    assert len(client.rest()) < len(in_form("2026", LARGE))
    assert outcomes(caplog) == ["timed out"]


def test_a_client_that_says_nothing_is_given_up_after_a_while(meet: Meet, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    connection, client = meet(limits=replace(limits.DEFAULTS, idle_seconds=0.02))
    connection.handle()
    assert client.rest() == b""
    assert outcomes(caplog) == ["timed out"]


def test_a_client_that_has_gone_is_told_of_in_the_log(meet: Meet, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    connection, client = meet()
    client.send(b"get_slice large.bin 0 1200000\r\n")
    client.socket.close()
    connection.handle()
    assert outcomes(caplog) == ["Broken pipe"]


def test_a_body_that_fails_after_its_status_cuts_the_reply(
    meet: Meet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fail)
    assert handled(meet, "2018", b"get_slice large.bin 0 50000\r\nget_metadata one\r\n") == OK
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == ["reply aborted"]


def test_a_listing_that_fails_is_an_internal_error(meet: Meet, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", fail)
    assert handled(meet, "2026", b"get_file_listing\r\nget_metadata one\r\n") == FAILED


def test_after_the_last_reply_input_is_dropped_until_the_client_ends(meet: Meet) -> None:
    waits = []

    def wait(_sock: socket.socket, wait: Wait) -> bool:
        waits.append(wait.events)
        if len(waits) == 3:
            client.end()
        return True

    connection, client = meet(wait=wait)
    client.send(b"quit\r\n" + b"x" * 100_000)
    connection.handle()
    assert client.rest() == OK
    assert len(waits) >= 3


@pytest.mark.parametrize(
    ("quiet_seconds", "linger_seconds", "endless"), [(0.02, 100.0, False), (100.0, 0.02, False), (100.0, 0.02, True)]
)
def test_the_client_is_not_waited_for_for_ever(
    meet: Meet, monkeypatch: pytest.MonkeyPatch, quiet_seconds: float, linger_seconds: float, endless: bool
) -> None:
    monkeypatch.setattr(limits, "LINGER_QUIET_SECONDS", quiet_seconds)
    is_told = False

    def wait(sock: socket.socket, wait: Wait) -> object:
        if is_told and endless:
            client.send(b"more")
        return wait_blocking(sock, wait)

    connection, client = meet(wait=wait, limits=replace(limits.DEFAULTS, linger_seconds=linger_seconds))
    client.send(b"quit\r\n")
    is_told = True
    connection.handle()
    assert client.line() == OK


# --- stop and abort ------------------------------------------------------------------------------


def test_asked_to_end_while_idle_it_ends_at_once(
    meet: Meet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    monkeypatch.setattr(limits, "LINGER_QUIET_SECONDS", 0.0)  # it is older than that
    states = []

    def wait(_sock: socket.socket, wait: Wait) -> object:
        states.append(connection.state)
        if wait.ends_on_drain:
            connection.config.group.drain()
            return READY
        assert client.rest() == b"", "the client sees the end"
        client.socket.close()
        return READY

    connection, client = meet(wait=wait)
    connection.handle()
    assert states == [State.IDLE, State.CLOSING]
    assert connection.state is State.CLOSED
    assert outcomes(caplog) == ["closed"]


def test_asked_to_end_just_after_it_was_accepted_it_answers_a_command_that_is_on_its_way(meet: Meet) -> None:
    waits = []

    def wait(_sock: socket.socket, wait: Wait) -> object:
        waits.append(wait)
        if wait.ends_on_drain:
            connection.config.group.drain()
        elif len(waits) == 2:
            client.send(b"get_metadata one\r\n")
        else:
            client.end()
        return READY

    connection, client = meet(wait=wait)
    connection.handle()
    assert client.rest() == SIZE_OF_ONE
    assert waits[1].deadline <= monotonic() + limits.LINGER_QUIET_SECONDS


def test_asked_to_end_when_a_command_has_come_it_answers_that_and_no_more(meet: Meet) -> None:
    def wait(_sock: socket.socket, wait: Wait) -> object:
        if wait.ends_on_drain:
            client.send(b"get_metadata one\r\n")
            connection.config.group.drain()
        else:
            client.send(b"get_metadata one\r\n")
            client.end()
        return READY

    connection, client = meet(wait=wait)
    connection.handle()
    assert client.rest() == SIZE_OF_ONE


def test_asked_to_end_before_it_began_it_answers_what_has_come(meet: Meet) -> None:
    connection, client = meet()
    client.send(b"get_metadata one\r\n")
    client.end()
    connection.config.group.drain()
    connection.handle()
    assert client.rest() == SIZE_OF_ONE


def test_asked_to_end_in_a_reply_it_finishes_that_one_alone(meet: Meet) -> None:
    parts: list[bytes] = []
    connection, client = meet("2018")
    connection.wait = lambda _, asked: _take(client, connection, asked, parts)
    client.send(b"get_slice large.bin 0 1200000\r\nget_metadata one\r\n")
    client.end()
    connection.handle()
    assert b"".join(parts) + client.rest() == OK + LARGE


def _take(client: Client, connection: Connection, asked: Wait, parts: list[bytes]) -> bool:
    """Ask a connection to end, and take what it has sent so far."""
    if asked.events == WRITE:
        connection.config.group.drain()
        with contextlib.suppress(BlockingIOError):
            parts.append(take(client, 1 << 20))
    return True


def take(client: Client, count: int) -> bytes:
    """Receive what is there. Raises BlockingIOError if nothing is; a time limit would be waited for."""
    client.socket.settimeout(0)
    try:
        return client.socket.recv(count)
    finally:
        client.socket.settimeout(PATIENCE_SECONDS)


def test_aborted_in_a_reply_it_ends_at_once(meet: Meet) -> None:
    def wait(_sock: socket.socket, wait: Wait) -> bool:
        if wait.events == WRITE:
            connection.abort()
        return True

    connection, client = meet("2018", wait=wait)
    client.send(b"get_slice large.bin 0 1200000\r\n")
    connection.handle()
    assert len(client.rest()) < len(LARGE)
    connection.abort()  # once more, when it is closed


def test_a_conversation_that_is_dropped_closes_its_socket(meet: Meet, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    connection, client = meet()
    steps = connection.steps()
    next(steps)
    steps.close()
    assert client.rest() == b""
    assert outcomes(caplog) == ["ended by the server"]

"""A connection in this process: its four public methods, its timeouts, and how it is drained and aborted."""

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
from tests.greenserver.serving import TIMEOUT_SECONDS, Client
from tests.greenserver.test_random_input import COMMAND_BYTES, PIECES, oracle_for

MakeConnection = Callable[..., tuple[Connection, Client]]
SIZE_OF_ONE = OK + b"1\r\n"


@pytest.fixture
def make_connection(store: FileStore) -> Iterator[MakeConnection]:
    """Return a function that makes a connection of a dialect, and the client at its other end."""
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
    """Return the logged outcomes of connections."""
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
    with pytest.raises(CommandError) as raised:
        Connection.normalize_command(command)
    assert raised.value.status is Status.BAD_REQUEST


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
def test_a_command_gets_its_status(make_connection: MakeConnection, command: str, status: Status) -> None:
    response = make_connection()[0].parser_command(command)
    assert response.status is status
    assert response.closes == (status.is_fatal or command == "quit")


def test_an_unexpected_exception_is_an_internal_error_and_logged(
    make_connection: MakeConnection, store: FileStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_name: str) -> int:
        message = "an unexpected error"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(store, "size", fail)
    assert make_connection()[0].parser_command("get_metadata one").status is Status.INTERNAL_SERVER_ERROR
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None


# --- read_buffer ---------------------------------------------------------------------------------


def test_read_buffer_returns_one_command_at_a_time_without_its_line_end(make_connection: MakeConnection) -> None:
    connection, client = make_connection()
    client.send(b"help\r\n\r\nget_meta")
    assert connection.read_buffer() == "help"
    assert connection.read_buffer() == "\r\n"
    client.send(b"data \xe9\r\nqu")
    assert connection.read_buffer() == "get_metadata \xe9"
    client.send(b"i\nt\r\n")
    assert connection.read_buffer() == "qui\n"
    client.end()
    assert connection.read_buffer() == ""


def test_read_buffer_raises_timeout_error_if_the_client_is_silent(make_connection: MakeConnection) -> None:
    connection, _ = make_connection(wait=lambda *_: False)
    with pytest.raises(TimeoutError):
        connection.read_buffer()


# --- handle --------------------------------------------------------------------------------------


def replies_to(make_connection: MakeConnection, dialect: str, sent: bytes) -> bytes:
    connection, client = make_connection(dialect)
    client.send(sent)
    client.end()
    connection.handle()
    assert connection.socket.fileno() < 0
    return client.rest()


def test_handle_serves_a_connection_to_its_end(make_connection: MakeConnection) -> None:
    assert replies_to(make_connection, "2026", b"get_metadata one\r\nquit\r\nget_metadata one\r\n") == SIZE_OF_ONE + OK
    assert replies_to(make_connection, "2026", b"get_metadata one\r\nqui\nt\n\r\n") == SIZE_OF_ONE + BAD_EOL
    assert replies_to(make_connection, "2026", b"get_metadata one\r\n \r\n") == SIZE_OF_ONE + BAD_REQUEST
    assert replies_to(make_connection, "2026", b"") == b""


def test_any_bytes_are_answered_as_the_oracle_says(store: FileStore, directory: Path) -> None:
    @PURE
    @given(COMMAND_BYTES, PIECES, st.sampled_from(sorted(DIALECTS)), st.booleans())
    def replies_are_right(sent: bytes, pieces: list[int], dialect: str, has_fast_path: bool) -> None:
        ours, theirs = socket.socketpair()
        pending = [*pieces, 1 << 20]
        rest = sent

        def wait(sock: socket.socket, wait: Wait) -> object:
            nonlocal rest
            while True:
                if wait.events == READ and rest:  # the next piece is sent only when the connection waits for it
                    count = pending.pop(0)
                    theirs.sendall(rest[:count])
                    rest = rest[count:]
                elif wait.events == READ:
                    theirs.shutdown(socket.SHUT_WR)
                if not poll(sock.fileno(), wait.events, TIMEOUT_SECONDS):
                    return LATE
                outcome = wait.outcome() if has_fast_path else READY
                if outcome is not KEEP_WAITING:
                    return outcome

        expected = oracle_for(dialect, directory).replies(sent)
        if len(expected) > 50_000:
            expected, rest = b"", b""  # more than a socket buffer, and the client reads only afterwards
        with Client(theirs) as client:
            connection = Connection(ours, ServingConfig(store, DIALECTS[dialect]))
            connection.wait = wait
            connection.handle()
            assert client.rest() == expected

    replies_are_right()


def test_a_large_slice_is_sent_as_the_client_reads_it(make_connection: MakeConnection) -> None:
    received = b""
    waits = []

    def wait(_sock: socket.socket, wait: Wait) -> bool:
        nonlocal received
        waits.append(wait.events)
        if wait.events == WRITE:
            with contextlib.suppress(BlockingIOError):
                received += receive_now(client, 100_000)
        return True

    connection, client = make_connection("2018", wait=wait)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    client.send(b"get_slice large.bin 0 1200000\r\nquit\r\n")
    client.end()
    connection.handle()
    assert received + client.rest() == OK + LARGE + OK
    assert waits.count(WRITE) > 5


def test_a_client_that_does_not_read_times_out(
    make_connection: MakeConnection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    connection, client = make_connection(wait=lambda _, wait: wait.events == READ)
    client.send(b"get_slice large.bin 0 1200000\r\n")
    connection.handle()
    assert len(client.rest()) < len(in_form("2026", LARGE))
    assert outcomes(caplog) == ["timed out"]


def test_an_idle_client_times_out(make_connection: MakeConnection, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    connection, client = make_connection(limits=replace(limits.DEFAULTS, idle_seconds=0.02))
    connection.handle()
    assert client.rest() == b""
    assert outcomes(caplog) == ["timed out"]


def test_a_broken_pipe_is_logged_as_the_outcome(
    make_connection: MakeConnection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    connection, client = make_connection()
    client.send(b"get_slice large.bin 0 1200000\r\n")
    client.socket.close()
    connection.handle()
    assert outcomes(caplog) == ["Broken pipe"]


def test_a_read_error_in_a_body_aborts_the_reply(
    make_connection: MakeConnection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fail)
    assert replies_to(make_connection, "2018", b"get_slice large.bin 0 50000\r\nget_metadata one\r\n") == OK
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == ["reply aborted"]


def test_a_failed_listing_is_an_internal_error(
    make_connection: MakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", fail)
    assert replies_to(make_connection, "2026", b"get_file_listing\r\nget_metadata one\r\n") == FAILED


def test_input_after_the_last_reply_is_discarded_until_eof(make_connection: MakeConnection) -> None:
    waits = []

    def wait(_sock: socket.socket, wait: Wait) -> bool:
        waits.append(wait.events)
        if len(waits) == 3:
            client.end()
        return True

    connection, client = make_connection(wait=wait)
    client.send(b"quit\r\n" + b"x" * 100_000)
    connection.handle()
    assert client.rest() == OK
    assert len(waits) >= 3


@pytest.mark.parametrize(
    ("quiet_seconds", "linger_seconds", "endless"), [(0.02, 100.0, False), (100.0, 0.02, False), (100.0, 0.02, True)]
)
def test_lingering_ends_after_a_quiet_period_or_its_timeout(
    make_connection: MakeConnection,
    monkeypatch: pytest.MonkeyPatch,
    quiet_seconds: float,
    linger_seconds: float,
    endless: bool,
) -> None:
    monkeypatch.setattr(limits, "LINGER_QUIET_SECONDS", quiet_seconds)
    has_sent_quit = False

    def wait(sock: socket.socket, wait: Wait) -> object:
        if has_sent_quit and endless:
            client.send(b"more")
        return wait_blocking(sock, wait)

    connection, client = make_connection(wait=wait, limits=replace(limits.DEFAULTS, linger_seconds=linger_seconds))
    client.send(b"quit\r\n")
    has_sent_quit = True
    connection.handle()
    assert client.line() == OK


# --- drain and abort -----------------------------------------------------------------------------


def test_a_drain_closes_an_idle_connection_at_once(
    make_connection: MakeConnection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    monkeypatch.setattr(limits, "LINGER_QUIET_SECONDS", 0.0)  # the connection is older than that
    states = []

    def wait(_sock: socket.socket, wait: Wait) -> object:
        states.append(connection.state)
        if wait.ends_on_drain:
            connection.config.group.drain()
            return READY
        assert client.rest() == b"", "the client receives EOF"
        client.socket.close()
        return READY

    connection, client = make_connection(wait=wait)
    connection.handle()
    assert states == [State.IDLE, State.CLOSING]
    assert connection.state is State.CLOSED
    assert outcomes(caplog) == ["closed"]


def test_a_drain_just_after_accept_answers_a_command_in_flight(make_connection: MakeConnection) -> None:
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

    connection, client = make_connection(wait=wait)
    connection.handle()
    assert client.rest() == SIZE_OF_ONE
    assert waits[1].deadline <= monotonic() + limits.LINGER_QUIET_SECONDS


def test_a_drain_does_not_wait_for_a_client_that_has_been_answered(make_connection: MakeConnection) -> None:
    waits = []

    def wait(_sock: socket.socket, wait: Wait) -> object:
        waits.append(wait.ends_on_drain)
        if len(waits) == 1:
            client.send(b"get_metadata one\r\n")
        elif wait.ends_on_drain:
            connection.config.group.drain()
        else:
            assert client.rest() == SIZE_OF_ONE, "the reply, and EOF"
            client.socket.close()
        return READY

    connection, client = make_connection(wait=wait)
    connection.handle()
    assert waits == [True, True, False]


def test_a_drain_as_a_command_arrives_answers_that_command_only(make_connection: MakeConnection) -> None:
    def wait(_sock: socket.socket, wait: Wait) -> object:
        if wait.ends_on_drain:
            client.send(b"get_metadata one\r\n")
            connection.config.group.drain()
        else:
            client.send(b"get_metadata one\r\n")
            client.end()
        return READY

    connection, client = make_connection(wait=wait)
    connection.handle()
    assert client.rest() == SIZE_OF_ONE


def test_a_drain_before_the_first_command_answers_what_has_been_received(make_connection: MakeConnection) -> None:
    connection, client = make_connection()
    client.send(b"get_metadata one\r\n")
    client.end()
    connection.config.group.drain()
    connection.handle()
    assert client.rest() == SIZE_OF_ONE


def test_a_drain_during_a_reply_finishes_that_reply_only(make_connection: MakeConnection) -> None:
    parts: list[bytes] = []
    connection, client = make_connection("2018")
    connection.wait = lambda _, wait: _drain_and_receive(client, connection, wait, parts)
    client.send(b"get_slice large.bin 0 1200000\r\nget_metadata one\r\n")
    client.end()
    connection.handle()
    assert b"".join(parts) + client.rest() == OK + LARGE


def test_a_drain_while_a_short_reply_is_sent_ends_the_connection_after_it(make_connection: MakeConnection) -> None:
    states = []
    received = bytearray()

    def wait(_sock: socket.socket, wait: Wait) -> object:
        states.append(connection.state)
        if wait.events == WRITE:
            connection.config.group.drain()
            with contextlib.suppress(BlockingIOError):
                while True:
                    received.extend(receive_now(client, 1 << 20))
        elif connection.state is State.CLOSING:
            client.socket.close()
        return READY if len(states) < 10 else LATE

    connection, client = make_connection(wait=wait)
    with contextlib.suppress(BlockingIOError):  # no reply fits in
        while True:
            connection.socket.send(b"filling" * 1000)
    client.send(b"get_metadata one\r\n")
    connection.handle()
    assert states == [State.IDLE, State.BUSY, State.CLOSING]
    assert received.endswith(b"filling")


def _drain_and_receive(client: Client, connection: Connection, wait: Wait, parts: list[bytes]) -> bool:
    """Drain the connection, and receive what it has sent so far."""
    if wait.events == WRITE:
        connection.config.group.drain()
        with contextlib.suppress(BlockingIOError):
            parts.append(receive_now(client, 1 << 20))
    return True


def receive_now(client: Client, count: int) -> bytes:
    """Receive without waiting, whatever the timeout of the client. Raises BlockingIOError if there is nothing."""
    client.socket.settimeout(0)
    try:
        return client.socket.recv(count)
    finally:
        client.socket.settimeout(TIMEOUT_SECONDS)


def test_abort_during_a_reply_closes_at_once(make_connection: MakeConnection) -> None:
    def wait(_sock: socket.socket, wait: Wait) -> bool:
        if wait.events == WRITE:
            connection.abort()
        return True

    connection, client = make_connection("2018", wait=wait)
    client.send(b"get_slice large.bin 0 1200000\r\n")
    connection.handle()
    assert len(client.rest()) < len(LARGE)
    connection.abort()  # again, after it is closed


def test_closing_the_generator_closes_the_socket(
    make_connection: MakeConnection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "greenserver")
    connection, client = make_connection()
    steps = connection.steps()
    next(steps)
    steps.close()
    assert client.rest() == b""
    assert outcomes(caplog) == ["ended by the server"]

"""What has to arrive in pieces does so, or the result says that it may not have."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

from conformance.client.raw_connection import NOT_OBSERVED, NOT_READ, Dial
from conformance.model.context import RunContext, ScenarioContext
from conformance.target.remote_fixtures import RemoteFixtures

pytestmark = pytest.mark.once

SAID = b"get_file_listing\r\n"


def context_of(dial: Dial, round_trip_seconds: float = 0.0) -> ScenarioContext:
    """Return the context of a scenario."""
    fixtures = RemoteFixtures({}, knows_all=False)
    facts = RunContext(dial, fixtures, "2026", timeout_seconds=5.0, round_trip_seconds=round_trip_seconds)
    return ScenarioContext(facts, is_crowded=False)


@contextmanager
def reading(listener: socket.socket, pause_seconds: float = 0.0) -> Iterator[list[bytes]]:
    """Read what a client sends, piece by piece, each after a while; give the pieces."""
    pieces: list[bytes] = []

    def read() -> None:
        sock, _ = listener.accept()
        with sock:
            while sum(map(len, pieces)) < len(SAID):
                sleep(pause_seconds)
                pieces.append(sock.recv(1 << 16))

    thread = threading.Thread(target=read)
    thread.start()
    yield pieces
    thread.join()


def test_a_slow_server_gets_each_byte_by_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = context_of(lambda seconds, _: socket.create_connection(listener.getsockname(), seconds))
        with reading(listener, 0.01) as pieces:
            client = context.connect()
            client.send_bytewise(SAID)
        assert pieces == [bytes([byte]) for byte in SAID]
        client.close()
        context.close()
    assert context.seen == []


def test_a_server_that_does_not_read_in_time_leaves_a_note() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = context_of(lambda seconds, _: socket.create_connection(listener.getsockname(), seconds))
        client = context.connect()
        client.send_bytewise(b"ab")
        client.reset()
        context.close()
    assert context.seen == [NOT_READ]


def test_where_reads_cannot_be_observed_pieces_are_a_round_trip_apart_and_a_note_says_so(tmp_path: Path) -> None:
    def dial(_seconds: float, _buffer: int) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(tmp_path / "socket"))
        return sock

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        context = context_of(dial, round_trip_seconds=0.02)
        began = monotonic()
        with reading(listener):
            client = context.connect()
            client.send_bytewise(SAID)
        assert monotonic() - began >= 0.02 * len(SAID)
        client.close()
        context.close()
    assert context.seen == [NOT_OBSERVED]


def test_a_client_that_reads_late_waits_until_bytes_have_arrived_and_no_more_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = context_of(lambda seconds, _: socket.create_connection(listener.getsockname(), seconds))
        client = context.connect()
        sock, _ = listener.accept()
        timer = threading.Timer(0.1, sock.send, [b"all"])
        timer.start()
        client.await_filled()
        assert not timer.is_alive()
        assert client.read(3, "what was sent") == b"all"
        sock.close()
        context.close()

"""A connection does not wait without need."""

import contextlib
import socket
import threading
from time import monotonic, sleep

import pytest

from conformance.client.client import Client
from conformance.client.recording import Recording
from conformance.failures import Incomplete

pytestmark = pytest.mark.once

REPLIES = 40
NAGLE_SECONDS = 0.04
"""How long Linux waits with an acknowledgement, and so with the second part of a small reply."""


def answer_in_parts(listener: socket.socket) -> None:
    """Answer each byte by a line that is sent in three parts."""
    sock, _ = listener.accept()
    with sock:
        while sock.recv(1):
            for part in (b"0", b" OK", b"\r\n"):
                sock.sendall(part)


def test_receives_replies_in_pieces_without_delay() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_in_parts, args=(listener,))
        thread.start()
        peer = Client(
            lambda seconds, _: socket.create_connection(listener.getsockname(), seconds),
            Recording(),
            1,
            timeout_seconds=5.0,
            deadline=monotonic() + 60.0,
        )
        started = monotonic()
        for _ in range(REPLIES):
            peer.send(b"?")
            assert peer.read_line("a reply") == b"0 OK"
        seconds = monotonic() - started
        peer.close()
        thread.join()
    assert seconds < REPLIES * NAGLE_SECONDS / 4


def answer_slowly(listener: socket.socket, pause_seconds: float) -> None:
    """Answer each line after a while, until the client has left."""
    sock, _ = listener.accept()
    with sock, contextlib.suppress(ConnectionError):
        for _ in sock.makefile("rb"):
            sleep(pause_seconds)
            sock.sendall(b"200 BAD\r\n")


@pytest.mark.parametrize(("pause_seconds", "is_incomplete"), [(0.1, True), (0.001, False)])
def test_stops_early_if_replies_cannot_all_arrive_in_time(pause_seconds: float, is_incomplete: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_slowly, args=(listener, pause_seconds))
        thread.start()
        started = monotonic()
        client = Client(
            lambda seconds, _: socket.create_connection(listener.getsockname(), seconds),
            Recording(),
            1,
            timeout_seconds=5.0,
            deadline=started + 40.0,
        )
        client.send(b"x\r\n" * 1000)
        with pytest.raises(Incomplete, match="too slowly") if is_incomplete else contextlib.nullcontext():
            for _ in range(1000):
                client.status(200)
        assert monotonic() - started < 20.0
        client.reset()
        thread.join()

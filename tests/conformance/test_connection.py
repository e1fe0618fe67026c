"""A connection costs a server no waiting that the suite could spare it."""

import socket
import threading
from time import monotonic

from conformance.peer import Peer
from conformance.record import Record

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


def test_replies_in_parts_come_without_delay() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_in_parts, args=(listener,))
        thread.start()
        peer = Peer(
            lambda seconds, _: socket.create_connection(listener.getsockname(), seconds),
            Record(),
            1,
            patience_seconds=5.0,
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

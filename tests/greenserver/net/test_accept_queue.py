"""Draining a listener drops new SYNs, serves the accept queue, and resets no client."""

import socket
import threading
from pathlib import Path

import pytest

from greenserver.net import accept_queue
from greenserver.net.listening import open_listener


def test_rejects_new_clients_and_serves_queued_ones() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as early:
        early.sendall(b"a")
        assert accept_queue.is_anybody_waiting(listener)
        accept_queue.drop_new_connections(listener)
        early.sendall(b"b")
        with socket.socket() as late:
            late.settimeout(0.3)
            with pytest.raises(TimeoutError):
                late.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(1) == b"a"
        assert not accept_queue.is_anybody_waiting(listener)


def test_unlinks_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with open_listener(f"unix:{path}", 0) as listener:
        accept_queue.drop_new_connections(listener)
        accept_queue.drop_new_connections(listener)
        with socket.socket(socket.AF_UNIX) as late, pytest.raises(FileNotFoundError):
            late.connect(path)


def test_ignores_a_socket_that_does_not_listen(caplog: pytest.LogCaptureFixture) -> None:
    closed = socket.socket()
    closed.close()
    with caplog.at_level("DEBUG", "greenserver"):
        accept_queue.drop_new_connections(closed)
    assert "takes no filter" in caplog.text
    assert not accept_queue.is_anybody_waiting(closed)


def test_waits_for_an_empty_queue_up_to_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accept_queue.wait_until_empty(listener)
        with socket.create_connection(listener.getsockname()):
            accept_queue.wait_until_empty(listener)  # nobody accepts
            assert accept_queue.is_anybody_waiting(listener)


def test_unserved_clients_get_eof() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        accept_queue.close_queued(listener)
        clients = [socket.create_connection(listener.getsockname(), 10) for _ in range(3)]
        for client in clients:
            client.sendall(b"get_file_listing\r\n")
        closing = threading.Thread(target=accept_queue.close_queued, args=(listener,))
        closing.start()
        for client in clients[:2]:
            with client:
                assert client.recv(1) == b""
        assert clients[2].recv(1) == b""  # and stays
        closing.join(10)
        clients[2].close()
        assert not closing.is_alive()

"""The state of the peer's socket is visible if the peer runs on this machine."""

import socket

import pytest

from conformance.client.receive_queue import CLOSED, Peer, peer


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_shows_unread_bytes(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2]) as client,
    ):
        client.sendall(b"abc")
        assert peer(client) == Peer(is_open=True, unread_bytes=3)  # before it was accepted
        with listener.accept()[0] as server:
            assert server.recv(2) == b"ab"
            assert peer(client) == Peer(is_open=True, unread_bytes=1)
            assert server.recv(2) == b"c"
            assert peer(client) == Peer(is_open=True, unread_bytes=0)


def test_peer_may_read_after_its_shutdown() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as server,
    ):
        client.sendall(b"abc")
        server.shutdown(socket.SHUT_WR)
        assert peer(client) == Peer(is_open=False, unread_bytes=3)


@pytest.mark.parametrize("is_reset", [False, True])
def test_detects_a_closed_peer(is_reset: bool) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        server = listener.accept()[0]
        if is_reset:
            client.sendall(b"abc")
        server.close()
        assert peer(client) == CLOSED


def test_knows_nothing_about_a_unix_socket() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert peer(one) is None

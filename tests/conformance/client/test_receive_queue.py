"""The state of the other end of a connection is observed, as long as it is on this machine."""

import socket

import pytest

from conformance.client.receive_queue import CLOSED, Peer, peer


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_bytes_are_seen_until_they_are_read(host: str) -> None:
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


def test_a_peer_that_shuts_down_may_still_read() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as server,
    ):
        client.sendall(b"abc")
        server.shutdown(socket.SHUT_WR)
        assert peer(client) == Peer(is_open=False, unread_bytes=3)


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_peer_that_has_closed_is_closed(is_reset: bool) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        server = listener.accept()[0]
        if is_reset:
            client.sendall(b"abc")
        server.close()
        assert peer(client) == CLOSED


def test_of_a_unix_socket_nothing_is_known() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert peer(one) is None

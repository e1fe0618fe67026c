"""What the other side of a connection has not read yet is seen, as long as it is on this machine."""

import socket

import pytest

from conformance.client.receive_queue import unread_bytes


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_bytes_are_seen_until_they_are_read(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2]) as client,
    ):
        client.sendall(b"abc")
        assert unread_bytes(client) == 3  # before it was accepted
        with listener.accept()[0] as server:
            assert server.recv(2) == b"ab"
            assert unread_bytes(client) == 1
            assert server.recv(2) == b"c"
            assert unread_bytes(client) == 0


def test_of_a_unix_socket_nothing_is_known() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert unread_bytes(one) is None

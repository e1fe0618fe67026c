"""Who arrives through a proxy is whom it names; who does not arrive as he must is turned away."""

import ipaddress
import socket
from collections.abc import Generator

import pytest

from greenserver.connection.flow_control import TooSlowError
from greenserver.connection.handshake import HandshakeError, read_proxy_header
from greenserver.io.wait import READ, Wait

PROXIES = [ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32")]
HEADER = b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 19500\r\n"

Introduction = Generator[Wait, bool, tuple[str, bytes]]


def outcome(steps: Introduction, *, is_ready: bool = True) -> tuple[str, bytes]:
    """Run the steps to their end, whatever they wait for."""
    try:
        wait = next(steps)
        while True:
            assert wait.events == READ
            wait = steps.send(is_ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def introduced(peer: str, sent: bytes) -> tuple[str, bytes]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        return outcome(read_proxy_header(ours, peer, PROXIES, 0.0))


@pytest.mark.parametrize("peer", ["192.0.2.9:1", "[2001:db8::9]:1", "[::ffff:192.0.2.9]:1", "unix"])
def test_a_trusted_proxy_names_the_client_and_what_follows_is_kept(peer: str) -> None:
    assert introduced(peer, HEADER + b"quit\r\n") == ("198.51.100.7:4711", b"quit\r\n")
    assert introduced(peer, b"PROXY UNKNOWN\r\n") == (peer, b"")


@pytest.mark.parametrize("peer", ["192.0.3.9:1", "[2001:db9::9]:1"])
def test_another_peer_is_turned_away_whatever_it_says(peer: str) -> None:
    with pytest.raises(HandshakeError, match="trusted"):
        introduced(peer, HEADER)


@pytest.mark.parametrize("sent", [b"", b"PROXY TCP4 198.51", b"quit\r\n"])
def test_who_sends_no_header_is_turned_away(sent: bytes) -> None:
    with pytest.raises(HandshakeError) as turned_away:
        introduced("192.0.2.9:1", sent)
    assert turned_away.value.kind == "proxy"


def test_a_proxy_is_not_waited_for_for_ever() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        with pytest.raises(TooSlowError, match="handshake"):
            outcome(read_proxy_header(ours, "unix", PROXIES, 0.0), is_ready=False)

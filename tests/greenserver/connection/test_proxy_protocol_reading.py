"""The PROXY header of a trusted proxy gives the client address; connections without one are rejected."""

import ipaddress
import socket
from collections.abc import Generator

import pytest

from greenserver.connection.flow_control import TooSlowError
from greenserver.connection.proxy_protocol import HeaderError, read_header
from greenserver.io.wait import READ, Wait

PROXIES = [ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32")]
HEADER = b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 19500\r\n"

HandshakeSteps = Generator[Wait, bool, tuple[str, bytes]]


def outcome(steps: HandshakeSteps, *, is_ready: bool = True) -> tuple[str, bytes]:
    """Run the generator to its end, and return its result."""
    try:
        wait = next(steps)
        while True:
            assert wait.events == READ
            wait = steps.send(is_ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def sent_by(peer: str, sent: bytes) -> tuple[str, bytes]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        return outcome(read_header(ours, peer, PROXIES, 0.0))


@pytest.mark.parametrize("peer", ["192.0.2.9:1", "[2001:db8::9]:1", "[::ffff:192.0.2.9]:1", "unix"])
def test_a_header_from_a_trusted_proxy_gives_the_client_address_and_the_remaining_input(peer: str) -> None:
    assert sent_by(peer, HEADER + b"quit\r\n") == ("198.51.100.7:4711", b"quit\r\n")
    assert sent_by(peer, b"PROXY UNKNOWN\r\n") == (peer, b"")


@pytest.mark.parametrize("peer", ["192.0.3.9:1", "[2001:db9::9]:1"])
def test_an_untrusted_peer_is_rejected(peer: str) -> None:
    with pytest.raises(HeaderError, match="trusted"):
        sent_by(peer, HEADER)


@pytest.mark.parametrize("sent", [b"", b"PROXY TCP4 198.51", b"quit\r\n"])
def test_a_proxy_that_sends_no_complete_header_is_rejected(sent: bytes) -> None:
    with pytest.raises(HeaderError):
        sent_by("192.0.2.9:1", sent)


def test_a_proxy_that_sends_nothing_times_out() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        with pytest.raises(TooSlowError, match="handshake"):
            outcome(read_header(ours, "unix", PROXIES, 0.0), is_ready=False)

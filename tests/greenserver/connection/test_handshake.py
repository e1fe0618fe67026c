"""What precedes the first command fails with the part that failed; a lingering close ends with the client's input."""

import ipaddress
import socket
import ssl
from collections.abc import Iterator
from time import monotonic

import pytest

from greenserver.config.limits import LINGER_QUIET_SECONDS
from greenserver.connection.flow_control import TooSlowError
from greenserver.connection.handshake import HandshakeError, establish, linger
from greenserver.connection.serving_config import ServingConfig
from greenserver.files.store import FileStore
from greenserver.io.wait import LATE, READY, Steps
from greenserver.protocol.dialects import DEFAULT_DIALECT, DIALECTS

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
        yield ours, theirs


def run(steps: Steps[None]) -> int:
    """Run to the end; each wait is over at once. Return the number of waits."""
    waits = 0
    try:
        next(steps)
        while waits < 100:
            waits += 1
            steps.send(True)  # noqa: FBT003  (what a wait returns)
    except StopIteration:
        pass
    return waits


@pytest.mark.parametrize("kind", ["proxy", "tls"])
def test_a_command_instead_of_a_header_or_a_handshake_is_rejected(store: FileStore, pair: Pair, kind: str) -> None:
    ours, theirs = pair
    theirs.sendall(b"get_file_listing\r\n" * 20)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if kind == "tls" else None
    config = ServingConfig(store, DIALECTS[DEFAULT_DIALECT], tls=tls, proxy_from=LOOPBACK if kind == "proxy" else ())
    steps = establish(ours, "127.0.0.1:1", config)
    with pytest.raises(HandshakeError) as raised:
        run(steps)  # type: ignore[arg-type]
    assert raised.value.kind == kind


def test_without_tls_and_a_proxy_nothing_is_read(store: FileStore, pair: Pair) -> None:
    steps = establish(pair[0], "127.0.0.1:1", ServingConfig(store, DIALECTS[DEFAULT_DIALECT]))
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == ("127.0.0.1:1", b"", None)


def test_a_lingering_close_sends_the_end_and_discards_input_until_its_end(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"more" * 100)
    theirs.shutdown(socket.SHUT_WR)
    assert run(linger(ours, 60.0)) == 2
    assert theirs.recv(1) == b""


@pytest.mark.parametrize("kind", ["proxy", "tls"])
def test_a_drain_leaves_a_silent_client_a_second(store: FileStore, pair: Pair, kind: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if kind == "tls" else None
    config = ServingConfig(store, DIALECTS[DEFAULT_DIALECT], tls=tls, proxy_from=LOOPBACK if kind == "proxy" else ())
    steps = establish(pair[0], "127.0.0.1:1", config)
    wait = next(steps)
    assert wait.ends_on_drain
    config.group.drain()
    asked, deadlines = monotonic(), []
    for _ in range(2):
        wait = steps.send(READY)
        assert not wait.ends_on_drain
        deadlines.append(wait.deadline)
        pair[1].sendall({"proxy": b"P", "tls": b"\x16"}[kind])
    assert asked + LINGER_QUIET_SECONDS <= deadlines[0] <= monotonic() + LINGER_QUIET_SECONDS
    assert deadlines[1] == deadlines[0], "a piece of the handshake gives it no more time"
    with pytest.raises(TooSlowError):
        steps.send(LATE)

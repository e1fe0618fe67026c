"""Waits are measured by the clock of the connection: they go on while it stands still."""

import socket
import threading
from collections.abc import Iterator
from time import monotonic, sleep

import pytest

from conformance.client.client import Client
from conformance.client.deviations import Deviation, Deviations, Form
from conformance.client.raw_connection import RawConnection
from conformance.client.recording import Recording
from conformance.client.tolerant import TolerantClient
from conformance.failures import Failure, Kind

pytestmark = pytest.mark.once

SHORT_SECONDS = 0.05
WITHHELD_SECONDS = 4 * SHORT_SECONDS


class Clock:
    """Stands still at first, for as long as the machine withholds itself."""

    def __init__(self, withheld_seconds: float = WITHHELD_SECONDS) -> None:
        self._goes_on = monotonic() + withheld_seconds

    def __call__(self) -> float:
        """Return the time since then."""
        return max(0.0, monotonic() - self._goes_on)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def connected(
    listener: socket.socket, clock: Clock, timeout_seconds: float = SHORT_SECONDS
) -> tuple[Client, Recording]:
    record = Recording()
    client = Client(
        lambda seconds, _: socket.create_connection(listener.getsockname(), seconds),
        record,
        1,
        timeout_seconds=timeout_seconds,
        deadline=20 * timeout_seconds,
        clock=clock,
    )
    return client, record


def notes(record: Recording) -> str:
    return " ".join(event.note for event in record.events)


def test_accepts_a_reply_that_the_machine_delayed(listener: socket.socket) -> None:
    client, record = connected(listener, Clock(60.0))
    server, _ = listener.accept()
    late = threading.Timer(WITHHELD_SECONDS, server.sendall, [b"200 NO SUCH COMMAND\r\n"])
    late.start()
    client.send_line("x")
    assert client.status(200).code == 200
    late.join()
    server.close()
    assert client.slowest_seconds == 0.0
    client.close()
    assert "silence" not in notes(record)


@pytest.mark.parametrize(
    ("withheld_seconds", "shown"),
    [(0.0, f"{SHORT_SECONDS:.1f} s"), (WITHHELD_SECONDS, f"{SHORT_SECONDS:.1f} s, and 0.")],
)
def test_silence_fails_after_the_timeout_of_the_clock(
    listener: socket.socket, withheld_seconds: float, shown: str
) -> None:
    client, record = connected(listener, Clock(withheld_seconds))
    with pytest.raises(Failure) as caught:
        client.status(200)
    client.reset()
    assert caught.value.kind is Kind.TIMEOUT
    assert shown in notes(record)


def test_deadline_follows_the_clock(listener: socket.socket) -> None:
    clock = Clock(60.0)
    client, _ = connected(listener, clock)
    client.deadline = SHORT_SECONDS / 2
    server, _ = listener.accept()
    late = threading.Timer(WITHHELD_SECONDS, server.sendall, [b"200 NO SUCH COMMAND\r\n"])
    late.start()
    assert client.status(200).code == 200
    late.join()
    server.close()
    client.close()


def test_connects_again_if_the_machine_was_busy() -> None:
    tries = []
    ours, other = socket.socketpair()

    def dial(seconds: float, _buffer: int) -> socket.socket:
        tries.append(seconds)
        if len(tries) < 3:
            raise TimeoutError
        return ours

    clock = Clock(60.0)
    client = RawConnection(dial, Recording(), 1, timeout_seconds=SHORT_SECONDS, deadline=1.0, clock=clock)
    client.close()
    other.close()
    assert tries == [SHORT_SECONDS] * 3


def test_connecting_fails_after_the_timeout_of_the_clock() -> None:
    def dial(seconds: float, _buffer: int) -> socket.socket:
        sleep(seconds)
        raise TimeoutError

    with pytest.raises(Failure, match="a connection") as caught:
        RawConnection(dial, Recording(), 1, timeout_seconds=SHORT_SECONDS, deadline=1.0, clock=Clock(0.0))
    assert caught.value.kind is Kind.TIMEOUT


def test_sends_to_a_server_that_the_machine_delays(listener: socket.socket) -> None:
    client, _ = connected(listener, Clock(60.0))
    server, _ = listener.accept()

    def read() -> None:
        """Read all once nothing more has arrived for a while."""
        arrived = -1
        while arrived < (arrived := len(server.recv(1 << 24, socket.MSG_PEEK))):
            sleep(WITHHELD_SECONDS)
        while server.recv(1 << 20):
            pass

    late = threading.Thread(target=read)
    late.start()
    has_sent = client.send(bytes(1 << 24))
    client.close()
    late.join()
    server.close()
    assert has_sent


def test_is_quiet_follows_the_clock(listener: socket.socket) -> None:
    client, _ = connected(listener, Clock(60.0))
    server, _ = listener.accept()
    late = threading.Timer(WITHHELD_SECONDS, server.sendall, [b"0 OK\r\n"])
    late.start()
    assert not client.is_quiet(SHORT_SECONDS)
    late.join()
    server.close()
    client.close()


@pytest.mark.parametrize("is_late", [False, True])
def test_an_end_that_comes_late_is_a_timeout_where_it_is_expected_instead_of_a_reply(
    listener: socket.socket, *, is_late: bool
) -> None:
    silent = Deviation("HFTP-3.6", "quit has no reply", Form.SILENT, {"quit": b""})
    tolerated: set[Deviation] = set()
    begins: list[float] = []

    def clock() -> float:
        """Have the server close just after the first wait is over."""
        if begins and monotonic() - begins[0] >= SHORT_SECONDS:
            server.shutdown(socket.SHUT_WR)
        return monotonic()

    client = TolerantClient(
        Deviations([silent]),
        tolerated,
        lambda seconds, _: socket.create_connection(listener.getsockname(), seconds),
        Recording(),
        1,
        timeout_seconds=SHORT_SECONDS if is_late else 60.0,
        deadline=monotonic() + 60.0,
        clock=clock,
    )
    server, _ = listener.accept()
    with server:
        client.send_line("quit")
        if is_late:
            begins.append(monotonic())
            with pytest.raises(Failure) as raised:
                client.status(0)
            assert raised.value.kind is Kind.TIMEOUT
        else:
            server.shutdown(socket.SHUT_WR)
            assert client.status(0).code == 0
            assert tolerated == {silent}
    client.close()

"""The reader of a connection: bytes per receive, EOF and deadlines; `test_framing` covers the lines."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic

import pytest

from greenserver.config.limits import DEFAULTS, LONG_TURN_BYTES, TURN_BYTES
from greenserver.connection.reader import Reader
from greenserver.telemetry.access_log import AccessLog
from greenserver.telemetry.metrics_interface import SILENT

LIMITS = replace(DEFAULTS, idle_seconds=500.0, line_seconds=100.0, line_floor=2)
NOISE_SECONDS = 20.0


class Sender:
    """A reader, and the socket that sends to it."""

    def __init__(self) -> None:
        ours, self.socket = socket.socketpair()
        ours.settimeout(0)
        self._ours = ours
        self.reader = Reader(ours, LIMITS, AccessLog("tester", SILENT))

    def close(self) -> None:
        self._ours.close()
        self.socket.close()

    def seconds_left(self) -> float:
        return self.reader.deadline() - monotonic()


@pytest.fixture
def senders() -> Iterator[list[Sender]]:
    made = [Sender(), Sender()]
    yield made
    for each in made:
        each.close()


def test_receive_takes_more_bytes_from_a_lone_client_than_from_one_of_several(senders: list[Sender]) -> None:
    one, other = senders
    for each in senders:
        each.socket.sendall(b"x" * 4 * LONG_TURN_BYTES)
    receives = [(one, TURN_BYTES), (other, TURN_BYTES), (other, LONG_TURN_BYTES), (one, TURN_BYTES)]
    for each, expected in receives:
        assert len(each.reader.receive()) == expected


def test_no_input_yet_is_not_eof(senders: list[Sender]) -> None:
    one, _ = senders
    with pytest.raises(BlockingIOError):
        one.reader.receive()
    assert not one.reader.is_at_end
    one.socket.shutdown(socket.SHUT_WR)
    assert not one.reader.feed(one.reader.receive())
    assert one.reader.is_at_end


@pytest.mark.parametrize("pieces", [[b"quit\r\n"], [b"qu", b"it\r\n"], [b"quit\r", b"\n"], [b"quit\r\nhel"]])
def test_a_line_is_the_same_in_one_piece_and_in_several(senders: list[Sender], pieces: list[bytes]) -> None:
    reader = senders[0].reader
    for piece in pieces:
        assert reader.feed(piece)
    assert reader.lines.next_line() == b"quit"
    assert reader.lines.next_line() is None


@pytest.mark.parametrize("sent", [b"qu\nit\r\n", b"x" * 50 + b"\r\n"], ids=["bare LF", "too long"])
def test_no_line_follows_a_fatal_one(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = Reader(ours, replace(LIMITS, line_bytes=20), AccessLog("tester", SILENT))
        reader.feed(sent)
        assert reader.lines.next_line() != sent[:-2]
        reader.feed(b"quit\r\n")
        assert reader.lines.next_line() is None


def test_the_idle_timeout_applies_between_commands(senders: list[Sender]) -> None:
    one = senders[0]
    assert one.seconds_left() == pytest.approx(500, abs=NOISE_SECONDS)
    one.reader.feed(b"quit\r\n")
    assert one.seconds_left() == pytest.approx(500, abs=NOISE_SECONDS)


def test_only_received_bytes_extend_the_line_timeout(senders: list[Sender]) -> None:
    one = senders[0]
    one.reader.feed(b"get_")
    first = one.reader.deadline()
    assert first - monotonic() == pytest.approx(100, abs=NOISE_SECONDS)
    assert one.reader.deadline() == first
    one.reader.feed(b"x" * 1000)
    assert one.reader.deadline() == pytest.approx(first + 1000 / LIMITS.line_floor)
    one.reader.feed(b"\r\nquit")
    assert one.seconds_left() == pytest.approx(100, abs=NOISE_SECONDS), "the next line has its own timeout"

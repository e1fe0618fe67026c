"""Token buckets keep to their rate; progress is measured by what the client acknowledges."""

import socket
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenserver.config import limits
from greenserver.connection import flow_control
from greenserver.connection.flow_control import StallDetector, TokenBucket, TooSlowError, queued_bytes

PURE = settings(max_examples=200, deadline=None, derandomize=True, database=None)


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(flow_control, "monotonic", clock)
    return clock


@settings(PURE)
@given(st.integers(1, 10_000_000), st.lists(st.floats(0, 3), max_size=50))
def test_a_token_bucket_never_exceeds_its_rate(rate: int, pauses: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(flow_control, "monotonic", clock)
        bucket = TokenBucket(rate)
        sent, began = 0, clock.now
        for pause in pauses:
            if moment := bucket.next_send_at():
                assert moment >= clock.now
                clock.now = moment + 1e-6
            bucket.spend(bucket.piece_bytes)
            sent += bucket.piece_bytes
            clock.now += pause
            assert sent <= 2 * bucket.piece_bytes + rate * (clock.now - began) * 1.001 + 1


def test_a_piece_lasts_a_fraction_of_a_second_and_is_a_multiple_of_3_bytes() -> None:
    assert TokenBucket(1).piece_bytes == 3 * limits.KIB
    assert TokenBucket(1 << 40).piece_bytes == limits.CHUNK_BYTES
    for rate in range(20_000, 200_000, 777):
        piece = TokenBucket(rate).piece_bytes
        assert piece % 3 == 0
        assert rate / 10 <= piece <= rate / 7 or piece == 3 * limits.KIB


def make_detector(sock: socket.socket, **changes: float) -> StallDetector:
    return StallDetector(sock, replace(limits.DEFAULTS, **changes))  # type: ignore[arg-type]


def test_a_client_that_does_not_read_is_checked_soon_and_times_out_at_the_deadline(clock: Clock) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        detector = make_detector(ours, stall_seconds=60.0, write_floor=10)
        detector.begin()
        detector.writes(ours.send(bytes(10_000)))
        assert detector.deadline == clock.now + 1
        clock.now += 1
        detector.look()
        assert detector.deadline == clock.now + 59
        clock.now += 59
        with pytest.raises(TooSlowError, match="write"):
            detector.look()


def test_reading_from_the_kernel_buffer_counts_as_progress(clock: Clock) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        detector = make_detector(ours, stall_seconds=60.0, write_floor=10)
        detector.begin()
        for _ in range(3):
            detector.writes(ours.send(bytes(1000)))
        assert queued_bytes(ours) > 0
        clock.now += 1
        detector.look()
        while theirs.recv(1000, socket.MSG_DONTWAIT) and queued_bytes(ours):
            pass
        clock.now += 59
        detector.look()
        clock.now += 1
        detector.look()
        clock.now += 59
        with pytest.raises(TooSlowError):
            detector.look()


def test_a_client_that_reads_too_slowly_times_out_after_a_whole_window(clock: Clock) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        detector = make_detector(ours, stall_seconds=60.0, write_floor=1000)
        detector.begin()
        for _ in range(60):
            detector.writes(ours.send(b"x" * 10))
            theirs.recv(10)
            clock.now += 1
        with pytest.raises(TooSlowError):
            detector.writes(ours.send(b"x" * 10))


def test_a_write_floor_above_the_rate_limit_is_lowered(clock: Clock) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        detector = make_detector(ours, stall_seconds=60.0, write_floor=1000, rate=100)
        detector.begin()
        for _ in range(200):
            detector.writes(ours.send(b"x" * 100))
            theirs.recv(100)
            clock.now += 1


def test_a_closed_socket_has_nothing_queued() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    ours.close()
    assert queued_bytes(ours) == 0

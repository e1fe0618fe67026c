"""Buckets drip at their rate; progress is what leaves the kernel."""

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
    """A clock that a test turns."""

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
def test_whatever_the_pauses_no_more_than_the_rate_goes(rate: int, pauses: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(flow_control, "monotonic", clock)
        bucket = TokenBucket(rate)
        sent, began = 0, clock.now
        for pause in pauses:
            if moment := bucket.next_moment():
                assert moment >= clock.now
                clock.now = moment + 1e-6
            bucket.spend(bucket.piece_bytes)
            sent += bucket.piece_bytes
            clock.now += pause
            assert sent <= 2 * bucket.piece_bytes + rate * (clock.now - began) * 1.001 + 1


def test_a_piece_is_a_part_of_a_second_and_a_multiple_of_3() -> None:
    assert TokenBucket(1).piece_bytes == 3 * limits.KIB
    assert TokenBucket(1 << 40).piece_bytes == limits.CHUNK_BYTES
    for rate in range(20_000, 200_000, 777):
        piece = TokenBucket(rate).piece_bytes
        assert piece % 3 == 0
        assert rate / 10 <= piece <= rate / 7 or piece == 3 * limits.KIB


def watched(sock: socket.socket, **granted: float) -> StallDetector:
    return StallDetector(sock, replace(limits.DEFAULTS, **granted))  # type: ignore[arg-type]


def test_who_takes_nothing_is_looked_at_soon_and_cut_at_the_deadline(clock: Clock) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        progress = watched(ours, stall_seconds=60.0, write_floor=10)
        progress.begin()
        progress.writes(ours.send(bytes(10_000)))
        assert progress.deadline == clock.now + 1
        clock.now += 1
        progress.look()
        assert progress.deadline == clock.now + 59
        clock.now += 59
        with pytest.raises(TooSlowError, match="write"):
            progress.look()


def test_who_reads_while_nothing_can_be_written_goes_on(clock: Clock) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        progress = watched(ours, stall_seconds=60.0, write_floor=10)
        progress.begin()
        for _ in range(3):
            progress.writes(ours.send(bytes(1000)))
        assert queued_bytes(ours) > 0
        clock.now += 1
        progress.look()
        while theirs.recv(1000, socket.MSG_DONTWAIT) and queued_bytes(ours):
            pass
        clock.now += 59
        progress.look()
        clock.now += 1
        progress.look()
        clock.now += 59
        with pytest.raises(TooSlowError):
            progress.look()


def test_who_takes_drop_by_drop_is_cut_after_a_whole_window(clock: Clock) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        progress = watched(ours, stall_seconds=60.0, write_floor=1000)
        progress.begin()
        for _ in range(60):
            progress.writes(ours.send(b"x" * 10))
            theirs.recv(10)
            clock.now += 1
        with pytest.raises(TooSlowError):
            progress.writes(ours.send(b"x" * 10))


def test_a_floor_above_the_rate_would_cut_everybody_and_is_lowered(clock: Clock) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        progress = watched(ours, stall_seconds=60.0, write_floor=1000, rate=100)
        progress.begin()
        for _ in range(200):
            progress.writes(ours.send(b"x" * 100))
            theirs.recv(100)
            clock.now += 1


def test_a_closed_socket_has_nothing_queued() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    ours.close()
    assert queued_bytes(ours) == 0

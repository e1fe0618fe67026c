"""Replies are sent together, and large bodies part by part as the client reads, with bounded memory."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic

import pytest

from greenserver.config.limits import CHUNK_BYTES, DEFAULTS, SHARED_CHUNK_BYTES
from greenserver.connection.flow_control import TooSlowError
from greenserver.connection.writer import BrokenOffError, Writer
from greenserver.files.file_slice import WouldBlockError
from greenserver.io.wait import KEEP_WAITING, LATE, NOTHING, READY, WRITE, Steps, Wait
from greenserver.protocol.responses import Body, Data

CONTENT = bytes(range(256)) * 8000


class InMemoryBody(Body):
    """A body whose parts are available at once, need a job, or fail."""

    def __init__(self, content: bytes, *, cold: bool = False, breaks_at: int | None = None) -> None:
        self.content = content
        self._cold = cold
        self._breaks_at = breaks_at
        self.buffer_lengths: list[int] = []

    def chunk(self, position: int, buffer: memoryview | None = None, *, may_block: bool = True) -> Data:
        if self._breaks_at is not None and position >= self._breaks_at:
            raise OSError(5, "Input/output error")
        self.buffer_lengths.append(0 if buffer is None else len(buffer))
        if self._cold and not may_block:
            raise WouldBlockError
        return self.content[position : position + (CHUNK_BYTES if buffer is None else len(buffer))]


class Driver:
    """Runs a generator, with its fast path or without, does its jobs, and reads when it waits to write."""

    def __init__(self, sock: socket.socket, *, has_fast_path: bool) -> None:
        self._socket = sock
        self._has_fast_path = has_fast_path
        self.received = b""
        self.waits: list[int] = []

    def run(self, steps: Steps[None]) -> None:
        with contextlib.suppress(StopIteration):
            wait = next(steps)
            while True:
                self.waits.append(wait.events)
                wait = steps.send(self._serve(wait))

    def _serve(self, wait: Wait) -> object:
        outcome: object = READY
        if wait.work is not None:
            wait.work()
        elif wait.events == WRITE:
            self.read()
            while self._has_fast_path and (outcome := wait.outcome()) is KEEP_WAITING:
                self.read()
        return outcome

    def close(self) -> None:
        self._socket.close()

    def read(self) -> None:
        try:
            while data := self._socket.recv(1 << 20):
                self.received += data
        except BlockingIOError:
            pass


@pytest.fixture(params=[False, True], ids=["generator", "fast path"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, Driver]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        theirs.settimeout(0)
        yield ours, Driver(theirs, has_fast_path=request.param)


@pytest.mark.parametrize("cold", [False, True])
def test_a_large_body_is_sent_completely_after_the_buffered_replies(
    pair: tuple[socket.socket, Driver], cold: bool
) -> None:
    sock, driver = pair
    writer = Writer(sock, DEFAULTS)
    writer.replies += b"before "
    driver.run(writer.stream(InMemoryBody(CONTENT, cold=cold), may_block=False))
    assert writer.streamed == len(CONTENT)
    writer.replies += b" after"
    driver.run(writer.flush())
    driver.read()
    assert driver.received == b"before " + CONTENT + b" after"
    assert (NOTHING in driver.waits) == cold
    assert not writer.replies


def test_a_large_body_is_sent_on_the_fast_path(pair: tuple[socket.socket, Driver]) -> None:
    sock, driver = pair
    writer = Writer(sock, DEFAULTS)
    steps = writer.stream(InMemoryBody(CONTENT), may_block=False)
    wait = next(steps)
    while wait.outcome() is KEEP_WAITING:
        driver.read()
        assert wait.deadline > monotonic()
    with pytest.raises(StopIteration):
        steps.send(READY)
    assert writer.streamed == len(CONTENT)


def test_a_broken_pipe_is_raised_in_the_generator_and_not_in_the_engine(pair: tuple[socket.socket, Driver]) -> None:
    sock, driver = pair
    steps = Writer(sock, DEFAULTS).stream(InMemoryBody(CONTENT), may_block=False)
    wait = next(steps)
    driver.close()
    outcome = wait.outcome()
    assert isinstance(outcome, BrokenPipeError)
    assert outcome.__traceback__ is None, "its frames would keep a part in memory"
    with pytest.raises(BrokenPipeError):
        steps.send(outcome)


def test_a_lone_client_gets_larger_chunks_than_several() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        bodies = [InMemoryBody(CONTENT), InMemoryBody(CONTENT)]
        first, second = (Writer(ours, DEFAULTS).stream(body, may_block=False) for body in bodies)
        for steps in (first, second):
            next(steps)
        for steps in (first, first, first, second, first, second, second):
            steps.send(READY)
            theirs.recv(1 << 20)
        assert [body.buffer_lengths for body in bodies] == [
            [SHARED_CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES, SHARED_CHUNK_BYTES],
            [SHARED_CHUNK_BYTES, SHARED_CHUNK_BYTES, CHUNK_BYTES],
        ]
        first.close()
        second.close()


def test_an_aborted_body_reports_its_position(pair: tuple[socket.socket, Driver]) -> None:
    sock, driver = pair
    for may_block in (False, True):
        writer = Writer(sock, DEFAULTS)
        with pytest.raises(BrokenOffError) as broken:
            driver.run(writer.stream(InMemoryBody(CONTENT, breaks_at=len(CONTENT)), may_block=may_block))
        assert writer.streamed == len(CONTENT)
        assert isinstance(broken.value.__cause__, OSError)


def test_a_rate_limit_pauses_between_pieces(pair: tuple[socket.socket, Driver]) -> None:
    sock, driver = pair
    writer = Writer(sock, replace(DEFAULTS, rate=4_000_000))
    writer.replies += b"before "
    driver.run(writer.stream(InMemoryBody(CONTENT), may_block=True))
    driver.run(writer.flush())
    driver.read()
    assert driver.received == b"before " + CONTENT
    assert driver.waits.count(NOTHING) >= 3


def test_a_client_that_does_not_read_times_out(pair: tuple[socket.socket, Driver]) -> None:
    sock, _ = pair
    writer = Writer(sock, DEFAULTS)
    steps = writer.stream(InMemoryBody(CONTENT), may_block=True)
    with pytest.raises(TooSlowError):
        let_time_out(steps)


def let_time_out(steps: Steps[None]) -> None:
    next(steps)
    for _ in range(3):  # writable at first, then full, and still full when the stall detector checks
        steps.send(READY)
    for _ in range(3):
        steps.send(LATE)

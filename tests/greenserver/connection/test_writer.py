"""Replies are sent together, large bodies when their reader is ready, and nothing is held for one who is not."""

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


class Known(Body):
    """A body whose parts come at once, from elsewhere, or not at all."""

    def __init__(self, content: bytes, *, cold: bool = False, breaks_at: int | None = None) -> None:
        self.content = content
        self._cold = cold
        self._breaks_at = breaks_at
        self.rooms: list[int] = []

    def part(self, position: int, room: memoryview | None = None, *, patient: bool = True) -> Data:
        if self._breaks_at is not None and position >= self._breaks_at:
            raise OSError(5, "Input/output error")
        self.rooms.append(0 if room is None else len(room))
        if self._cold and not patient:
            raise WouldBlockError
        return self.content[position : position + (CHUNK_BYTES if room is None else len(room))]


class Reader:
    """Runs steps, with their reflex or without it, does the work they ask for, and reads when they wait to write."""

    def __init__(self, sock: socket.socket, *, has_reflex: bool) -> None:
        self._socket = sock
        self._has_reflex = has_reflex
        self.received = b""
        self.waits: list[int] = []

    def run(self, steps: Steps[int] | Steps[None]) -> int | None:
        try:
            wait = next(steps)
            while True:
                self.waits.append(wait.events)
                wait = steps.send(self._serve(wait))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _serve(self, wait: Wait) -> object:
        outcome: object = READY
        if wait.work is not None:
            wait.work()
        elif wait.events == WRITE:
            self.read()
            while self._has_reflex and (outcome := wait.outcome()) is KEEP_WAITING:
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


@pytest.fixture(params=[False, True], ids=["conversation", "reflex"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, Reader]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        theirs.settimeout(0)
        yield ours, Reader(theirs, has_reflex=request.param)


@pytest.mark.parametrize("cold", [False, True])
def test_a_large_body_comes_whole_after_the_replies(pair: tuple[socket.socket, Reader], cold: bool) -> None:
    sock, reader = pair
    writer = Writer(sock, DEFAULTS)
    writer.replies += b"before "
    assert reader.run(writer.stream(Known(CONTENT, cold=cold), may_block=False)) == len(CONTENT)
    writer.replies += b" after"
    reader.run(writer.flush())
    reader.read()
    assert reader.received == b"before " + CONTENT + b" after"
    assert (NOTHING in reader.waits) == cold
    assert not writer.replies


def test_a_large_body_goes_without_the_conversation_but_for_its_end(pair: tuple[socket.socket, Reader]) -> None:
    sock, reader = pair
    steps = Writer(sock, DEFAULTS).stream(Known(CONTENT), may_block=False)
    wait = next(steps)
    while wait.outcome() is KEEP_WAITING:
        reader.read()
        assert wait.deadline > monotonic()
    with pytest.raises(StopIteration) as end:
        steps.send(READY)
    assert end.value.value == len(CONTENT)


def test_a_client_who_is_gone_ends_the_conversation_not_the_engine(pair: tuple[socket.socket, Reader]) -> None:
    sock, reader = pair
    steps = Writer(sock, DEFAULTS).stream(Known(CONTENT), may_block=False)
    wait = next(steps)
    reader.close()
    outcome = wait.outcome()
    assert isinstance(outcome, BrokenPipeError)
    assert outcome.__traceback__ is None, "its frames would keep a part alive"
    with pytest.raises(BrokenPipeError):
        steps.send(outcome)


def test_who_is_alone_is_sent_large_parts_and_several_smaller_ones() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        bodies = [Known(CONTENT), Known(CONTENT)]
        first, second = (Writer(ours, DEFAULTS).stream(body, may_block=False) for body in bodies)
        for steps in (first, second):
            next(steps)
        for steps in (first, first, first, second, first, second, second):
            steps.send(READY)
            theirs.recv(1 << 20)
        assert [body.rooms for body in bodies] == [
            [SHARED_CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES, SHARED_CHUNK_BYTES],
            [SHARED_CHUNK_BYTES, SHARED_CHUNK_BYTES, CHUNK_BYTES],
        ]
        first.close()
        second.close()


def test_a_body_that_breaks_off_tells_where(pair: tuple[socket.socket, Reader]) -> None:
    sock, reader = pair
    for may_block in (False, True):
        writer = Writer(sock, DEFAULTS)
        with pytest.raises(BrokenOffError) as broken:
            reader.run(writer.stream(Known(CONTENT, breaks_at=len(CONTENT)), may_block=may_block))
        assert broken.value.position == len(CONTENT)
        assert isinstance(broken.value.__cause__, OSError)


def test_the_rate_makes_pauses_between_pieces(pair: tuple[socket.socket, Reader]) -> None:
    sock, reader = pair
    writer = Writer(sock, replace(DEFAULTS, rate=4_000_000))
    writer.replies += b"before "
    reader.run(writer.stream(Known(CONTENT), may_block=True))
    reader.run(writer.flush())
    reader.read()
    assert reader.received == b"before " + CONTENT
    assert reader.waits.count(NOTHING) >= 3


def test_who_takes_nothing_is_given_up(pair: tuple[socket.socket, Reader]) -> None:
    sock, _ = pair
    writer = Writer(sock, DEFAULTS)
    steps = writer.stream(Known(CONTENT), may_block=True)
    with pytest.raises(TooSlowError):
        answer_never(steps)


def answer_never(steps: Steps[int]) -> None:
    next(steps)
    for _ in range(3):  # room at first, none when the kernel is full, and none when it is looked at again
        steps.send(READY)
    for _ in range(3):
        steps.send(LATE)

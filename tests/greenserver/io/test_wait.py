"""A wait ends when a descriptor is ready, the shutdown event is set or the deadline has passed."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from greenserver.io.wait import (
    KEEP_WAITING,
    LATE,
    READ,
    READY,
    WRITE,
    BlockingWait,
    ShutdownEvent,
    Steps,
    Wait,
    poll,
    run_to_completion,
    wait_blocking,
)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_wait_ends_when_the_socket_is_ready(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    assert wait_blocking(ours, Wait(WRITE, monotonic() + 60))
    theirs.send(b"x")
    assert wait_blocking(ours, Wait(READ, monotonic() + 60))


def test_wait_ends_at_its_deadline(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    assert not wait_blocking(ours, Wait(READ, monotonic() + 0.01))
    assert not wait_blocking(ours, Wait(READ, monotonic() - 5))


def test_wait_ends_when_the_peer_closes(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.close()
    assert wait_blocking(ours, Wait(READ, monotonic() + 60))


def test_event_stays_set(stop: ShutdownEvent) -> None:
    assert not stop.is_set
    assert not stop.wait(0)
    stop.set()
    stop.set()
    assert stop.wait(60)
    assert stop.wait(60)


def test_event_set_in_another_thread_ends_a_wait(
    stop: ShutdownEvent, pair: tuple[socket.socket, socket.socket]
) -> None:
    timer = threading.Timer(0.02, stop.set)
    timer.start()
    assert poll(pair[0].fileno(), READ, 60, stop) == {stop.fileno()}
    timer.join()


def test_signal_wakeup_byte_ends_a_wait(stop: ShutdownEvent, pair: tuple[socket.socket, socket.socket]) -> None:
    os.write(stop.wakeup_fileno(), b"\x0f")
    assert poll(pair[0].fileno(), READ, 60, stop) == {stop.fileno()}
    assert not stop.is_set
    assert not os.get_blocking(stop.wakeup_fileno())


def test_calls_on_wakeup_for_each_wakeup(stop: ShutdownEvent, pair: tuple[socket.socket, socket.socket]) -> None:
    calls: list[int] = []
    stop.on_wakeup = lambda: calls.append(threading.get_ident())
    for _ in range(2):
        os.write(stop.wakeup_fileno(), b"?")
        assert poll(pair[0].fileno(), READ, 60, stop) == {stop.fileno()}
    assert poll(pair[0].fileno(), READ, 0, stop) == set()
    assert calls == [threading.get_ident()] * 2


def test_poll_returns_every_ready_descriptor(stop: ShutdownEvent, pair: tuple[socket.socket, socket.socket]) -> None:
    stop.set()
    assert poll(pair[0].fileno(), WRITE, 60, stop) == {stop.fileno(), pair[0].fileno()}
    assert poll(pair[0].fileno(), READ, 0) == set()


def test_wake_ends_a_wait_without_setting_the_event(
    stop: ShutdownEvent, pair: tuple[socket.socket, socket.socket]
) -> None:
    stop.wake()
    assert poll(pair[0].fileno(), READ, 60, stop) == {stop.fileno()}
    assert not stop.is_set
    assert not poll(pair[0].fileno(), READ, 0, stop), "absorbed"


def test_closed_event_does_not_write_to_reused_descriptors(tmp_path: Path) -> None:
    stop = ShutdownEvent()
    numbers = {stop.fileno(), stop.wakeup_fileno()}
    stop.close()
    with (tmp_path / "file").open("w+b") as file:
        copies = [os.dup(file.fileno()) for _ in range(3)]
        assert numbers & {file.fileno(), *copies}, "a number is in use again"
        stop.wake()
        stop.set()
        for copy in copies:
            os.close(copy)
        assert file.read() == b""


@pytest.mark.parametrize("has_input", [False, True])
def test_event_ends_only_a_wait_with_ends_on_drain(
    stop: ShutdownEvent, pair: tuple[socket.socket, socket.socket], *, has_input: bool
) -> None:
    """Also while a fast path answers one command after another."""
    ours, theirs = pair
    stop.set()
    if has_input:
        theirs.send(b"x")
    wait = BlockingWait(stop)
    assert wait(ours, Wait(READ, monotonic() + 60, fast_path=lambda _: KEEP_WAITING, ends_on_drain=True)) is READY
    if not has_input:
        assert wait(ours, Wait(READ, monotonic() + 0.01)) is LATE


def test_closed_event_releases_its_descriptors() -> None:
    before = len(os.listdir("/proc/self/fd"))
    stop = ShutdownEvent()
    assert len(os.listdir("/proc/self/fd")) == before + 2
    stop.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_run_to_completion_passes_each_outcome_to_the_steps(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    answers = [READY, LATE, "from the fast path"]

    def steps() -> Steps[list[object]]:
        first = yield Wait(READ, 0)
        second = yield Wait(READ, 1)
        return [first, second, (yield Wait(READ, 2))]

    asked = []

    def wait(sock: socket.socket, wait: Wait) -> object:
        assert sock is pair[0]
        asked.append(wait.deadline)
        return answers[len(asked) - 1]

    assert run_to_completion(steps(), pair[0], wait) == answers
    assert asked == [0, 1, 2]


def test_steps_without_a_wait_return_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    def steps() -> Steps[str]:
        yield from ()
        return "done"

    assert run_to_completion(steps(), pair[0], wait_blocking) == "done"

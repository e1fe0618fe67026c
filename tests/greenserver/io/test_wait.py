"""Waits end when a descriptor is ready, a switch is turned or the time is over, whichever is first."""

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


def test_a_wait_ends_when_the_socket_is_ready(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    assert wait_blocking(ours, Wait(WRITE, monotonic() + 60))
    theirs.send(b"x")
    assert wait_blocking(ours, Wait(READ, monotonic() + 60))


def test_a_wait_ends_at_its_deadline(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    assert not wait_blocking(ours, Wait(READ, monotonic() + 0.01))
    assert not wait_blocking(ours, Wait(READ, monotonic() - 5))


def test_a_wait_ends_when_the_other_end_is_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.close()
    assert wait_blocking(ours, Wait(READ, monotonic() + 60))


def test_a_switch_is_turned_once_and_stays_so(stop: ShutdownEvent) -> None:
    assert not stop.is_set
    assert not stop.wait(0)
    stop.set()
    stop.set()
    assert stop.wait(60)
    assert stop.wait(60)


def test_a_switch_turned_in_another_thread_ends_a_wait(
    stop: ShutdownEvent, pair: tuple[socket.socket, socket.socket]
) -> None:
    turning = threading.Timer(0.02, stop.set)
    turning.start()
    assert poll(pair[0].fileno(), READ, 60, stop) == {stop.fileno()}
    turning.join()


def test_a_byte_from_a_signal_ends_a_wait(stop: ShutdownEvent, pair: tuple[socket.socket, socket.socket]) -> None:
    os.write(stop.wakeup_fileno(), b"\x0f")
    assert poll(pair[0].fileno(), READ, 60, stop) == {stop.fileno()}
    assert not stop.is_set
    assert not os.get_blocking(stop.wakeup_fileno())


def test_who_absorbs_wakeups_tells_each_time(stop: ShutdownEvent, pair: tuple[socket.socket, socket.socket]) -> None:
    told: list[int] = []
    stop.on_wakeup = lambda: told.append(threading.get_ident())
    for _ in range(2):
        os.write(stop.wakeup_fileno(), b"?")
        assert poll(pair[0].fileno(), READ, 60, stop) == {stop.fileno()}
    assert poll(pair[0].fileno(), READ, 0, stop) == set()
    assert told == [threading.get_ident()] * 2


def test_all_that_is_ready_is_told(stop: ShutdownEvent, pair: tuple[socket.socket, socket.socket]) -> None:
    stop.set()
    assert poll(pair[0].fileno(), WRITE, 60, stop) == {stop.fileno(), pair[0].fileno()}
    assert poll(pair[0].fileno(), READ, 0) == set()


def test_a_wake_ends_a_wait_without_setting_the_event(
    stop: ShutdownEvent, pair: tuple[socket.socket, socket.socket]
) -> None:
    stop.wake()
    assert poll(pair[0].fileno(), READ, 60, stop) == {stop.fileno()}
    assert not stop.is_set
    assert not poll(pair[0].fileno(), READ, 0, stop), "absorbed"


def test_after_its_end_it_writes_into_nothing_that_reuses_its_descriptors(tmp_path: Path) -> None:
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
def test_only_a_wait_that_may_end_early_ends_when_the_event_is_set(
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


def test_a_closed_switch_has_given_its_descriptors_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    stop = ShutdownEvent()
    assert len(os.listdir("/proc/self/fd")) == before + 2
    stop.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_steps_run_to_their_end_and_are_told_whether_the_socket_was_ready(
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

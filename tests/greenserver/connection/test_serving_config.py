"""A group of connections is drained by one call, and calls back when the last one has left."""

import threading

import pytest

from greenserver.connection.serving_config import DrainGroup, DrainingError
from greenserver.io.wait import READ, poll


class CallCounter:
    """Counts how often it is called."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def on_empty() -> CallCounter:
    return CallCounter()


def test_a_group_is_empty_when_its_last_connection_leaves_and_only_while_it_drains(on_empty: CallCounter) -> None:
    group = DrainGroup(on_empty)
    group.join()
    group.leave()
    for _ in range(2):
        group.join()
    group.drain()
    group.leave()
    assert on_empty.times == 0
    group.leave()
    assert on_empty.times == 1
    group.drain()
    assert on_empty.times == 1


def test_a_group_without_connections_is_empty_at_once(on_empty: CallCounter) -> None:
    DrainGroup(on_empty).drain()
    assert on_empty.times == 1


def test_a_draining_group_accepts_no_connection(on_empty: CallCounter) -> None:
    group = DrainGroup(on_empty)
    group.join()
    group.drain()
    assert group.is_draining
    with pytest.raises(DrainingError):
        group.join()
    group.leave()
    assert on_empty.times == 1


@pytest.mark.parametrize("is_early", [False, True])
def test_the_event_of_a_group_is_set_while_it_drains(is_early: bool) -> None:
    group = DrainGroup()
    group.join()
    if is_early:
        event = group.event()
        assert not poll(event.fileno(), READ, 0)
    group.drain()
    event = group.event()
    assert poll(event.fileno(), READ, 0)
    event.absorb()
    assert poll(event.fileno(), READ, 0), "it stays set, for every connection"
    group.leave()
    assert event.fileno() < 0


def test_concurrent_threads_that_join_and_leave_are_counted(on_empty: CallCounter) -> None:
    group = DrainGroup(on_empty)
    joined = []

    def join_and_leave() -> None:
        while True:
            try:
                group.join()
            except DrainingError:
                return
            joined.append(1)
            assert not on_empty.times
            group.leave()

    threads = [threading.Thread(target=join_and_leave) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(joined) < 2000:
        pass
    group.drain()
    for thread in threads:
        thread.join(20)
    assert on_empty.times == 1

"""A group of connections is drained by one call, and says when the last one has left."""

import threading

import pytest

from greenserver.connection.serving_config import DrainGroup, DrainingError
from greenserver.io.wait import READ, poll


class Emptied:
    """Counts how often a group became empty."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def emptied() -> Emptied:
    return Emptied()


def test_a_group_ends_with_its_last_member_and_only_once_it_drains(emptied: Emptied) -> None:
    group = DrainGroup(emptied)
    group.join()
    group.leave()
    for _ in range(2):
        group.join()
    group.drain()
    group.leave()
    assert emptied.times == 0
    group.leave()
    assert emptied.times == 1
    group.drain()
    assert emptied.times == 1


def test_a_group_without_members_ends_at_once(emptied: Emptied) -> None:
    DrainGroup(emptied).drain()
    assert emptied.times == 1


def test_a_draining_group_takes_no_more(emptied: Emptied) -> None:
    group = DrainGroup(emptied)
    group.join()
    group.drain()
    assert group.is_draining
    with pytest.raises(DrainingError):
        group.join()
    group.leave()
    assert emptied.times == 1


@pytest.mark.parametrize("is_early", [False, True])
def test_its_event_is_set_while_it_drains(is_early: bool) -> None:
    group = DrainGroup()
    group.join()
    if is_early:
        event = group.event()
        assert not poll(event.fileno(), READ, 0)
    group.drain()
    event = group.event()
    assert poll(event.fileno(), READ, 0)
    event.absorb()
    assert poll(event.fileno(), READ, 0), "for every member"
    group.leave()
    assert event.fileno() < 0


def test_threads_that_come_and_go_are_counted(emptied: Emptied) -> None:
    group = DrainGroup(emptied)
    joined = []

    def come_and_go() -> None:
        while True:
            try:
                group.join()
            except DrainingError:
                return
            joined.append(1)
            assert not emptied.times
            group.leave()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(joined) < 2000:
        pass
    group.drain()
    for thread in threads:
        thread.join(20)
    assert emptied.times == 1

"""Jobs run side by side, those of a chain one after another, and a stop ends all of them."""

import sys
import threading
import time

import pytest

from conformance.classroom.local_pool import LocalPool
from conformance.classroom.pool import PoolError, alone, open_pool


def test_chains_run_side_by_side_and_their_members_in_turn() -> None:
    together, lock, most, running = threading.Barrier(2), threading.Lock(), [0], set[str]()

    def job(item: str, _stop: threading.Event) -> str:
        if item in "ab":
            together.wait(30)  # both of them run at the same time, or this breaks
            return item.upper()
        with lock:
            assert not running
            running.add(item)
            most[0] += 1
        time.sleep(0.02)
        with lock:
            running.discard(item)
        return item.upper()

    done = list(LocalPool(3).run(job, [["a"], ["b"], ["x", "y", "z"]], threading.Event()))
    assert sorted(done, key=str) == [(item, item.upper()) for item in "abxyz"]
    assert [item for item, _ in done if item in "xyz"] == ["x", "y", "z"]
    assert most == [3]


def test_stop_ends_those_that_run_and_begins_no_others() -> None:
    stop, begun = threading.Event(), list[int]()

    def job(item: int, stop: threading.Event) -> bool:
        begun.append(item)
        return item == 0 or not stop.wait(30)

    results = LocalPool(1).run(job, alone(range(5)), stop)
    assert next(results) == (0, True)
    results.close()
    assert stop.is_set()
    assert len(begun) <= 2


def test_exception_of_a_job_is_raised_when_the_others_have_ended() -> None:
    def job(item: int, _stop: threading.Event) -> bool:
        if item == 0:
            message = "no space"
            raise OSError(message)
        return True

    with pytest.raises(OSError, match="no space"):
        list(LocalPool(2).run(job, alone(range(3)), threading.Event()))


def test_this_machine_is_the_default_and_has_one_worker() -> None:
    with open_pool("local", 3) as pool:
        assert pool.is_here
        assert pool.about == "3 at a time"
        assert pool.everywhere(max, 2, 5) == {"": 5}


@pytest.mark.parametrize(
    ("where", "jobs", "said"),
    [
        ("moon", 0, "--on moon: it is local, or dask://HOST:PORT"),
        ("dask://host:8786", 2, "-j is for this machine: a cluster runs as many jobs as its workers have threads"),
        ("dask://", 0, "--on dask://: it looks like dask://HOST:8786"),
        ("dask://host:port", 0, "--on dask://host:port: it looks like dask://HOST:8786"),
        ("dask://host:1/x", 0, "--on dask://host:1/x: it looks like dask://HOST:8786"),
        ("dask://[::1]:8786", 0, "--on dask://... needs Dask: pip install 'greenserver[cluster]'"),
    ],
)
def test_pool_that_cannot_be_opened_is_explained_in_a_line(
    where: str, jobs: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)  # as if it were not installed
    with pytest.raises(PoolError) as found, open_pool(where, jobs):
        pass
    assert str(found.value) == said

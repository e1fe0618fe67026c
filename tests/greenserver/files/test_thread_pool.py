"""A thread pool runs each job once for all callers, and ends when it is closed."""

import contextlib
import select
import time
from _thread import start_new_thread
from collections.abc import Callable
from pathlib import Path

import pytest

from greenserver.files.thread_pool import StartThread, ThreadPool
from greenserver.io.wait import Job
from tests.greenserver.serving import TIMEOUT_SECONDS, wait_until


def test_threads_run_jobs_and_wake_the_event_loop() -> None:
    pool = ThreadPool(3, start_new_thread)
    done: list[int] = []
    jobs = [Job(lambda number=number: number * number) for number in range(50)]  # type: ignore[misc]
    for job in jobs:
        pool.do(job, lambda: done.append(1))
        pool.do(job, lambda: done.append(1))
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(done) < 100:
        with contextlib.suppress(BlockingIOError):
            pool.resume()
        time.sleep(0.001)
        assert time.monotonic() < deadline
    assert [job.result() for job in jobs] == [number * number for number in range(50)]
    descriptor = pool.fileno()
    pool.close()
    wait_until(lambda: not Path(f"/proc/self/fd/{descriptor}").exists(), "the last thread closes the descriptor")


@pytest.mark.parametrize("limit", [1, 2])
def test_fewer_threads_suffice_if_the_system_allows_no_more(limit: int) -> None:
    pool = ThreadPool(3, thread_starter_limited_to(limit))
    job = Job(lambda: 7)
    done: list[int] = []
    pool.do(job, lambda: done.append(1))
    wait_until(lambda: bool(select.select([pool], [], [], 0)[0]), "the job is done")
    pool.resume()
    assert done == [1]
    descriptor = pool.fileno()
    pool.close()
    wait_until(lambda: not Path(f"/proc/self/fd/{descriptor}").exists(), "the last thread closes the descriptor")


def test_a_pool_without_any_thread_raises_and_leaks_nothing() -> None:
    with pytest.raises(OSError, match=r"^can't start new thread, and files are read in threads: let this"):
        ThreadPool(3, thread_starter_limited_to(0))


def thread_starter_limited_to(limit: int) -> StartThread:
    """Return a function that starts up to `limit` threads, and then fails as the system does."""
    left = [None] * limit

    def start(function: Callable[[], None], arguments: tuple[()]) -> object:
        if not left:
            message = "can't start new thread"
            raise RuntimeError(message)
        left.pop()
        return start_new_thread(function, arguments)

    return start

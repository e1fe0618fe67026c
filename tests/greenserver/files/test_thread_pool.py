"""Threads do what they are given, once for all who wait for it, and end when they are told."""

import contextlib
import select
import time
from _thread import start_new_thread
from collections.abc import Callable
from pathlib import Path

import pytest

from greenserver.files.thread_pool import StartThread, ThreadPool
from greenserver.io.wait import Job
from tests.greenserver.serving import PATIENCE_SECONDS, wait_until


def test_threads_do_their_work_and_tell_the_loop() -> None:
    files = ThreadPool(3, start_new_thread)
    done: list[int] = []
    works = [Job(lambda number=number: number * number) for number in range(50)]  # type: ignore[misc]
    for work in works:
        files.do(work, lambda: done.append(1))
        files.do(work, lambda: done.append(1))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(done) < 100:
        with contextlib.suppress(BlockingIOError):
            files.resume()
        time.sleep(0.001)
        assert time.monotonic() < deadline
    assert [work.result() for work in works] == [number * number for number in range(50)]
    descriptor = files.fileno()
    files.close()
    wait_until(lambda: not Path(f"/proc/self/fd/{descriptor}").exists(), "the last thread closes up")


@pytest.mark.parametrize("room", [1, 2])
def test_fewer_threads_do_where_there_is_no_room_for_all(room: int) -> None:
    files = ThreadPool(3, starting_no_more_than(room))
    work = Job(lambda: 7)
    done: list[int] = []
    files.do(work, lambda: done.append(1))
    wait_until(lambda: bool(select.select([files], [], [], 0)[0]), "it is done")
    files.resume()
    assert done == [1]
    descriptor = files.fileno()
    files.close()
    wait_until(lambda: not Path(f"/proc/self/fd/{descriptor}").exists(), "the last thread closes up")


def test_no_thread_at_all_is_told_and_holds_nothing() -> None:
    with pytest.raises(OSError, match=r"^can't start new thread, and files are read in threads: let this"):
        ThreadPool(3, starting_no_more_than(0))


def starting_no_more_than(room: int) -> StartThread:
    """Return what starts so many threads, and then fails as the system does."""
    left = [None] * room

    def start(function: Callable[[], None], arguments: tuple[()]) -> object:
        if not left:
            message = "can't start new thread"
            raise RuntimeError(message)
        left.pop()
        return start_new_thread(function, arguments)

    return start

"""Threads do what they are given, once for all who wait for it, and end when they are told."""

import contextlib
import time
from _thread import start_new_thread
from pathlib import Path

from greenserver.file_threads import FileThreads
from greenserver.waiting import Work
from tests.greenserver.serving import PATIENCE_SECONDS, wait_until


def test_threads_do_their_work_and_tell_the_loop() -> None:
    files = FileThreads(3, start_new_thread)
    done: list[int] = []
    works = [Work(lambda number=number: number * number) for number in range(50)]  # type: ignore[misc]
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

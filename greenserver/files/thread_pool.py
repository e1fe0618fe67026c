"""Run blocking jobs in threads, for engines that serve many connections in one thread.

A hanging disk blocks only these threads, and the connections that need it.
"""

import contextlib
import os
from _queue import SimpleQueue  # the C class: it blocks real threads, even if `queue` is monkey-patched
from collections import deque
from collections.abc import Callable
from typing import Final

from greenserver.io.wait import Job

StartThread = Callable[[Callable[[], None], tuple[()]], object]
"""The type of `_thread.start_new_thread`; pass the original, not a monkey-patched one."""

_WAKEUP: Final = b"!"
_WAKEUPS_BYTES: Final = 4096

Done = Callable[[], object]


class ThreadPool:
    """A fixed number of threads, and a pipe that wakes one event loop when a job is done.

    All methods and callbacks run in the thread of the loop. The threads do not keep the process from exiting.
    There are fewer if the system cannot start them all.

    Raise OSError, with a message for the operator, if not one thread can be started.
    """

    def __init__(self, count: int, start_thread: StartThread) -> None:
        self._asked: SimpleQueue[Job[object] | None] = SimpleQueue()
        self._finished: deque[Job[object]] = deque()
        self._waiting: dict[Job[object], list[Done]] = {}
        self._reader, self._writer = os.pipe()
        for descriptor in (self._reader, self._writer):
            os.set_blocking(descriptor, False)
        self._running: list[None] = []
        for _ in range(count):
            try:
                start_thread(self._work, ())
            except RuntimeError as error:  # the system cannot start another thread
                if self._running:
                    break
                self._close_pipe()
                message = f"{error}, and files are read in threads: let this process start more (ulimit -u)"
                raise OSError(message) from error
            self._running.append(None)

    def do(self, work: Job[object], done: Done) -> None:
        """Queue a job, and call `done` from `resume` when it is done. A pending job is not queued a second time."""
        waiting = self._waiting.get(work)
        if waiting is None:
            self._waiting[work] = [done]
            try:
                self._asked.put(work)
            except MemoryError:
                del self._waiting[work]  # nothing would ever call back who joins it
                raise
        else:
            waiting.append(done)

    def fileno(self) -> int:
        """Return a descriptor that is readable when `resume` has something to do."""
        return self._reader

    def resume(self) -> None:
        """Call the callbacks of finished jobs."""
        os.read(self._reader, _WAKEUPS_BYTES)
        while self._finished:
            for done in self._waiting.pop(self._finished.popleft()):
                done()

    def close(self) -> None:
        """Let the threads end when all queued jobs are done."""
        for _ in tuple(self._running):
            self._asked.put(None)

    def _work(self) -> None:
        while (work := self._asked.get()) is not None:
            work()
            self._finished.append(work)
            with contextlib.suppress(BlockingIOError):  # full: the loop has enough to wake up for
                os.write(self._writer, _WAKEUP)
            del work  # do not keep its result alive: it may be large
        self._running.pop()
        if not self._running:  # the last thread closes it: after that, its numbers may belong to other files
            self._close_pipe()

    def _close_pipe(self) -> None:
        os.close(self._reader)
        os.close(self._writer)

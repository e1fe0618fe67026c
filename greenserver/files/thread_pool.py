"""Run blocking jobs in threads, for engines that serve many connections in one thread.

A hanging disk blocks only these threads, and the connections that need it.
"""

import os
from _queue import SimpleQueue  # the C class: it blocks real threads, even if `queue` is monkey-patched
from collections import deque
from collections.abc import Callable

from greenserver.io.wait import Job

StartThread = Callable[[Callable[[], None], tuple[()]], object]
"""The type of `_thread.start_new_thread`; pass the original, not a monkey-patched one."""

Done = Callable[[], object]


class ThreadPool:
    """A fixed number of threads, and an eventfd that wakes one event loop when a job is done.

    All methods and callbacks run in the thread of the loop. The threads do not keep the process from exiting.
    There are fewer if the system cannot start them all.

    Raise OSError, with a message for the operator, if not one thread can be started.
    """

    def __init__(self, count: int, start_thread: StartThread) -> None:
        self._asked: SimpleQueue[Job[object] | None] = SimpleQueue()
        self._finished: deque[Job[object]] = deque()
        self._waiting: dict[Job[object], list[Done]] = {}
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._running: list[None] = []
        for _ in range(count):
            try:
                start_thread(self._work, ())
            except RuntimeError as error:  # the system cannot start another thread
                if self._running:
                    break
                os.close(self._descriptor)
                message = f"{error}, and files are read in threads: let this process start more (ulimit -u)"
                raise OSError(message) from error
            self._running.append(None)

    def do(self, work: Job[object], done: Done) -> None:
        """Queue a job, and call `done` from `resume` when it is done. A pending job is not queued a second time."""
        waiting = self._waiting.get(work)
        if waiting is None:
            self._waiting[work] = [done]
            self._asked.put(work)
        else:
            waiting.append(done)

    def fileno(self) -> int:
        """Return a descriptor that is readable when `resume` has something to do."""
        return self._descriptor

    def resume(self) -> None:
        """Call the callbacks of finished jobs."""
        os.eventfd_read(self._descriptor)
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
            os.eventfd_write(self._descriptor, 1)
            del work  # do not keep its result alive: it may be large
        self._running.pop()
        if not self._running:  # the last thread closes it: after that, its number may belong to another file
            os.close(self._descriptor)

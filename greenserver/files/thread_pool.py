"""Threads that do what may take long, for the engines that serve many clients in one thread.

A disk that hangs holds these threads, and the conversations that asked for what is on it; nobody else.
"""

import os
from _queue import SimpleQueue  # the one of C: it holds real threads, whatever has been monkey-patched
from collections import deque
from collections.abc import Callable

from greenserver.io.wait import Job

StartThread = Callable[[Callable[[], None], tuple[()]], object]
"""`_thread.start_new_thread`, as it was before anything patched it."""

Done = Callable[[], object]


class ThreadPool:
    """A fixed number of threads, and a descriptor that tells one loop when they have done something.

    All but the threads themselves happens in the thread of the loop. The threads never hold the process at
    its end. There are fewer where the system has no room for all.

    Raises OSError, with a message for people, if there can be none.
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
            except RuntimeError as error:  # the system has no room for another thread
                if self._running:
                    break
                os.close(self._descriptor)
                message = f"{error}, and files are read in threads: let this process have more of them (ulimit -u)"
                raise OSError(message) from error
            self._running.append(None)

    def do(self, work: Job[object], done: Done) -> None:
        """Have work done, and call `done` from `resume` afterwards; the same work is done once for all who ask."""
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
        """Tell all whose work is done."""
        os.eventfd_read(self._descriptor)
        while self._finished:
            for done in self._waiting.pop(self._finished.popleft()):
                done()

    def close(self) -> None:
        """Let the threads end once the work that they were given is done."""
        for _ in tuple(self._running):
            self._asked.put(None)

    def _work(self) -> None:
        while (work := self._asked.get()) is not None:
            work()
            self._finished.append(work)
            os.eventfd_write(self._descriptor, 1)
            del work  # holds a result, perhaps a large one
        self._running.pop()
        if not self._running:  # nobody writes to it any more: its number can be another file's
            os.close(self._descriptor)

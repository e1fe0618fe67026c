"""Does a long thing once for all who ask for it at the same time, and never hands out what is older than the asking.

Who asks while nothing has begun joins what will begin next. Who asks after a beginning cannot know whether
what it finds is still so at the moment of asking, and therefore waits for the next one. So a crowd of any
size costs two runs: the one under way, and one for all the others.
"""

from _queue import SimpleQueue  # the one of C: it holds real threads, whatever has been monkey-patched
from collections.abc import Callable
from typing import Generic

from greenserver.io.wait import Job, Result


class SingleFlight(Generic[Result]):
    """Runs of one call, one after the other, each shared by all who joined it before it began."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._next: dict[str, Flight[Result]] = {}  # at most one; dict methods are atomic between threads
        self._turn = _Turn()

    def join(self) -> "Flight[Result]":
        """Return the run that begins next; whoever calls it first does it."""
        return self._next.setdefault("", Flight(self._run))

    def _run(self) -> Result:
        with self._turn:
            self._next.clear()  # from here on one joins the next
            return self._call()


class Flight(Job[Result]):
    """One run; calling it does it, or waits in this thread until it has been done."""

    __slots__ = ("_is_done", "_turn")

    def __init__(self, call: Callable[[], Result]) -> None:
        super().__init__(call)
        self._turn = _Turn()
        self._is_done = False

    def __call__(self) -> None:
        """Do it, once."""
        with self._turn:
            if not self._is_done:
                super().__call__()
                self._is_done = True


class _Turn:
    """A lock between real threads."""

    __slots__ = ("_token",)

    def __init__(self) -> None:
        self._token: SimpleQueue[None] = SimpleQueue()
        self._token.put(None)

    def __enter__(self) -> None:
        self._token.get()

    def __exit__(self, *_: object) -> None:
        self._token.put(None)

"""Coalesce concurrent calls (single flight). No caller gets a result that was computed before it asked.

A caller joins the next run. It cannot join a run that has started, whose result may be older than the request.
So any number of concurrent callers costs two runs: the current one, and one for all the others.
"""

from _queue import SimpleQueue  # the C class: it blocks real threads, even if `queue` is monkey-patched
from collections.abc import Callable
from typing import Generic

from greenserver.io.wait import Job, Result


class SingleFlight(Generic[Result]):
    """Runs a call one at a time; each run is shared by all callers that joined before it started."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._next: dict[str, Flight[Result]] = {}  # at most one; dict methods are atomic between threads
        self._turn = _Turn()

    def join(self) -> "Flight[Result]":
        """Return the next run; the first thread that calls it performs it."""
        return self._next.setdefault("", Flight(self._run))

    def _run(self) -> Result:
        with self._turn:
            self._next.clear()  # later callers join a new run
            return self._call()


class Flight(Job[Result]):
    """One run. Calling it performs it, or blocks until another thread has performed it."""

    __slots__ = ("_is_done", "_turn")

    def __init__(self, call: Callable[[], Result]) -> None:
        super().__init__(call)
        self._turn = _Turn()
        self._is_done = False

    def __call__(self) -> None:
        """Perform the run, once."""
        with self._turn:
            if not self._is_done:
                super().__call__()
                self._is_done = True


class _Turn:
    """A lock for real threads, even if `threading` is monkey-patched."""

    __slots__ = ("_token",)

    def __init__(self) -> None:
        self._token: SimpleQueue[None] = SimpleQueue()
        self._token.put(None)

    def __enter__(self) -> None:
        self._token.get()

    def __exit__(self, *_: object) -> None:
        self._token.put(None)

"""Call a function in a native thread, and wait for its result for a limited time."""

import contextlib
from collections.abc import Callable, Hashable
from typing import TypeVar

from greenserver.config import limits
from greenserver.io.wait import Job, ShutdownEvent
from greenserver.monkeypatch import native

Result = TypeVar("Result")


class TooLateError(OSError):
    """A configuration was not read and checked in time."""

    def __init__(self) -> None:
        super().__init__(
            f"checking the configuration took longer than {limits.RELOAD_SECONDS:g} s: "
            "do its files lie on a file system that hangs?"
        )


class StillHangsError(OSError):
    """A configuration was not read and checked, since that hangs already."""

    def __init__(self) -> None:
        super().__init__(
            "an earlier reload still waits for its files: free the file system that hangs, or name another one"
        )


class Calls:
    """Makes calls as `call_within` does, but none that hangs since an earlier time: each would block a thread more."""

    def __init__(self) -> None:
        self._running: set[Hashable] = set()

    def within(
        self, seconds: float, what: Hashable, call: Callable[[], Result], discard: Callable[[Result], object]
    ) -> Result:
        """Return what a call returns; `what` it does tells it from others.

        Raise what `call_within` raises, and StillHangsError if a call that does the same is running.
        """
        if what in self._running:
            raise StillHangsError

        def run() -> Result:
            try:
                return call()
            finally:
                self._running.discard(what)

        self._running.add(what)
        try:
            return call_within(seconds, run, discard)
        except RuntimeError:
            self._running.discard(what)  # no thread was started
            raise


def call_within(seconds: float, call: Callable[[], Result], discard: Callable[[Result], object]) -> Result:
    """Return what a call returns. It may hang: other threads and greenlets go on.

    A result that comes too late is discarded by the thread that made the call.

    Raise what the call raises, TooLateError past the deadline, and RuntimeError if the system cannot start a thread.
    """
    job, done = Job(call), ShutdownEvent()
    first: dict[str, bool] = {}  # whether the result came in time; dict methods are atomic between threads

    def run() -> None:
        job()
        if first.setdefault("in time", True):
            done.set()
        else:
            with contextlib.suppress(Exception):
                discard(job.result())

    try:
        native("_thread", "start_new_thread")(run, ())
        if not done.wait(seconds) and not first.setdefault("in time", False):
            raise TooLateError
    finally:
        done.close()
    return job.result()

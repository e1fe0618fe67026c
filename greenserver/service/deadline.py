"""Call a function in a native thread, and wait for its result for a limited time."""

import contextlib
from collections.abc import Callable
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

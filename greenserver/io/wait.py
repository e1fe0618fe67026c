"""Define the waits that a connection yields, the shutdown event, and blocking waits.

A connection is a generator: it tries a socket call, and yields a `Wait` if the call would block. An engine
performs these waits.
"""

import contextlib
import os
import select
from collections.abc import Callable, Generator
from socket import MSG_PEEK, socket
from time import monotonic
from typing import Final, Generic, TypeAlias, TypeVar

READ: Final = 1
"""Readable; the same number as `selectors.EVENT_READ` and in gevent's io watchers."""

WRITE: Final = 2
"""Writable; the same number as `selectors.EVENT_WRITE` and in gevent's io watchers."""


NOTHING: Final = 0
"""No socket event: wait for the deadline, or for a job."""

FOREVER: Final = float("inf")
"""A deadline that never comes."""

Result = TypeVar("Result")


Found = TypeVar("Found", covariant=True)  # noqa: PLC0105  (the result type of a job)


class Job(Generic[Found]):
    """A call that may block, to be run in another thread, and its result."""

    __slots__ = ("_call", "_error", "_result")

    def __init__(self, call: Callable[[], Found]) -> None:
        self._call = call
        self._error: Exception | None = None
        self._result: Found

    def __call__(self) -> None:
        """Run the call; `result` raises what it raised."""
        try:
            self._result = self._call()
        except Exception as error:  # noqa: BLE001  (raised again by `result`)
            self._error = error

    def result(self) -> Found:
        """Return what the call returned, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._result


class Wait:
    """A wait for a socket event, a finished job, or a deadline, whichever comes first."""

    __slots__ = ("deadline", "events", "fast_path", "work")

    def __init__(
        self,
        events: int,
        deadline: float,
        *,
        work: "Job[object] | None" = None,
        fast_path: "Callable[[Wait], bool] | None" = None,
    ) -> None:
        self.events = events
        """`READ`, `WRITE` or `NOTHING`."""
        self.deadline = deadline
        """On the clock of `time.monotonic`, in seconds. The fast path may extend it."""
        self.work = work
        """A job to run in another thread before the generator resumes, however long it takes."""
        self.fast_path = fast_path
        """Called when the socket is ready. It never blocks or raises, and returns whether to keep waiting."""

    def is_over(self) -> bool:
        """Run the fast path of a ready socket, if any, and return whether to resume the generator."""
        return self.fast_path is None or not self.fast_path(self)


NEVER: Final = Wait(NOTHING, FOREVER)
"""A wait that never ends: for a connection that is not waiting, or that something else resumes."""

Steps: TypeAlias = Generator[Wait, bool, Result]
"""The generator of a connection, or a part of it. Send it True when its wait succeeds, False past the deadline."""

Waiter: TypeAlias = Callable[[socket, Wait], bool]
"""Performs a wait; returns True when the socket is ready or the job is done, False past the deadline."""


_TURNED: Final = b"!"
_WAKEUPS_BYTES: Final = 4096


class ShutdownEvent:
    """An event that a signal handler or any thread sets once, with a descriptor to wait for it."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        for descriptor in (self._reader, self._writer):
            os.set_blocking(descriptor, False)
        self.is_set = False

    def set(self) -> None:
        """Set the event; do nothing if it is set."""
        if not self.is_set:
            self.is_set = True
            self._show()

    def fileno(self) -> int:
        """Return a descriptor that is readable once the event is set."""
        return self._reader

    def wakeup_fileno(self) -> int:
        """Return a descriptor for `signal.set_wakeup_fd`: a byte written to it ends all waits."""
        return self._writer

    def absorb(self) -> None:
        """Clear wakeups that did not set the event, such as those of signals that do not stop the server."""
        if not self.is_set:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, _WAKEUPS_BYTES)
            self._show()  # the event may have been set meanwhile, and its byte read here

    def _show(self) -> None:
        if self.is_set:
            os.write(self._writer, _TURNED)  # stays in the pipe, so that every waiter sees it

    def wait(self, seconds: float) -> bool:
        """Wait for at most so many seconds, and return whether the event is set or a wakeup came."""
        return bool(poll(self._reader, READ, seconds))

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._reader)
        os.close(self._writer)


def run_to_completion(steps: Steps[Result], sock: socket, wait: Waiter) -> Result:
    """Run a generator of waits to its end, and return its result."""
    try:
        asked = next(steps)
        while True:
            asked = steps.send(wait(sock, asked))
    except StopIteration as end:
        result: Result = end.value
        return result


def wait_blocking(sock: socket, wait: Wait) -> bool:
    """Wait by blocking this thread; this greenlet, if monkey-patched."""
    if wait.work is not None:
        wait.work()
        return True
    while poll(sock.fileno(), wait.events, wait.deadline - monotonic()):
        if wait.is_over():
            return True
    return False


def has_input(sock: socket) -> bool:
    """Return whether a non-blocking socket is readable: data, EOF or an error."""
    try:
        sock.recv(1, MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        pass  # the next read raises it
    return True


_POLL_EVENTS: Final = {READ: select.POLLIN, WRITE: select.POLLOUT}
_LONGEST_POLL_SECONDS: Final = 1e6  # poll(2) takes milliseconds in an int


def poll(descriptor: int, events: int, seconds: float, stop: ShutdownEvent | None = None) -> set[int]:
    """Wait until a descriptor is ready, the shutdown event wakes, or the timeout ends.

    Return the ready descriptors, with that of the shutdown event among them; an error or a hang-up counts as ready.
    With the events `NOTHING`, ignore the descriptor.
    """
    waiting = select.poll()
    if events != NOTHING:
        waiting.register(descriptor, _POLL_EVENTS[events])
    if stop is not None:
        waiting.register(stop.fileno(), select.POLLIN)
    found = {ready for ready, _ in waiting.poll(min(max(0.0, seconds), _LONGEST_POLL_SECONDS) * 1000)}
    if stop is not None and stop.fileno() in found:
        stop.absorb()
    return found

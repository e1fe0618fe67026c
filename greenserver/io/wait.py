"""What a conversation waits for, and how a thread of its own waits for it.

A conversation is a generator: it tries a socket call and yields a `Wait` where it must let time pass.
An engine is whatever answers these waits.
"""

import contextlib
import os
import select
from collections.abc import Callable, Generator
from socket import MSG_PEEK, socket
from time import monotonic
from typing import Final, Generic, TypeAlias, TypeVar

READ: Final = 1
"""Ready to be read, as in `selectors.EVENT_READ` and gevent's io watchers."""

WRITE: Final = 2
"""Ready to be written, as in `selectors.EVENT_WRITE` and gevent's io watchers."""


NOTHING: Final = 0
"""Nothing that the socket does: a pause until the deadline, or work."""

FOREVER: Final = float("inf")
"""A deadline that never comes."""

Result = TypeVar("Result")


Found = TypeVar("Found", covariant=True)  # noqa: PLC0105  (the name of what work finds)


class Job(Generic[Found]):
    """A call that may take long, for a thread in which that disturbs nobody, and what came of it."""

    __slots__ = ("_call", "_error", "_result")

    def __init__(self, call: Callable[[], Found]) -> None:
        self._call = call
        self._error: Exception | None = None
        self._result: Found

    def __call__(self) -> None:
        """Do it; what it raises is kept for whoever asks for the result."""
        try:
            self._result = self._call()
        except Exception as error:  # noqa: BLE001  (raised again where the result is wanted)
            self._error = error

    def result(self) -> Found:
        """Return what the call returned, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._result


class Wait:
    """A conversation's wish to go on once its socket is ready, work is done, or a moment has passed."""

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
        """On the clock of `time.monotonic`, in seconds. A reflex may put it off."""
        self.work = work
        """What to do elsewhere before the conversation goes on, however long it takes."""
        self.fast_path = fast_path
        """What needs no waiting, done when the socket is ready; returns whether to wait on, and raises nothing."""

    def is_over(self) -> bool:
        """Tell, when the socket is ready, whether the conversation is to go on."""
        return self.fast_path is None or not self.fast_path(self)


NEVER: Final = Wait(NOTHING, FOREVER)
"""The wait of whoever is not waiting, or is called by something else."""

Steps: TypeAlias = Generator[Wait, bool, Result]
"""A conversation, or a part of one: is sent True when what it waits for has come, False past the deadline."""

Waiter: TypeAlias = Callable[[socket, Wait], bool]
"""Waits as told; returns True when the socket is ready or the work done, False past the deadline."""


_TURNED: Final = b"!"
_WAKEUPS_BYTES: Final = 4096


class ShutdownEvent:
    """A switch that is turned once, from a signal handler or any thread, and can be waited for."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        for descriptor in (self._reader, self._writer):
            os.set_blocking(descriptor, False)
        self.is_set = False

    def set(self) -> None:
        """Turn the switch; once is enough."""
        if not self.is_set:
            self.is_set = True
            self._show()

    def fileno(self) -> int:
        """Return a descriptor that is readable once the switch is turned."""
        return self._reader

    def wakeup_fileno(self) -> int:
        """Return a descriptor for `signal.set_wakeup_fd`: a byte written there ends all waits."""
        return self._writer

    def absorb(self) -> None:
        """Forget what woke the waiters, unless it was the switch: a signal that does not stop the server, say."""
        if not self.is_set:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, _WAKEUPS_BYTES)
            self._show()  # it may have been turned meanwhile, and what shows it may have been read

    def _show(self) -> None:
        if self.is_set:
            os.write(self._writer, _TURNED)  # stays: every waiter sees it

    def wait(self, seconds: float) -> bool:
        """Wait for at most so long, and return whether the switch is turned."""
        return bool(poll(self._reader, READ, seconds))

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._reader)
        os.close(self._writer)


def run_to_completion(steps: Steps[Result], sock: socket, wait: Waiter) -> Result:
    """Run steps to their end, and return what they return."""
    try:
        asked = next(steps)
        while True:
            asked = steps.send(wait(sock, asked))
    except StopIteration as end:
        result: Result = end.value
        return result


def wait_blocking(sock: socket, wait: Wait) -> bool:
    """Wait in this thread; where sockets are monkey-patched, in this greenlet."""
    if wait.work is not None:
        wait.work()
        return True
    while poll(sock.fileno(), wait.events, wait.deadline - monotonic()):
        if wait.is_over():
            return True
    return False


def has_input(sock: socket) -> bool:
    """Tell whether a non-blocking socket has something to read, be it an error or the end of the stream."""
    try:
        sock.recv(1, MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        pass  # reading will tell
    return True


_POLL_EVENTS: Final = {READ: select.POLLIN, WRITE: select.POLLOUT}
_LONGEST_POLL_SECONDS: Final = 1e6  # poll() counts milliseconds in an int


def poll(descriptor: int, events: int, seconds: float, stop: ShutdownEvent | None = None) -> set[int]:
    """Wait until a descriptor is ready, a switch is turned or the seconds are over.

    Returns the descriptors that are ready, the switch's among them; an error or a hang-up is readiness.
    With the events `NOTHING` the descriptor is not looked at.
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

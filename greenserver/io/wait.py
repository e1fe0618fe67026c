"""Define the waits that a connection yields, the shutdown event, and blocking waits.

A connection is a generator: it tries a socket call, and yields a `Wait` if the call would block. An engine
performs these waits.
"""

import contextlib
import select
from _socket import socketpair  # the C function: gevent does not patch it
from collections.abc import Callable, Generator
from socket import socket
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

    __slots__ = ("deadline", "ends_on_drain", "events", "fast_path", "work")

    def __init__(
        self,
        events: int,
        deadline: float,
        *,
        work: "Job[object] | None" = None,
        fast_path: "FastPath | None" = None,
        ends_on_drain: bool = False,
    ) -> None:
        self.events = events
        """`READ`, `WRITE` or `NOTHING`."""
        self.deadline = deadline
        """On the clock of `time.monotonic`, in seconds. The fast path may extend it."""
        self.work = work
        """A job to run in another thread before the generator resumes, however long it takes."""
        self.fast_path = fast_path
        """Called when the socket is ready. It never blocks or raises."""
        self.ends_on_drain = ends_on_drain
        """Whether to resume the generator, with `READY`, also when the connection is asked to end."""

    @classmethod
    def for_job(cls, work: "Job[object]") -> "Wait":
        """Return a wait for a job, however long it takes."""
        return cls(NOTHING, FOREVER, work=work)

    def outcome(self) -> object:
        """Run the fast path of a ready socket, if any; return what to resume the generator with, or `KEEP_WAITING`."""
        return READY if self.fast_path is None else self.fast_path(self)


FastPath: TypeAlias = Callable[[Wait], object]
"""Does in place what a ready socket allows. Returns `KEEP_WAITING`, or what to resume the generator with."""

READY: Final = True
"""What a generator is resumed with when its wait succeeds and the fast path has nothing else to hand on."""

LATE: Final = False
"""What it is resumed with past the deadline."""

KEEP_WAITING: Final = None
"""What a fast path returns if the generator need not be resumed."""

NEVER: Final = Wait(NOTHING, FOREVER)
"""A wait that never ends: for a connection that is not waiting, or that something else resumes."""

Steps: TypeAlias = Generator[Wait, object, Result]
"""The generator of a connection, or a part of it. Resume it with `READY`, with what the fast path hands on, or with
`LATE`."""

Waiter: TypeAlias = Callable[[socket, Wait], object]
"""Performs a wait, and returns what to resume the generator with."""


_TURNED: Final = b"!"
_WAKEUPS_BYTES: Final = 4096


class ShutdownEvent:
    """An event that a signal handler or any thread sets once, with a descriptor to wait for it."""

    def __init__(self) -> None:
        # Sockets, not a pipe: a late call cannot write to a file that reuses the number of a closed descriptor.
        self._reader, self._writer = socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
        self.is_set = False
        self.on_wakeup: Callable[[], object] = bool
        """Called by the thread that absorbs wakeups, each time: it shows that the thread takes its turns."""

    def set(self) -> None:
        """Set the event; do nothing if it is set."""
        if not self.is_set:
            self.is_set = True
            self.wake()

    def wake(self) -> None:
        """End all waits, without setting the event."""
        with contextlib.suppress(OSError):  # the buffer is full, and so readable; or it is closed
            self._writer.send(_TURNED)

    def fileno(self) -> int:
        """Return a descriptor that is readable once the event is set."""
        return self._reader.fileno()

    def wakeup_fileno(self) -> int:
        """Return a descriptor for `signal.set_wakeup_fd`: a byte written to it ends all waits."""
        return self._writer.fileno()

    def absorb(self) -> None:
        """Clear wakeups that did not set the event, such as those of signals that do not stop the server."""
        self.on_wakeup()
        if not self.is_set:
            with contextlib.suppress(BlockingIOError):
                self._reader.recv(_WAKEUPS_BYTES)
            self._stay_readable()

    def _stay_readable(self) -> None:
        if self.is_set:  # meanwhile, and `absorb` has read its byte
            self.wake()

    def wait(self, seconds: float) -> bool:
        """Wait for at most `seconds`, and return whether the event is set or a wakeup came."""
        return bool(poll(self.fileno(), READ, seconds))

    def close(self) -> None:
        """Close the descriptors. Later calls of `set` and `wake` do nothing."""
        self._reader.close()
        self._writer.close()


def run_to_completion(steps: Steps[Result], sock: socket, wait: Waiter) -> Result:
    """Run a generator of waits to its end, and return its result."""
    try:
        asked = next(steps)
        while True:
            asked = steps.send(wait(sock, asked))
    except StopIteration as end:
        result: Result = end.value
        return result


def wait_blocking(sock: socket, wait: Wait) -> object:
    """Wait by blocking this thread; this greenlet, if monkey-patched."""
    return BlockingWait()(sock, wait)


class BlockingWait:
    """Waits by blocking this thread, and returns early from some waits when an event is set."""

    __slots__ = ("_drain",)

    def __init__(self, drain: "ShutdownEvent | None" = None) -> None:
        self._drain = drain

    def __call__(self, sock: socket, wait: Wait) -> object:
        """Perform a wait."""
        if wait.work is not None:
            wait.work()
            return READY
        drain = self._drain if wait.ends_on_drain else None
        while ready := poll(sock.fileno(), wait.events, wait.deadline - monotonic(), drain):
            if sock.fileno() in ready and (outcome := wait.outcome()) is not KEEP_WAITING:
                return outcome
            if drain is not None and drain.fileno() in ready:
                return READY
        return LATE


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

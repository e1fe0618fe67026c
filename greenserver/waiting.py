"""What a conversation waits for, and how a thread of its own waits for it.

A conversation is a generator: it tries a socket call and yields a `Wait` where it must let time pass.
An engine is whatever answers these waits.
"""

import os
import select
from collections.abc import Callable, Generator
from socket import socket
from time import monotonic
from typing import Final, NamedTuple, TypeAlias, TypeVar

READ: Final = 1
"""Ready to be read, as in `selectors.EVENT_READ` and gevent's io watchers."""

WRITE: Final = 2
"""Ready to be written, as in `selectors.EVENT_WRITE` and gevent's io watchers."""


class Wait(NamedTuple):
    """A conversation's wish to go on once its socket is ready, or once a moment has passed."""

    events: int
    """`READ` or `WRITE`."""
    deadline: float
    """On the clock of `time.monotonic`, in seconds."""


Result = TypeVar("Result")
Steps: TypeAlias = Generator[Wait, bool, Result]
"""A conversation, or a part of one: is sent True when its socket is ready, False past the deadline."""

Waiter: TypeAlias = Callable[[socket, Wait], bool]
"""Waits as told; returns True when the socket is ready, False past the deadline."""


class Stop:
    """A switch that is turned once, from a signal handler or any thread, and can be waited for."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self.is_set = False

    def set(self) -> None:
        """Turn the switch; once is enough."""
        if not self.is_set:
            self.is_set = True
            os.write(self._writer, b"!")  # never read: every waiter sees it

    def fileno(self) -> int:
        """Return a descriptor that is readable once the switch is turned."""
        return self._reader

    def wakeup_fileno(self) -> int:
        """Return a descriptor for `signal.set_wakeup_fd`: a byte written there ends all waits."""
        return self._writer

    def wait(self, seconds: float) -> bool:
        """Wait for at most so long, and return whether the switch is turned."""
        return bool(poll(self._reader, READ, seconds))

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._reader)
        os.close(self._writer)


def exhaust(steps: Steps[Result], sock: socket, wait: Waiter) -> Result:
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
    return bool(poll(sock.fileno(), wait.events, wait.deadline - monotonic()))


_POLL_EVENTS: Final = {READ: select.POLLIN, WRITE: select.POLLOUT}


def poll(descriptor: int, events: int, seconds: float, stop: Stop | None = None) -> set[int]:
    """Wait until a descriptor is ready, a switch is turned or the seconds are over.

    Returns the descriptors that are ready, the switch's among them; an error or a hang-up is readiness.
    """
    waiting = select.poll()
    waiting.register(descriptor, _POLL_EVENTS[events])
    if stop is not None:
        waiting.register(stop.fileno(), select.POLLIN)
    return {ready for ready, _ in waiting.poll(max(0.0, seconds) * 1000)}

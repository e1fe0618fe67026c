"""Define what a session asks of whoever does its input and output: in a thread, or in an event loop."""

from collections.abc import Generator
from typing import NamedTuple, TypeAlias, TypeVar

from greenserver.protocol.client import Data, Names

Result = TypeVar("Result")


class Open(NamedTuple):
    """Connect, after closing what is open. Raises OSError, HftpError."""


class Send(NamedTuple):
    """Send all of it. Raises OSError."""

    data: bytes


class Receive(NamedTuple):
    """Receive into the buffer, and answer how many bytes; 0 at the end. Raises TimeoutError, OSError."""

    buffer: memoryview
    seconds: float


class Pause(NamedTuple):
    """Wait."""

    seconds: float


class Close(NamedTuple):
    """Close what is open."""


Operation: TypeAlias = Open | Send | Receive | Pause | Close
Delivery: TypeAlias = Data | Names
"""What goes to the caller while the steps go on."""

Steps: TypeAlias = Generator[Operation | Delivery, int, Result]
"""Yields operations, and is sent the answer to each (0 but for Receive), or thrown what the operation raised."""


def advance(steps: Steps[Result], answer: int | None, failure: Exception | None) -> Operation | Delivery:
    """Return the next step, after the answer to the one before or what it raised; neither at the start."""
    if failure is not None:
        return steps.throw(failure)
    return next(steps) if answer is None else steps.send(answer)

"""Divide a file into parts that several connections fetch; no part is fetched twice, and none is forgotten."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LARGEST_PART_BYTES: Final = 16 << 20
"""What is fetched in one slice, at most: a simple server holds it in memory."""
SMALLEST_PART_BYTES: Final = 1 << 20

Ranges = list[tuple[int, int]]
"""Starts and ends, in order, none of them empty."""


@dataclass(eq=False)
class Part:
    """A range that one connection fetches."""

    position: int
    """Of the next byte that is missing."""
    end: int


class Plan:
    """Which bytes of a file are there, which are being fetched, and which are missing. Safe for threads.

    >>> plan = Plan(10, [(4, 6)], part_bytes=3)
    >>> part = plan.take()
    >>> plan.advance(part, 2)
    >>> plan.give_back(part)
    >>> plan.done
    [(0, 2), (4, 6)]
    """

    def __init__(self, size: int, done: Iterable[tuple[int, int]] = (), part_bytes: int = LARGEST_PART_BYTES) -> None:
        self.size = size
        self.failure: Exception | None = None
        """Why the file cannot be fetched, by whichever connection found out first."""
        self._part_bytes = part_bytes
        self._missing = list(_complement(sorted(done), size))
        self._active: list[Part] = []
        self._changed = threading.Condition()

    @property
    def parts(self) -> int:
        """How many parts are left to take."""
        return sum(-(-(end - start) // self._part_bytes) for start, end in self._missing)

    @property
    def done(self) -> Ranges:
        """The ranges that are there."""
        with self._changed:
            left = [*self._missing, *((part.position, part.end) for part in self._active)]
        return list(_complement(sorted(left), self.size))

    @property
    def done_bytes(self) -> int:
        """How many bytes are there."""
        return sum(end - start for start, end in self.done)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        with self._changed:
            return not (self._missing or self._active)

    def take(self) -> Part | None:
        """Return the next part to fetch; None if all are taken, or the file cannot be fetched."""
        with self._changed:
            if not self._missing or self.failure is not None:
                return None
            start, end = self._missing.pop(0)
            middle = min(end, start + self._part_bytes)
            if middle < end:
                self._missing.insert(0, (middle, end))
            part = Part(start, middle)
            self._active.append(part)
            return part

    def advance(self, part: Part, count: int) -> None:
        """Note that so many bytes more of a part are there."""
        part.position += count

    def give_back(self, part: Part) -> None:
        """Note that a part is whole, or that its connection was lost: others may take the rest."""
        with self._changed:
            self._active.remove(part)
            if part.position < part.end:
                self._missing.insert(0, (part.position, part.end))
            self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        """Note that the file cannot be fetched."""
        with self._changed:
            self.failure = self.failure or error
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until a part is given back, or for so long."""
        with self._changed:
            if self._active and not self._missing and self.failure is None:
                self._changed.wait(seconds)


def part_bytes(size: int, connections: int) -> int:
    """Return how long the parts of a file are: several for each connection, so that they end at the same time."""
    return max(SMALLEST_PART_BYTES, min(LARGEST_PART_BYTES, size // (4 * connections)))


def _complement(ranges: Ranges, size: int) -> Iterable[tuple[int, int]]:
    """Yield what sorted ranges leave of a file; those may touch."""
    position = 0
    for start, end in ranges:
        if position < start:
            yield position, start
        position = max(position, end)
    if position < size:
        yield position, size

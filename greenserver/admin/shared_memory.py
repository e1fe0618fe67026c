"""Memory that the processes of a server share: whether it is ready, and a page of numbers for each process.

It is an anonymous file (memfd_create(2)): forked processes inherit it, and the admin process is given its descriptor.
It has no name, so nothing can remove or replace it; it ends with the last process; and it needs no file system.
"""

import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from mmap import mmap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing_extensions import Self

PAGE_BYTES: Final = 1 << 16  # a multiple of the page size of every processor
_HEAD, _ENDED, _FIRST = range(3)
"""The first pages: the head, the numbers of all processes that have ended, those of a process. Others follow."""

_SERVING_AT: Final = 0
_DRAINING_AT: Final = 1
_CHANGES_AT: Final = 8
_CHANGES: Final = struct.Struct("=Q")
_YES: Final = b"\1"

_LOOKS: Final = 100
_LOOK_SECONDS: Final = 0.001

Numbers = dict[str, float]


class SharedMemory:
    """The memory: made by the first process of a server, or opened by its descriptor in the admin process.

    Only the first process calls `allot` and `release`. Making raises OSError with a readable message if there is no
    memory.
    """

    def __init__(self, descriptor: int = -1) -> None:
        self._descriptor = _make_file() if descriptor < 0 else descriptor
        self._free: list[int] = []
        self._pages = _FIRST
        self._changes = 0

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

    # --- Readiness -------------------------------------------------------------------------------

    def set_serving(self) -> None:
        """Record that clients are served."""
        os.pwrite(self._descriptor, _YES, _SERVING_AT)

    def set_draining(self) -> None:
        """Record, for good, that no more clients are accepted. Safe in a signal handler."""
        os.pwrite(self._descriptor, _YES, _DRAINING_AT)

    @property
    def is_ready(self) -> bool:
        """Whether the server is serving, and not draining."""
        return os.pread(self._descriptor, 2, _SERVING_AT) == _YES + b"\0"

    # --- Numbers ---------------------------------------------------------------------------------

    def allot(self) -> int:
        """Return a page for a process. Raise OSError if there is no memory: to find that out by using it is fatal."""
        if not self._free:
            os.posix_fallocate(self._descriptor, self._pages * PAGE_BYTES, PAGE_BYTES)
            self._free.append(self._pages)
            self._pages += 1
        return self._free.pop()

    def open(self, number: int) -> "Page":
        """Return a page that was allotted."""
        return Page(mmap(self._descriptor, PAGE_BYTES, offset=number * PAGE_BYTES))

    def release(self, number: int, is_kept: Callable[[str], bool]) -> None:
        """Take back the page of a process that has ended, and add those of its numbers that are kept to its heirs'."""
        with self.open(number) as page, self.open(_ENDED) as ended:
            self._count_change()
            try:
                for key, value in page.items():
                    if is_kept(key):
                        ended.numbers[ended.find(key)] += value
                page.clear()
            finally:
                self._count_change()
        self._free.append(number)

    def read(self) -> tuple[Numbers, list[Numbers]]:
        """Return the numbers of all processes that have ended, and those of each that runs.

        While the first process moves numbers from one to the other, look again: a number is never missed or counted
        twice.
        """
        for _ in range(_LOOKS):
            before = self._read_changes()
            count = os.fstat(self._descriptor).st_size // PAGE_BYTES
            ended, *running = [self._read_page(number) for number in range(_ENDED, count)]
            if before % 2 == 0 and before == self._read_changes():
                break
            time.sleep(_LOOK_SECONDS)
        return ended, [each for each in running if each]

    def _read_page(self, number: int) -> Numbers:
        with self.open(number) as page:
            return dict(page.items())

    def _count_change(self) -> None:
        """Count the start or the end of a move: the count is odd during one."""
        self._changes += 1
        os.pwrite(self._descriptor, _CHANGES.pack(self._changes), _CHANGES_AT)

    def _read_changes(self) -> int:
        return int(_CHANGES.unpack(os.pread(self._descriptor, _CHANGES.size, _CHANGES_AT))[0])


class Page:
    """A table of numbers by key, which one process writes and others may read meanwhile.

    The first word is the number of words in use. Each entry is a float, the length of its key in bytes, and the key,
    filled up to whole words. An entry is complete before it is in use.
    """

    def __init__(self, memory: mmap) -> None:
        self._memory = memory
        self._bytes = memoryview(memory)
        self._words = self._bytes.cast("Q")
        self.numbers = self._bytes.cast("d")  # an item is written at once; struct.pack_into would write zeros first
        """The numbers, at the places that `find` returns. Only one thread at a time may add to one."""
        self._places: dict[str, int] = {}

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        for view in (self.numbers, self._words, self._bytes):
            view.release()
        self._memory.close()

    def find(self, key: str) -> int:
        """Return the place of a number, which is 0 at first. Raise MemoryError if the page is full."""
        if not self._places:
            self._places = {each: place for each, place, _ in self._entries()}
        if key not in self._places:
            self._places[key] = self._append(key.encode())
        return self._places[key]

    def items(self) -> Iterator[tuple[str, float]]:
        """Return all numbers by their keys."""
        return ((key, value) for key, _, value in self._entries())

    def clear(self) -> None:
        """Forget all numbers."""
        self._words[0] = 0
        self._places = {}

    def _append(self, key: bytes) -> int:
        place = max(1, self._words[0])
        start = (place + 2) * self._words.itemsize
        end = place + 2 + -(-len(key) // self._words.itemsize)
        if end > len(self._words):
            raise MemoryError
        self.numbers[place] = 0.0
        self._words[place + 1] = len(key)
        self._bytes[start : start + len(key)] = key
        self._words[0] = end
        return place

    def _entries(self) -> Iterator[tuple[str, int, float]]:
        """Yield key, place and value of each number."""
        place, used = 1, self._words[0]
        while place + 1 < used:
            length = self._words[place + 1]
            start = (place + 2) * self._words.itemsize
            key = bytes(self._bytes[start : start + length]).decode(errors="replace")  # perhaps written right now
            yield key, place, self.numbers[place]
            place += 2 + -(-length // self._words.itemsize)


def _make_file() -> int:
    """Return the descriptor of an anonymous file with the pages that are always there."""
    descriptor = -1
    try:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("greenserver")
        else:  # a Python that was built for an old C library
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.posix_fallocate(descriptor, 0, _FIRST * PAGE_BYTES)
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        message = f"no memory to share with the admin process: {error.strerror}"
        raise OSError(message) from error
    return descriptor

"""Listings of a directory, which share their blocks as far as they are equal, in bounded memory.

A client that reads slowly holds its listing. While the directory changes, the next client has another one.
"""

import weakref
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from greenserver.config.limits import LISTINGS_BYTES

_BLOCK_MASK: Final = 0x1FF  # every 512th name on average ends a block; which ones do hangs on the names alone
_BLOCK_NAMES: Final = 4096  # maximum


class ListingExpiredError(Exception):
    """Newer listings have taken the memory of this one."""


class Listing:
    """The names of files, each with CR LF."""

    __slots__ = ("__weakref__", "_ends", "blocks", "size")

    def __init__(self, blocks: Sequence[bytes]) -> None:
        self.blocks: Sequence[bytes] | None = blocks
        """None once it has expired."""
        self._ends = list(accumulate(map(len, blocks)))
        self.size = self._ends[-1] if blocks else 0

    def whole(self) -> bytes:
        """Return all of it. Raise ListingExpiredError."""
        return b"".join(self._living())

    def read(self, position: int, count: int) -> bytes:
        """Return at most `count` bytes from a position, and none at the end only. Raise ListingExpiredError."""
        blocks = self._living()
        if position >= self.size:
            return b""
        index = bisect_right(self._ends, position)
        start = position - self._ends[index] + len(blocks[index])
        return blocks[index][start : start + count]

    def _living(self) -> Sequence[bytes]:
        if self.blocks is None:
            message = "newer listings have taken its memory"
            raise ListingExpiredError(message)
        return self.blocks


class Listings:
    """Makes listings, one at a time. Those that clients hold take at most `LISTINGS_BYTES` beside the last one.

    Beyond that the oldest expire: their clients have read the least, in the longest time.
    """

    def __init__(self) -> None:
        self._last = Listing(())
        self._made: list[weakref.ref[Listing]] = []  # the oldest first

    def make(self, names: Iterable[str]) -> Listing:
        """Return a listing of names; the last one if they are the same, in the same order."""
        known = {block: block for block in self._last.blocks or ()}
        blocks = tuple(known.get(block, block) for block in _split(names))
        if blocks != self._last.blocks:
            self._last = Listing(blocks)
            self._made = [reference for reference in self._made if reference() is not None]
            self._made.append(weakref.ref(self._last))
            self._expire()
        return self._last

    def _expire(self) -> None:
        held = [listing for reference in self._made if (listing := reference()) is not None]
        most = LISTINGS_BYTES + self._last.size
        if sum(listing.size for listing in held) <= most:  # even if they share nothing
            return
        for oldest in held[:-1]:
            if _distinct_bytes(held) <= most:
                return
            oldest.blocks = None


def _split(names: Iterable[str]) -> Iterator[bytes]:
    """Yield blocks of lines, of which a new name changes one."""
    block: list[str] = []
    for name in names:
        block.append(name)
        if not hash(name) & _BLOCK_MASK or len(block) == _BLOCK_NAMES:
            yield _lines(block)
            block.clear()
    if block:
        yield _lines(block)


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\r\n" for name in names).encode("ascii")


def _distinct_bytes(listings: Iterable[Listing]) -> int:
    distinct = {id(block): len(block) for listing in listings for block in listing.blocks or ()}
    return sum(distinct.values())

"""What is in a file: known bytes, or as many as wanted by a rule, so that any slice of any size costs no memory."""

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

PIECE_BYTES: Final = 1 << 18


class Content(ABC):
    """A file's bytes; `size` is their number."""

    size: int

    @abstractmethod
    def read(self, offset: int, size: int) -> bytes:
        """Return the bytes of a part of it; fewer at its end."""

    def pieces(self, offset: int = 0, size: int | None = None) -> Iterator[bytes]:
        """Yield a part of it, a piece at a time."""
        end = self.size if size is None else min(self.size, offset + size)
        for start in range(offset, end, PIECE_BYTES):
            yield self.read(start, min(PIECE_BYTES, end - start))

    def digest(self) -> str:
        """Return the SHA-256 of it all, hexadecimal."""
        found = hashlib.sha256()
        for piece in self.pieces():
            found.update(piece)
        return found.hexdigest()


class Known(Content):
    """Bytes that are held."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:  # noqa: D102  (as above)
        return self._data[offset : offset + size]


class Seeded(Content):
    """Random bytes by a seed, in blocks that begin with their number: no two places of the file are alike."""

    BLOCK_BYTES: Final = 65_521
    """A prime number, so that blocks fall together with nobody's buffers."""
    _NUMBER_BYTES: Final = 8

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._block = random.Random(seed).randbytes(self.BLOCK_BYTES - self._NUMBER_BYTES)  # noqa: S311  (no secret)

    def read(self, offset: int, size: int) -> bytes:  # noqa: D102  (as above)
        end = min(self.size, offset + size)
        if offset >= end:
            return b""
        first, last = offset // self.BLOCK_BYTES, (end - 1) // self.BLOCK_BYTES
        blocks = (number.to_bytes(self._NUMBER_BYTES, "big") + self._block for number in range(first, last + 1))
        start = first * self.BLOCK_BYTES
        return b"".join(blocks)[offset - start : end - start]

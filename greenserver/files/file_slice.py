"""Read a part of an open file; the only reads of file contents."""

import errno
import os
from typing import Final

_READ_NOW: Final[int | None] = getattr(os, "RWF_NOWAIT", None)  # not with a C library that has no preadv2()
_NOT_NOW: Final = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS})


class WouldBlockError(Exception):
    """The data is not in memory, or that is unknown: repeat the call in a thread that may block."""


class FileChangedError(Exception):
    """A file was truncated or written to while it was being sent."""


Version = tuple[int, int]


def version_of(found: os.stat_result) -> Version:
    """Return a value that changes when a file is written to, but not when it is renamed or removed."""
    return found.st_mtime_ns, found.st_size


class FileSlice:
    """The bytes [offset, offset + size) of an open file.

    All are of one version of the file: the read that completes the slice fails if the file was written to since it
    was opened.
    """

    __slots__ = ("_descriptor", "_is_cached", "_offset", "_version", "size")

    def __init__(
        self, descriptor: int, offset: int, size: int, *, version: Version | None = None, is_cached: bool = False
    ) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._version = version
        self._is_cached = is_cached
        self.size = size

    def read(self, position: int, count: int, *, may_block: bool = True) -> bytearray:
        """Return `count` bytes from a position in the slice, or all that are left; see `read_into`."""
        data = bytearray(min(count, self.size - position))
        self.read_into(memoryview(data), position, may_block=may_block)
        return data

    def read_whole(self, *, may_block: bool = True) -> tuple[bytearray, bool]:
        """Return all bytes of the slice, and whether the file was left alone meanwhile; raise as `read_into` does."""
        data = bytearray(self.size)
        self._read(memoryview(data), self._offset, may_block=may_block)
        return data, self._is_unchanged()

    def read_into(self, buffer: memoryview, position: int, *, may_block: bool = True) -> memoryview:
        """Fill a buffer from a position in the slice, or with all that is left; return the filled part.

        Raise FileChangedError if the file was truncated or written to, OSError if it cannot be read, and
        WouldBlockError if the read would block and `may_block` is false.
        """
        buffer = buffer[: self.size - position]
        if not buffer:
            return buffer
        self._read(buffer, self._offset + position, may_block=may_block)
        # Checked after the read: a later write cannot have changed the bytes.
        if position + len(buffer) == self.size and not self._is_unchanged():
            message = "the file was written to while it was being sent"
            raise FileChangedError(message)
        return buffer

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _read(self, buffer: memoryview, offset: int, *, may_block: bool) -> None:
        if may_block or self._is_cached:
            self._fill(buffer, offset)
        elif buffer:
            self._fill_from_memory(buffer, offset)

    def _fill(self, buffer: memoryview, offset: int) -> None:
        filled = 0
        while filled < len(buffer):  # a short read is not the end of the file; an empty one is
            more = os.preadv(self._descriptor, [buffer[filled:]], offset + filled)
            if not more:
                message = "the file was truncated while it was being sent"
                raise FileChangedError(message)
            filled += more

    def _fill_from_memory(self, buffer: memoryview, offset: int) -> None:
        """Read from the page cache only (RWF_NOWAIT): https://man7.org/linux/man-pages/man2/readv.2.html.

        Raise WouldBlockError if some bytes are not cached, the file ends before them, or the system cannot tell.
        """
        if _READ_NOW is None:
            raise WouldBlockError
        try:
            got = os.preadv(self._descriptor, [buffer], offset, _READ_NOW)
        except OSError as error:
            if error.errno in _NOT_NOW:
                raise WouldBlockError from error
            raise
        if got < len(buffer):
            raise WouldBlockError

    def _is_unchanged(self) -> bool:
        return self._version is None or version_of(os.fstat(self._descriptor)) == self._version

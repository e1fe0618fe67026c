"""Read a part of an open file; the only reads of file contents."""

import os

from greenserver.files.page_cache import read_cached


class FileChangedError(Exception):
    """A file was truncated or written to while it was being sent."""


Version = tuple[int, int]


def version_of(found: os.stat_result) -> Version:
    """Return a value that changes when a file is written to, but not when it is renamed or removed."""
    return found.st_mtime_ns, found.st_size


class FileSlice:
    """The bytes [offset, offset + size) of an open file.

    All are of one version of the file: the read that completes the slice fails if the file was written to since it
    was opened, unless that is the only read.
    """

    __slots__ = ("_descriptor", "_has_read", "_is_cached", "_offset", "_version", "size")

    def __init__(
        self, descriptor: int, offset: int, size: int, *, version: Version | None = None, is_cached: bool = False
    ) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._version = version
        self._is_cached = is_cached
        self._has_read = False
        self.size = size

    def read(self, position: int, count: int, *, patient: bool = True) -> bytearray:
        """Return `count` bytes from a position in the slice, or all that are left; see `read_into`."""
        data = bytearray(min(count, self.size - position))
        self.read_into(memoryview(data), position, patient=patient)
        return data

    def read_into(self, buffer: memoryview, position: int, *, patient: bool = True) -> memoryview:
        """Fill a buffer from a position in the slice, or with all that is left; return the filled part.

        Raise FileChangedError if the file was truncated or written to, OSError if it cannot be read, and
        WouldBlockError if the read would block and `patient` is false.
        """
        buffer = buffer[: self.size - position]
        if not buffer:
            return buffer
        if patient or self._is_cached:
            self._fill(buffer, self._offset + position)
        else:
            read_cached(self._descriptor, buffer, self._offset + position)
        # Checked after the read: a later write cannot have changed the bytes.
        if self._has_read and position + len(buffer) == self.size:
            self._require_unchanged()
        self._has_read = True
        return buffer

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _fill(self, buffer: memoryview, offset: int) -> None:
        filled = 0
        while filled < len(buffer):  # a short read is not the end of the file; an empty one is
            more = os.preadv(self._descriptor, [buffer[filled:]], offset + filled)
            if not more:
                message = "the file was truncated while it was being sent"
                raise FileChangedError(message)
            filled += more

    def _require_unchanged(self) -> None:
        if self._version is not None and version_of(os.fstat(self._descriptor)) != self._version:
            message = "the file was written to while it was being sent"
            raise FileChangedError(message)

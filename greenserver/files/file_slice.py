"""A part of an open file: the only reads of what is in a file."""

import os

from greenserver.files.page_cache import read_cached


class FileChangedError(Exception):
    """A file became shorter, or was written to, while it was being sent."""


Version = tuple[int, int]


def version_of(found: os.stat_result) -> Version:
    """Return what changes when a file is written to, and not when it is renamed or removed."""
    return found.st_mtime_ns, found.st_size


class FileSlice:
    """The bytes [offset, offset + size) of an open file.

    They are those of one version of the file: a read that completes the slice fails if the file was written
    to since it was opened, unless that one read is all there was.
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
        """Return the bytes from a position in the slice on: `count`, or all that are left of it; see `read_into`."""
        data = bytearray(min(count, self.size - position))
        self.read_into(memoryview(data), position, patient=patient)
        return data

    def read_into(self, buffer: memoryview, position: int, *, patient: bool = True) -> memoryview:
        """Fill a buffer from a position in the slice on, or with all that is left of it; return what is filled.

        Raises FileChangedError if the file no longer holds that, or holds other bytes than it did; OSError if it
        cannot be read; WouldBlockError if it must not wait for them (`patient`), and would.
        """
        buffer = buffer[: self.size - position]
        if not buffer:
            return buffer
        if patient or self._is_cached:
            self._fill(buffer, self._offset + position)
        else:
            read_cached(self._descriptor, buffer, self._offset + position)
        # Looked at after reading: what is written from here on can no longer be in it.
        if self._has_read and position + len(buffer) == self.size:
            self._require_unchanged()
        self._has_read = True
        return buffer

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)

    def _fill(self, buffer: memoryview, offset: int) -> None:
        filled = 0
        while filled < len(buffer):  # a read may be short before the end; an empty one is the end
            more = os.preadv(self._descriptor, [buffer[filled:]], offset + filled)
            if not more:
                message = "the file became shorter while it was sent"
                raise FileChangedError(message)
            filled += more

    def _require_unchanged(self) -> None:
        if self._version is not None and version_of(os.fstat(self._descriptor)) != self._version:
            message = "the file was written to while it was sent"
            raise FileChangedError(message)

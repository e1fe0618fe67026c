"""Read a part of an open file; the only reads of file contents."""

import contextlib
import errno
import os
from time import time_ns
from typing import Final

from greenserver.config.limits import SETTLED_NANOSECONDS, WRITE_NANOSECONDS
from greenserver.io import c_library

_NOT_NOW: Final = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS})


class WouldBlockError(Exception):
    """The data is not in memory, or that is unknown: repeat the call in a thread that may block."""


class FileChangedError(Exception):
    """A file was truncated or written to while it was being sent."""


def wait_for_writer(descriptor: int, offset: int) -> None:
    """Block until no write(2) to a file is under way, where its file system can do that.

    To look for data takes the lock of the file that a write holds: on ext4, btrfs, f2fs and tmpfs (`ext4_llseek` in
    https://github.com/torvalds/linux/blob/master/fs/ext4/file.c, for example). On XFS each read does.
    """
    with contextlib.suppress(OSError, OverflowError):  # no data from there on, or nothing can look for it
        os.lseek(descriptor, offset, os.SEEK_DATA)


class FileSlice:
    """The bytes [offset, offset + size) of an open file.

    All are of one version of the file: the read that completes the slice fails if the file was written to since it
    was looked at, at first when it was opened. `opened` is what fstat(2) said then, `directory` and `name` are where it
    was found.
    """

    __slots__ = ("_descriptor", "_directory", "_is_cached", "_name", "_offset", "_opened", "size")

    def __init__(  # noqa: PLR0913, PLR0917  (what a store knows of a file; keywords would take time)
        self,
        descriptor: int,
        offset: int,
        size: int,
        opened: os.stat_result,
        directory: int,
        name: str,
        *,
        is_cached: bool = False,
    ) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._opened = opened
        self._directory = directory
        self._name = name
        self._is_cached = is_cached
        self.size = size

    @property
    def file_size(self) -> int:
        """The length of the file in bytes, when it was looked at."""
        return self._opened.st_size

    def look_again(self, *, may_block: bool = True) -> None:
        """Take the file as it is now, also if another has taken its place; raise as `require_end` does."""
        if may_block:
            wait_for_writer(self._descriptor, self._offset)
        self._opened = os.fstat(self._descriptor)
        self.require_end()

    def require_end(self) -> None:
        """Raise EOFError if the slice extends past the end of the file."""
        if self._offset + self.size > self._opened.st_size:
            message = f"{self._name} has {self._opened.st_size} bytes"
            raise EOFError(message)

    def is_settled(self, *, may_block: bool = True) -> bool:
        """Return whether the file had been left alone for a while when it was looked at.

        Otherwise the next write may be in the same tick of the clock, and the times of the file do not tell
        (https://docs.kernel.org/filesystems/multigrain-ts.html). The kernel sets them when a write begins: unless
        `may_block`, which lets `wait_for_writer` be called, it may be under way much longer.
        """
        least = SETTLED_NANOSECONDS if may_block else WRITE_NANOSECONDS
        return not -least < time_ns() - self._opened.st_ctime_ns < least

    def read(self, position: int, count: int, *, may_block: bool = True) -> bytearray:
        """Return `count` bytes from a position in the slice, or all that are left; see `read_into`."""
        data = bytearray(min(count, self.size - position))
        self.read_into(memoryview(data), position, may_block=may_block)
        return data

    def read_whole(self, *, may_block: bool = True) -> tuple[bytearray, bool]:
        """Return all bytes of the slice, and whether the file was left alone meanwhile; raise as `read_into` does."""
        is_settled = self.is_settled(may_block=may_block)
        data = bytearray(self.size)
        self._read(memoryview(data), self._offset, may_block=may_block)
        return data, is_settled and self._is_unchanged()

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
        """Read from the page cache only (RWF_NOWAIT).

        Raise WouldBlockError if some bytes are not cached, the file ends before them, or the system cannot tell.
        """
        if c_library.NOWAIT is None:
            raise WouldBlockError
        try:
            got = os.preadv(self._descriptor, [buffer], offset, c_library.NOWAIT)
        except OSError as error:
            if error.errno in _NOT_NOW:
                raise WouldBlockError from error
            raise
        if got < len(buffer):
            raise WouldBlockError

    def _is_unchanged(self) -> bool:
        before, now = self._opened, os.fstat(self._descriptor)
        if now.st_mtime_ns != before.st_mtime_ns or now.st_size != before.st_size:
            return False
        return now.st_ctime_ns == before.st_ctime_ns or self._is_elsewhere(now)

    def _is_elsewhere(self, now: os.stat_result) -> bool:
        """Return whether something but a write explains the last change: other names, owners or permissions.

        If nothing does, the file may have been written to, and its modification time put back.
        """
        before = self._opened
        if (now.st_nlink, now.st_mode, now.st_uid, now.st_gid) != (
            *(before.st_nlink, before.st_mode, before.st_uid, before.st_gid),
        ):
            return True
        try:
            named = os.lstat(self._name, dir_fd=self._directory)
        except OSError:
            return True  # it was moved
        return (named.st_dev, named.st_ino) != (now.st_dev, now.st_ino)

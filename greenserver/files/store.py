"""Serve the files of one directory: list, measure and open them."""

import contextlib
import errno
import os
import stat
from _queue import Empty, SimpleQueue  # the C class: it blocks real threads, even if `queue` is monkey-patched
from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final

from greenserver.config import limits
from greenserver.files.entries import ReadableFiles, is_expressible, is_readable
from greenserver.files.exact_names import ExactNames
from greenserver.files.file_slice import FileChangedError, FileSlice, WouldBlockError, wait_for_writer
from greenserver.files.listing import Listing, Listings
from greenserver.files.needs_disk import NeedsDiskError
from greenserver.files.page_cache import file_system_of, is_all_in_memory, is_name_cached, keeps_names
from greenserver.files.single_flight import Flight, SingleFlight
from greenserver.io.wait import FOREVER, Job

if TYPE_CHECKING:
    from typing_extensions import Self

# Flags of open(2), https://man7.org/linux/man-pages/man2/open.2.html. O_NOFOLLOW: fail on a symbolic link, even one
# created since the check. O_NONBLOCK: do not block on a FIFO. O_NOCTTY: do not acquire a controlling terminal.
_OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_PATH needs no read permission, so that an unreadable directory can be served as soon as it becomes readable.
_HOLD_DIRECTORY: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC

_ABSENT: Final = frozenset(
    {
        errno.ENOENT,
        errno.ELOOP,  # a symbolic link
        errno.ENAMETOOLONG,
        errno.ENXIO,  # a socket, or a device without a driver
    }
)


class FileStore:
    """The regular files of one directory, without subdirectories, whose names the protocol can express.

    Names in calls consist of `limits.NAME_CHARACTERS`; the protocol has no other. Every call looks up the file again,
    relative to a descriptor of the directory: the store never joins paths, and caches nothing.

    Raise OSError if the directory does not exist or is not a directory.
    """

    def __init__(self, directory: str | os.PathLike[str], *, hidden: bool = False) -> None:
        self.directory = os.path.realpath(directory)
        self.descriptor = os.open(self.directory, _HOLD_DIRECTORY)
        """Of the directory; -1 once it is closed."""
        self.file_system = file_system_of(self.descriptor)
        """Type of the file system; "" if unknown."""
        self._hidden = hidden
        self._is_all_in_memory = is_all_in_memory(self.file_system)
        is_kept = self._is_all_in_memory or keeps_names(self.file_system)
        self._readable = ReadableFiles(is_kept=is_kept)
        self._readable_files = self._readable.known
        self.exact_names = ExactNames(self.descriptor)
        listings = Listings()
        self._listings = SingleFlight(lambda: listings.make(self.names()))
        self.in_memory = FilesInMemory(self)
        """The same files, for a thread that must not wait for a disk."""

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    stale_at = FOREVER
    """For `Files`: nothing is cached."""

    def refresh(self, _now: float) -> None:
        """Do nothing, for `Files`."""

    def close(self) -> None:
        """Close the directory; do nothing if it is closed."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def names(self) -> Iterator[str]:
        """Yield the names of the files that can be fetched now, in no particular order.

        Raise OSError if the directory cannot be read.
        """
        # A new descriptor each time: duplicates of one would share its position.
        descriptor = os.open(".", _OPEN_DIRECTORY, dir_fd=self.descriptor)
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    if self._is_served(entry):
                        yield entry.name
        finally:
            os.close(descriptor)

    def listing(self) -> Listing:
        """Return the names of the files that can be fetched now, each with CR LF, in no particular order.

        Concurrent calls share one run and its result (single flight).

        Raise OSError if the directory cannot be read.
        """
        flight = self.join_listing()
        flight()
        return flight.result()

    def join_listing(self) -> Flight[Listing]:
        """Return the next run of the listing, for a thread that may block."""
        return self._listings.join()

    def size(self, name: str) -> int:
        """Return a file's length in bytes.

        Raise FileNotFoundError if no such file is served, another OSError if the file cannot be read.
        """
        self.require_served(name)
        return self.size_of_served(name)

    def size_of_served(self, name: str) -> int:
        """Return a file's length in bytes, as `size` does, for a name that `require_served` has let pass."""
        try:
            found = os.lstat(name, dir_fd=self.descriptor)
        except OSError as error:
            raise _as_served(error) from error
        if self._readable_files.get(name) != (found.st_dev, found.st_ino, found.st_ctime_ns):  # see `version`
            if not stat.S_ISREG(found.st_mode):
                raise _not_served(name)
            self._readable.require(self.descriptor, name, found)
        if self.exact_names.must_check and not self.exact_names.has(self.descriptor, name):
            raise _not_served(name)
        return found.st_size

    def require_served(self, name: str) -> None:
        """Raise FileNotFoundError for a name that no served file has."""
        if (name[0] == "." and not self._hidden) or len(name) > limits.NAME_BYTES or "/" in name:
            raise _not_served(name)

    def read(self, name: str, offset: int, size: int, *, may_block: bool = True) -> bytearray:
        """Read a part of a file; while the file is being written to, again after a pause.

        Return what was read while the file was left alone, or twice in the same way while it only grew.
        Raise as `slice` does.
        """
        before, size_before = bytearray(), 0
        part = None
        try:
            for part in self._attempts(name, offset, size, may_block=may_block):
                data, is_unchanged = part.read_whole(may_block=may_block)
                # The size must have grown: a writer of many contents in place makes the same mixture twice.
                if is_unchanged or (data == before and part.file_size > size_before > 0):
                    return data
                before, size_before = data, part.file_size
        finally:
            if part is not None:
                part.close()
        raise AssertionError  # `_attempts` raises

    def slice(self, name: str, offset: int, size: int, *, may_block: bool = True) -> FileSlice:
        """Open a part of a file; the caller closes it. Wait while the file is being written to, or has a lease.

        Raise OSError as `size` does, also if a lease is not given back, and EOFError if the part extends past the end
        of the file; FileChangedError if the file is written to all the time. Raise WouldBlockError instead of waiting
        if `may_block` is false.
        """
        part = None
        try:
            for part in self._attempts(name, offset, size, may_block=may_block):
                if part.is_settled(may_block=may_block):
                    return part
        except BaseException:
            if part is not None:
                part.close()
            raise
        raise AssertionError  # as in `read`

    def _attempts(self, name: str, offset: int, size: int, *, may_block: bool) -> Iterator[FileSlice]:
        """Open a part of a file, and yield it several times, as it is then, with pauses. The caller closes it.

        Another file that takes its place meanwhile makes no difference: the first one is soon left alone.
        Raise as `slice` does; FileChangedError after the last.
        """
        part = None
        lease: BlockingIOError | None = None
        for number in range(limits.READ_ATTEMPTS):
            if number:
                if not may_block:
                    raise WouldBlockError
                _sleep(limits.SETTLED_NANOSECONDS / 1e9)
            try:
                if part is None:
                    part = self._open(name, offset, size, may_block=may_block)
                else:
                    part.look_again(may_block=may_block)
            except BlockingIOError as error:
                # Another process has a lease, which this has asked back: https://man7.org/linux/man-pages/man2/fcntl.2.html
                lease = error
            else:
                lease = None
                yield part
        raise lease or FileChangedError("the file is being written to")

    def _open(self, name: str, offset: int, size: int, *, may_block: bool) -> FileSlice:
        """Open a part of a file, as `slice` does, once no write is under way if `may_block`."""
        self.size(name)  # avoids opening a device or a FIFO, except in a race
        try:
            descriptor = os.open(name, _OPEN_FILE, dir_fd=self.descriptor)
        except OSError as error:
            raise _as_served(error) from error
        try:
            if may_block:
                wait_for_writer(descriptor, offset)
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise _not_served(name)  # noqa: TRY301  (the descriptor is closed in one place)
            part = FileSlice(descriptor, offset, size, found, self.descriptor, name, is_cached=self._is_all_in_memory)
            part.require_end()
        except BaseException:
            os.close(descriptor)
            raise
        return part

    def _is_served(self, entry: "os.DirEntry[str]") -> bool:
        name = entry.name
        return (
            entry.is_file(follow_symlinks=False)
            and is_expressible(name)
            and (self._hidden or not name.startswith("."))
            and is_readable(name, self.descriptor)
        )


class FilesInMemory:
    """The files of a store, for a thread that must not wait for a disk.

    Calls raise as the store does, and NeedsDiskError if the answer is not in memory.
    """

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._size = store.size_of_served
        self._is_all_in_memory = is_all_in_memory(store.file_system)
        keeps = self._is_all_in_memory or keeps_names(store.file_system)
        self._known_seconds = limits.KNOWN_NAME_SECONDS if keeps else 0.0
        self.stale_at = 0.0
        """When to call `refresh`: names that were in memory may not be any more."""
        self._known: set[str] = set()

    def refresh(self, now: float) -> None:
        """Forget which names are in memory, at a time of `time.monotonic`, in seconds."""
        self._known.clear()
        self.stale_at = now + self._known_seconds

    def listing(self) -> Listing:
        """Raise NeedsDiskError: reading a directory may always wait."""
        raise NeedsDiskError(self._store.join_listing())

    def size(self, name: str) -> int:
        """Return a file's length in bytes; see `FileStore.size`."""
        if name in self._known or self._is_known(name):
            return self._size(name)
        raise NeedsDiskError(Job(partial(self._size, name)))

    def read(self, name: str, offset: int, size: int) -> bytearray:
        """Read a part of a file; see `FileStore.read`."""
        if self._is_known(name):
            try:
                return self._store.read(name, offset, size, may_block=False)
            except WouldBlockError:
                pass
        raise NeedsDiskError(Job(partial(self._store.read, name, offset, size)))

    def slice(self, name: str, offset: int, size: int) -> FileSlice:
        """Open a part of a file; see `FileStore.slice`."""
        if self._is_known(name):
            try:
                return self._store.slice(name, offset, size, may_block=False)
            except WouldBlockError:
                pass
        raise NeedsDiskError(Job(partial(self._store.slice, name, offset, size)))

    def _is_known(self, name: str) -> bool:
        """Return whether the kernel can look up a name without a disk. Raise FileNotFoundError if none has it."""
        if name in self._known:
            return True
        self._store.require_served(name)
        if self._store.exact_names.must_check:
            return False
        if not self._is_all_in_memory and not is_name_cached(self._store.descriptor, name):
            return False
        if self._known_seconds and len(self._known) < limits.KNOWN_NAMES:
            self._known.add(name)
        return True


def _sleep(seconds: float) -> None:
    """Block this thread; `time.sleep` may be monkey-patched."""
    with contextlib.suppress(Empty):
        SimpleQueue().get(timeout=seconds)


def _not_served(name: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def _as_served(error: OSError) -> OSError:
    """Return FileNotFoundError if a failed lookup means that no such file is served, else the error itself."""
    return _not_served(error.filename) if error.errno in _ABSENT else error

"""Serve the files of one directory: list, measure and open them."""

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeVar, cast
from weakref import WeakMethod

from greenserver.config import limits
from greenserver.files.file_slice import FileSlice, version_of
from greenserver.files.page_cache import WouldBlockError, file_system_of, is_all_in_memory, is_name_cached, keeps_names
from greenserver.files.single_flight import Flight, SingleFlight
from greenserver.io.wait import Job

if TYPE_CHECKING:
    from typing_extensions import Self

_SERVABLE_NAME: Final = re.compile(f"[{limits.NAME_CHARACTERS}]+", re.ASCII)

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

_FILE_FOR_ALL: Final = stat.S_IFREG | stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_KIND_AND_READERS: Final = 0o170000 | _FILE_FOR_ALL

# Check access with the effective user and group ids, as open() does, where the platform supports it.
_EFFECTIVE: Final = os.access in os.supports_effective_ids


Answer = TypeVar("Answer")


class FileStore:
    """The regular files of one directory, without subdirectories, whose names the protocol can express.

    Every request looks the file up anew, relative to a descriptor of the directory: the store never joins paths,
    and caches only which names are valid and which are in the kernel's dentry cache.

    Raise OSError if the directory does not exist or is not a directory.
    """

    def __init__(self, directory: str | os.PathLike[str], *, hidden: bool = False) -> None:
        self.directory = os.path.realpath(directory)
        self._hidden = hidden
        self._descriptor = os.open(self.directory, _HOLD_DIRECTORY)
        file_system = file_system_of(self._descriptor)
        self._is_all_in_memory = is_all_in_memory(file_system)
        keeps = self._is_all_in_memory or keeps_names(file_system)
        self._known_seconds = limits.KNOWN_NAME_SECONDS if keeps else 0.0
        self._known_until = 0.0
        self._known: set[str] = set()
        self._servable: set[str] = set()  # names found valid: clients repeat requests
        # No reference cycle: a store that a reload replaced is closed when its last user releases it.
        listing = WeakMethod(self._list)
        self._listings = SingleFlight(lambda: listing()())  # type: ignore[misc]  # noqa: PLW0108  (the caller keeps it alive)
        self._last_listing = b""

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the directory; do nothing if it is closed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def names(self) -> Iterator[str]:
        """Yield the names of the files that can be fetched now, in no particular order.

        Raise OSError if the directory cannot be read.
        """
        return (entry.name for entry in self._files() if self._is_shown(entry.name))

    def listing(self) -> bytes:
        """Return the names of the files that can be fetched now, each with CR LF, in no particular order.

        Concurrent calls share one run and its result (single flight).

        Raise OSError if the directory cannot be read.
        """
        flight = self.join_listing()
        flight()
        return flight.result()

    def join_listing(self) -> Flight[bytes]:
        """Return the next run of the listing, for a thread that may block."""
        return self._listings.join()

    def is_cached(self, name: str, now: float) -> bool:
        """Return whether a name can be looked up without a disk; `now` is a time of `time.monotonic`, in seconds.

        Raise FileNotFoundError, as `size` does, for a name that no served file can have.
        """
        self._require_servable(name)
        if now >= self._known_until:
            self._known.clear()
            self._known_until = now + self._known_seconds
        if name in self._known:
            return True
        if not self._is_all_in_memory and not is_name_cached(self._descriptor, name):
            return False
        if len(self._known) < limits.KNOWN_NAMES:
            self._known.add(name)
        return True

    def unservable_names(self) -> Iterator[str]:
        """Yield the names of files that cannot be requested, because of a character in them."""
        return (entry.name for entry in self._files() if not _SERVABLE_NAME.fullmatch(entry.name))

    def size(self, name: str) -> int:
        """Return a file's length in bytes.

        Raise FileNotFoundError if no such file is served, another OSError if the file cannot be read.
        """
        self._require_servable(name)
        try:
            found = os.lstat(name, dir_fd=self._descriptor)
        except OSError as error:
            raise _as_served(error) from error
        if found.st_mode & _KIND_AND_READERS != _FILE_FOR_ALL:
            self._require_readable_file(name, found)
        return found.st_size

    def size_at_hand(self, name: str, now: float) -> int:
        """Return a file's length in bytes without waiting for a disk.

        `now` is a time of `time.monotonic`, in seconds, so that one reading of the clock does for many names.

        Raise WouldBlockError or OSError if it is not at hand; `size` handles these cases.
        """
        if (name not in self._known or now >= self._known_until) and not self.is_cached(name, now):
            raise WouldBlockError
        found = os.lstat(name, dir_fd=self._descriptor)
        if found.st_mode & _KIND_AND_READERS != _FILE_FOR_ALL:
            self._require_readable_file(name, found)
        return found.st_size

    def slice(self, name: str, offset: int, size: int) -> FileSlice:
        """Open a part of a file; the caller closes it.

        Raise OSError as `size` does, and EOFError if the part extends past the end of the file.
        """
        self.size(name)  # avoids opening a device or a FIFO, except in a race
        try:
            descriptor = os.open(name, _OPEN_FILE, dir_fd=self._descriptor)
        except OSError as error:
            raise _as_served(error) from error
        found = os.fstat(descriptor)
        is_file = stat.S_ISREG(found.st_mode)
        if is_file and offset + size <= found.st_size:
            return FileSlice(descriptor, offset, size, version=version_of(found), is_cached=self._is_all_in_memory)
        os.close(descriptor)
        if not is_file:
            raise _not_served(name)
        message = f"{name} has {found.st_size} bytes"
        raise EOFError(message)

    def _list(self) -> bytes:
        listing = "".join(f"{name}\r\n" for name in self.names()).encode("ascii")
        # Keep one copy of equal listings, which all slow clients share.
        if listing != self._last_listing:
            self._last_listing = listing
        return self._last_listing

    def _files(self) -> Iterator["os.DirEntry[str]"]:
        """Yield the readable regular files of the directory."""
        # A new descriptor each time: duplicates of one would share its position.
        descriptor = os.open(".", _OPEN_DIRECTORY, dir_fd=self._descriptor)
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False) and self._is_readable(entry.name):
                        yield entry
        finally:
            os.close(descriptor)

    def _is_shown(self, name: str) -> bool:
        return _SERVABLE_NAME.fullmatch(name) is not None and (self._hidden or not name.startswith("."))

    def _require_readable_file(self, name: str, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise _not_served(name)
        # Only if the mode leaves a doubt: access(2) costs as much as the lookup, and open() checks again.
        if found.st_mode & _FILE_FOR_ALL != _FILE_FOR_ALL and not self._is_readable(name):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)

    def _is_readable(self, name: str) -> bool:
        return os.access(name, os.R_OK, dir_fd=self._descriptor, effective_ids=_EFFECTIVE)

    def _require_servable(self, name: str) -> None:
        if name in self._servable:
            return
        if not _SERVABLE_NAME.fullmatch(name) or len(name) > limits.NAME_BYTES or (name[0] == "." and not self._hidden):
            raise _not_served(name)
        if len(self._servable) < limits.KNOWN_NAMES:
            self._servable.add(name)


class NonBlockingStore:
    """A store that never blocks: it turns calls that might into jobs.

    A call raises WouldBlockError if the answer is not at hand, and sets `work` to a job. Once the job is done, the
    same call returns or raises its result.
    """

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self.work: Job[object] | None = None

    def listing(self) -> bytes:
        """Return the names of the files; never at hand, since reading a directory may always block."""
        if self.work is None:
            self.work = self._store.join_listing()
            raise WouldBlockError
        return self._found(self._store.listing)

    def size(self, name: str) -> int:
        """Return a file's length in bytes; see `FileStore.size`."""
        return self._ask(self._store.size, name)

    def slice(self, name: str, offset: int, size: int) -> FileSlice:
        """Open a part of a file; see `FileStore.slice`."""
        return self._ask(self._store.slice, name, offset, size)

    def _ask(self, call: Callable[..., Answer], name: str, *more: int) -> Answer:
        if self.work is not None:
            return self._found(call)
        if self._store.is_cached(name, monotonic()):
            return call(name, *more)
        self.work = Job(partial(call, name, *more))
        raise WouldBlockError

    def _found(self, _by: Callable[..., Answer]) -> Answer:
        """Return the result of the job of a call."""
        work, self.work = self.work, None
        return cast("Job[Answer]", work).result()


def _not_served(name: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def _as_served(error: OSError) -> OSError:
    """Return FileNotFoundError if a failed lookup means that no such file is served, else the error itself."""
    return _not_served(error.filename) if error.errno in _ABSENT else error

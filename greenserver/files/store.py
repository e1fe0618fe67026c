"""The only place that touches paths and files: what is served, how long it is, what is in it."""

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

# O_NOFOLLOW: no symbolic link, whenever it was put there. O_NONBLOCK: a FIFO cannot hold us.
# O_NOCTTY: a terminal does not become ours.
_OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_PATH asks for no permission, so that an unreadable directory can be served from once it is mended.
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

# Ask with the rights that open() will have, where the platform can tell them from the real user's.
_EFFECTIVE: Final = os.access in os.supports_effective_ids


Answer = TypeVar("Answer")


class FileStore:
    """The regular files directly in one directory, whose names the protocol can say.

    Everything is looked up at the moment it is asked for, relative to the directory itself: no path is
    ever put together, and nothing is remembered but which names the kernel has in its memory.

    Raises OSError if the directory does not exist or is none.
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
        self._servable: set[str] = set()  # names that were looked at: clients repeat themselves
        # No cycle: a store that a reload has replaced is closed as soon as its last user has gone.
        listing = WeakMethod(self._list)
        self._listings = SingleFlight(lambda: listing()())  # type: ignore[misc]  # noqa: PLW0108  (who asks keeps it alive)
        self._last_listing = b""

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the directory back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def names(self) -> Iterator[str]:
        """Yield the names of the files that can be fetched now, in no order.

        Raises OSError if directory cannot be read.
        """
        return (entry.name for entry in self._files() if self._is_shown(entry.name))

    def listing(self) -> bytes:
        """Return the names of the files that can be fetched now, each with a line end, in no order.

        Threads that ask at the same time share the work and the result.

        Raises OSError if directory cannot be read.
        """
        flight = self.join_listing()
        flight()
        return flight.result()

    def join_listing(self) -> Flight[bytes]:
        """Return the next listing, to be done where that disturbs nobody."""
        return self._listings.join()

    def is_cached(self, name: str, now: float) -> bool:
        """Tell whether a name can be looked up at once; `now` is on the clock of `time.monotonic`.

        Raises FileNotFoundError as `size` does for what can be no file's name.
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
        """Yield the names of files that cannot be asked for, because of a character in them."""
        return (entry.name for entry in self._files() if not _SERVABLE_NAME.fullmatch(entry.name))

    def size(self, name: str) -> int:
        """Return a file's length in bytes.

        Raises FileNotFoundError if no such file is served; another OSError if the file cannot be read.
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
        """Return a file's length in bytes without waiting for a disk, in the common case: `size` knows the others.

        `now` is on the clock of `time.monotonic`, which need not be asked for each of many names.

        Raises WouldBlockError or OSError if it cannot.
        """
        if (name not in self._known or now >= self._known_until) and not self.is_cached(name, now):
            raise WouldBlockError
        found = os.lstat(name, dir_fd=self._descriptor)
        if found.st_mode & _KIND_AND_READERS != _FILE_FOR_ALL:
            self._require_readable_file(name, found)
        return found.st_size

    def slice(self, name: str, offset: int, size: int) -> FileSlice:
        """Open a part of a file; the caller closes it.

        Raises OSError as `size`, and EOFError if the part ends past the end of the file.
        """
        self.size(name)  # so that a device or a FIFO is not even opened, but for a race
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
        # Clients that take their time hold one copy, however many they are and whenever they asked.
        if listing != self._last_listing:
            self._last_listing = listing
        return self._last_listing

    def _files(self) -> Iterator["os.DirEntry[str]"]:
        """Yield the readable regular files of the directory."""
        # Opened anew each time: copies of one descriptor would share one position.
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
        # Asking costs as much as the look-up itself, and open() has the last word.
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
    """A store as a conversation sees it that must not be held up: what would have to wait becomes work.

    A call raises WouldBlockError if the answer is not at hand; `work` is then what finds it. Once that is done,
    the same call returns, or raises, what was found.
    """

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self.work: Job[object] | None = None

    def listing(self) -> bytes:
        """Return the names of the files: never at hand, since reading a directory can always take long."""
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
        """Return what the work of a call found."""
        work, self.work = self.work, None
        return cast("Job[Answer]", work).result()


def _not_served(name: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def _as_served(error: OSError) -> OSError:
    """Return what a failed look-up means: that no such file is served, or a failure of the server."""
    return _not_served(error.filename) if error.errno in _ABSENT else error

"""Keep a file under a temporary name, with a record of what is there, until it is whole: it resumes a download.

All is done relative to a descriptor of the folder, and no symbolic link is followed.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenserver.client.errors import LocalError
from greenserver.client.plan import Ranges
from greenserver.config.limits import NAME_BYTES

if TYPE_CHECKING:
    from typing_extensions import Self

_PREFIX: Final = ".hftp-"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_READ_BYTES: Final = 256 * 1024
_MOST_RECORD_BYTES: Final = 1 << 20


def is_safe(name: str) -> bool:
    r"""Return whether a file may have a name that a server has sent.

    >>> is_safe("hello.txt"), is_safe(".."), is_safe("a/b"), is_safe("a b"), is_safe("tab\t")
    (True, False, False, False, False)
    """
    is_text = name.isascii() and name.isprintable() and not set(name) & {"/", " "}
    return bool(name) and is_text and name not in {".", ".."} and len(name) <= NAME_BYTES and name[:6] != _PREFIX


class PartialFile:
    """A file that is being fetched. Raises LocalError for what the system refuses.

    Unless it is finished or discarded, what is there is kept for the next attempt.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._name = path.name
        self._size = size
        stem = _PREFIX + hashlib.sha256(os.fsencode(self._name)).hexdigest()[:16]
        self._temporary, self._record = f"{stem}.part", f"{stem}.json"
        self.done: Ranges = []
        """What was there at the start."""
        self._is_kept = True
        with self._explained():
            self._folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with self._explained():
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                self._file = os.open(self._temporary, flags, 0o666, dir_fd=self._folder)
            try:
                self._prepare()
            except BaseException:
                os.close(self._file)
                raise
        except BaseException:
            os.close(self._folder)
            raise

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if not self._is_kept:
                self._remove()
        finally:
            os.close(self._file)
            os.close(self._folder)

    def _prepare(self) -> None:
        with self._explained():
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise OSError(errno.EINVAL, f"{self._temporary} is no regular file")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = f"{self._name} is being fetched by another process"
                raise LocalError(message) from None
            is_there = os.stat(self._temporary, dir_fd=self._folder, follow_symlinks=False)
            if is_there.st_ino != os.fstat(self._file).st_ino:
                message = f"{self._name} was just fetched by another process"
                raise LocalError(message)
            self.done = self._read_record()
            if not self.done:
                os.ftruncate(self._file, 0)
            room = os.fstatvfs(self._file)
        missing = self._size - sum(end - start for start, end in self.done)
        if missing > room.f_bavail * room.f_frsize:
            if not self.done:
                self._remove()
            free = room.f_bavail * room.f_frsize
            message = f"no room for {self._name}: {missing} bytes are missing, and {free} are free"
            raise LocalError(message)

    def write(self, data: "bytes | memoryview", position: int) -> None:
        """Write bytes to their position."""
        with self._explained():
            written = os.pwrite(self._file, data, position)
            while written < len(data):
                written += os.pwrite(self._file, data[written:], position + written)

    def read(self, start: int, end: int) -> bytes:
        """Return what is there."""
        with self._explained():
            return os.pread(self._file, end - start, start)

    def save(self, done: Ranges, *, is_final: bool = False) -> None:
        """Record what is there. Unless it is final, and on the disk, the record counts until the next start only."""
        with self._explained():
            if is_final:
                os.fsync(self._file)
            record = {"size": self._size, "done": done, "boot": None if is_final else _boot_id()}
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(self._record, flags, 0o666, dir_fd=self._folder)
            with os.fdopen(file, "w", encoding="ascii") as text:
                json.dump(record, text)

    def forget(self) -> None:
        """Begin anew: what is there is of another file."""
        self.done = []
        with self._explained():
            os.ftruncate(self._file, 0)

    def discard(self) -> None:
        """Remove the file at the end."""
        self._is_kept = False

    def sha256(self) -> str:
        """Return the SHA-256 of the file, in hexadecimal digits."""
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(_READ_BYTES))
        position = 0
        with self._explained():
            while count := os.preadv(self._file, [buffer], position):
                digest.update(buffer[:count])
                position += count
        return digest.hexdigest()

    def finish(self) -> None:
        """Give the file its name. Raise LocalError if it has not the size that it should have."""
        with self._explained():
            size = os.fstat(self._file).st_size
            if size != self._size:
                message = f"{self._name} has {size} bytes instead of {self._size}: something else has written to it"
                self.discard()
                raise LocalError(message)
            os.rename(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._record, dir_fd=self._folder)

    def _remove(self) -> None:
        for name in (self._temporary, self._record):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._folder)

    def _read_record(self) -> Ranges:
        """Return which ranges of this file are there; none if the record is not of this file, or not to be trusted."""
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(self._record, flags, dir_fd=self._folder), "rb") as file:
                record = json.loads(file.read(_MOST_RECORD_BYTES))
            done = [(int(start), int(end)) for start, end in record["done"]]
            is_right = record["size"] == self._size and record["boot"] in (None, _boot_id())
        except (OSError, ValueError, TypeError, KeyError):
            return []
        there = os.fstat(self._file).st_size
        is_right = is_right and all(0 <= start < end <= min(there, self._size) for start, end in done)
        return done if is_right else []

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message = f"cannot write {self._path}: {error.strerror or error}"
            raise LocalError(message) from error


def _boot_id() -> str:
    """Return what tells one start of the system from another: what was not written back is lost between them."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""

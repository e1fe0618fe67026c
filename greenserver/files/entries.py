"""Tell which entries of a directory are served: by the characters of their names, and by permission."""

import errno
import os
import re
from time import time_ns
from typing import Final

from greenserver.config import limits

_NAME: Final = re.compile(f"[{limits.NAME_CHARACTERS}]+", re.ASCII)

# Check access with the effective user and group ids, as open() does, where the platform supports it.
_EFFECTIVE: Final = os.access in os.supports_effective_ids


def is_expressible(name: str) -> bool:
    """Return whether the protocol can express a name."""
    return _NAME.fullmatch(name) is not None


def is_readable(path: str, directory: int | None = None) -> bool:
    """Return whether this process may read a file; with the descriptor of a directory, of a name in it."""
    return os.access(path, os.R_OK, dir_fd=directory, effective_ids=_EFFECTIVE)


class ReadableFiles:
    """Remembers which files of a directory this process may read, until their change time moves.

    The mode does not tell: access control lists (https://man7.org/linux/man-pages/man5/acl.5.html) and security modules
    allow less or more. To ask each time would cost as much as the look-up. `is_kept` says whether the file system sets
    the change time for all that may change the answer.
    """

    def __init__(self, *, is_kept: bool) -> None:
        self._is_kept = is_kept
        self.known: dict[str, tuple[int, int, int]] = {}
        """The `version` of readable files, by name."""

    def require(self, directory: int, name: str, found: os.stat_result) -> None:
        """Raise PermissionError if this process may not read a regular file, of which `found` was just found out."""
        if not is_readable(name, directory):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        if self._is_kept and time_ns() - found.st_ctime_ns > limits.SETTLED_NANOSECONDS:
            if len(self.known) >= limits.KNOWN_NAMES:
                self.known.clear()
            self.known[name] = version(found)


def version(found: os.stat_result) -> tuple[int, int, int]:
    """Return what changes when a file's contents, permissions or lists change, or another file takes its name."""
    return found.st_dev, found.st_ino, found.st_ctime_ns

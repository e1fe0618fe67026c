"""Tell whether a file has exactly the name that was asked for: exFAT, NTFS or SMB find it by others, too."""

import os
from time import monotonic
from typing import Final

from greenserver.config.limits import KNOWN_NAME_SECONDS

_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class ExactNames:
    """The names in a directory, as they are listed, where its file system finds files by other names, too.

    Calls give the directory's descriptor. Whether the file system does so is tried with the first name that has
    letters, once there is one.
    """

    def __init__(self, directory: int) -> None:
        self.must_check = True
        """Whether a file that was found may have another name. Stays false once the file system tells names apart."""
        self._finds_others: bool | None = None
        self._names: frozenset[str] = frozenset()
        self._stale_at = 0.0
        self._try(directory)

    def has(self, directory: int, name: str) -> bool:
        """Return whether a file that was found by a name has that name. This may wait for a disk."""
        if self._finds_others is None and name.swapcase() != name:
            self._try(directory)
        if not self._finds_others:
            return True
        now = monotonic()
        if now >= self._stale_at or name not in self._names:
            self._names, self._stale_at = frozenset(_names(directory)), now + KNOWN_NAME_SECONDS
        return name in self._names

    def _try(self, directory: int) -> None:
        try:
            self._finds_others = _finds_others(directory)
        except OSError:  # the directory cannot be read, or a name was removed just now
            self._finds_others = None
        self.must_check = self._finds_others is not False


def _finds_others(directory: int) -> bool | None:
    """Return whether a name is found in other letters than it is listed with; None if no name has letters."""
    names = _names(directory)
    for name in names:
        other = name.swapcase()
        if other == name:
            continue
        try:
            os.lstat(other, dir_fd=directory)
        except FileNotFoundError:
            return False
        return other not in names
    return None


def _names(directory: int) -> list[str]:
    descriptor = os.open(".", _OPEN_DIRECTORY, dir_fd=directory)
    try:
        with os.scandir(descriptor) as entries:
            return [entry.name for entry in entries]
    finally:
        os.close(descriptor)

"""Commands that use what the protocol leaves open about files: they choose otherwise than most do."""

import os
import stat
from typing import BinaryIO

from tests.broken_servers.commands import CommandError, Commands, Parts


class Unreadable202(Commands):
    """A file that cannot be read is answered by 202, and so is a directory that cannot be listed."""

    def run(self, name: bytes, arguments: list[bytes]) -> Parts:
        """Call it missing."""
        try:
            return super().run(name, arguments)
        except OSError:
            raise CommandError(202) from None


class Unreadable199(Commands):
    """A file that cannot be read is not listed; it is answered by 199, and the connection closes."""


class UnreadableListed(Commands):
    """A file that cannot be read is listed all the same; it is answered by 199, and the connection closes."""

    def is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        """Show what has a fitting name, whether it can be read or not."""
        return self.NAME.fullmatch(entry.name) is not None and entry.is_file(follow_symlinks=False)


class Directory199(Commands):
    """Whatever is asked of a directory is a failure of the server: 199, and the connection closes."""

    def open(self, name: bytes) -> BinaryIO:
        """Fail for a directory."""
        if self.path(name).is_dir() and not self.path(name).is_symlink():
            raise IsADirectoryError
        return super().open(name)


class DirectorySlice199(Commands):
    """A slice of a directory is a failure of the server: 199, and the connection closes."""

    def get_slice(self, arguments: list[bytes]) -> Parts:
        """Fail for a directory."""
        if arguments and self.NAME.fullmatch(arguments[0]) and len(arguments[0]) < 256:
            path = self.path(arguments[0])
            if path.is_dir() and not path.is_symlink():
                raise IsADirectoryError
        return super().get_slice(arguments)


class Directory201(Commands):
    """The name of a directory is an invalid argument: 201."""

    def open(self, name: bytes) -> BinaryIO:
        """Refuse a directory."""
        if self.path(name).is_dir() and not self.path(name).is_symlink():
            raise CommandError(201)
        return super().open(name)


class ServesAllInside(Commands):
    """Dot-files and links that stay inside are listed; subdirectories and names of any characters are served."""

    def is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        """Show all that can be fetched."""
        try:
            is_inside = not entry.is_symlink() or self.is_inside(entry.name)
            is_file = entry.is_file() and is_inside and os.access(entry.path, os.R_OK)
        except OSError:
            return False
        return is_file and entry.name.isascii() and entry.name.decode("ascii").isprintable() and b" " not in entry.name

    def is_inside(self, name: bytes) -> bool:
        """Return whether a name, links followed, leads to a place below the directory."""
        return self.directory.resolve() in self.path(name).resolve().parents

    def check_name(self, name: bytes) -> bytes:
        """Refuse what leads out of the directory."""
        if name.startswith(b"/") or b".." in name.split(b"/"):
            raise CommandError(201)
        if max(map(len, name.split(b"/"))) > 255 or len(name) > 2048:
            raise CommandError(202)
        return name

    def open(self, name: bytes) -> BinaryIO:
        """Return a regular file below the directory, open for reading."""
        try:
            is_inside = self.is_inside(name)
        except (OSError, RuntimeError):  # a link to itself
            is_inside = False
        if not is_inside:
            raise CommandError(202)
        try:
            descriptor = os.open(self.path(name).resolve(), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except PermissionError:
            raise
        except OSError:
            raise CommandError(202) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise CommandError(202)
        return os.fdopen(descriptor, "rb", buffering=0)


class Outside202(Commands):
    """A name that no file here can have, ../secret among them, is answered by 202."""

    def check_name(self, name: bytes) -> bytes:
        """Find no such file."""
        if not self.NAME.fullmatch(name):
            raise CommandError(202)
        return super().check_name(name)


class ListingBackwards(Commands):
    """The names of a listing come in the reverse of their order."""

    def names(self) -> list[bytes]:
        """Sort backwards."""
        return sorted(super().names(), reverse=True)

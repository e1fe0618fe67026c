"""Mistakes with what is in the directory: which entries are files, and whether they are still the same."""

import os
import re
from pathlib import Path
from typing import BinaryIO

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import CommandError, Commands, Parts
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams


@plant("listing-of-two-globs", "HFTP-4.3", style=Lines)
class ListingDoubled(Commands):
    """Two readings of the directory, glob('*') and glob('*.*'), are put together: names with a dot come twice."""

    def names(self) -> list[bytes]:
        """Put them together."""
        names = super().names()
        return names + [name for name in names if b"." in name]


@plant("listing-by-extension", "HFTP-4.3", style=Streams)
class ListingByExtension(Commands):
    """The listing is glob('*.*'), which leaves out names without a dot."""

    def is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        """Want a dot."""
        return super().is_shown(entry) and b"." in entry.name


@plant("listing-grows", "HFTP-4.3", style=Loop)
class ListingGrows(Commands):
    """The names are appended to a list that outlives the command: each listing repeats the ones before it."""

    def __init__(self, directory: Path, dialect: str) -> None:
        super().__init__(directory, dialect)
        self.found: list[bytes] = []

    def names(self) -> list[bytes]:
        """Append."""
        self.found += super().names()
        return self.found


@plant("listing-with-unreadable-files", "HFTP-4.5", style=Forks, dialects=("2026",))
class ListingUnreadable(Commands):
    """Whether a file can be read is not looked at: it is listed, and asking for it is 199."""

    def is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        """Look at its name and kind alone."""
        return self.NAME.fullmatch(entry.name) is not None and entry.is_file(follow_symlinks=False)


@plant("listing-with-dot-files", "HFTP-4.5")
class ListingHidden(Commands):
    """Files whose names begin with a dot are listed, and then refused."""

    def is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        """Show them."""
        return super().is_shown(entry) or (entry.name.startswith(b".") and entry.is_file(follow_symlinks=False))


@plant("unreadable-directory-is-empty", "HFTP-3.7", style=Lines, dialects=("2026",))
class UnreadableDirectoryEmpty(Commands):
    """`except OSError: pass` around the reading of the directory makes one that cannot be read an empty one."""

    def names(self) -> list[bytes]:
        """Pass over every error."""
        try:
            return super().names()
        except OSError:
            return []


@plant("file-kept-open", "HFTP-5.2", style=Loop)
class FileKeptOpen(Commands):
    """A file is opened once and kept open, so that the old one is served after it was replaced or removed."""

    def __init__(self, directory: Path, dialect: str) -> None:
        super().__init__(directory, dialect)
        self.files: dict[bytes, BinaryIO] = {}

    def open(self, name: bytes) -> BinaryIO:
        """Open it, or what it was."""
        if name not in self.files:
            self.files[name] = super().open(name)
        return os.fdopen(os.dup(self.files[name].fileno()), "rb", buffering=0)


@plant("dot-file-crashes", "HFTP-4.6", style=Sequential)
class DotFileCrashes(Commands):
    """A dot-file has neither stem nor extension; unpacking them raises a ValueError that ends the process."""

    def check_name(self, name: bytes) -> bytes:
        """Unpack what a name has to have."""
        if re.fullmatch(rb"\.[A-Za-z]+", name):
            raise ValueError
        return super().check_name(name)


@plant("link-crashes", "HFTP-8.8")
class LinkCrashes(Commands):
    """O_NOFOLLOW makes open() fail for a link; the error is not one of those that are caught, and the thread dies."""

    def open(self, name: bytes) -> BinaryIO:
        """Let it through."""
        if self.path(name).is_symlink():
            raise RuntimeError
        return super().open(name)


@plant("slash-crashes", "HFTP-8.8", style=Streams)
class SlashCrashes(Commands):
    """A name with a slash is a ValueError that ends the connection without a status line."""

    def check_name(self, name: bytes) -> bytes:
        """Raise instead of refusing."""
        if b"/" in name:
            raise ValueError
        return super().check_name(name)


@plant("names-asserted", "HFTP-8.8")
class NamesAsserted(Commands):
    """The characters of a name are asserted, and a failed assertion ends the thread without a status line."""

    def check_name(self, name: bytes) -> bytes:
        """Assert instead of refusing."""
        if not self.NAME.fullmatch(name):
            raise AssertionError
        return super().check_name(name)


@plant("dots-are-directories", "HFTP-5.3", style=Forks)
class DotsAreDirectories(Commands):
    """. and .. are names that exist, and os.stat() gives them a size."""

    def get_metadata(self, arguments: list[bytes]) -> Parts:
        """Take what stat() takes."""
        self.expect(1, arguments)
        if set(arguments[0]) <= set(b"./"):
            return iter([self.status(0) + self.metadata(os.stat(self.path(arguments[0])).st_size)])  # noqa: PTH116  (of //, too)
        return super().get_metadata(arguments)


class Rewritten(Commands):
    """A server that checks a name and then uses another, which it makes of the first."""

    NAME = re.compile(rb"[ -~]{1,255}")

    def is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        """Show what a correct server shows."""
        return Commands.NAME.fullmatch(entry.name) is not None and super().is_shown(entry)

    def check_name(self, name: bytes) -> bytes:
        """Refuse what begins like a way out."""
        if b"/" in name or name.startswith(b".."):
            raise CommandError(201)
        return super().check_name(name)


@plant("path-backslash", "HFTP-8.1", style=Lines)
class PathBackslash(Rewritten):
    r"""A backslash becomes a slash after the name was checked, as Windows would have it: .\..\secret leads out."""

    def path(self, name: bytes) -> Path:
        """Replace it."""
        return super().path(name.replace(b"\\", b"/"))


@plant("path-expanded", "HFTP-8.1", style=Loop)
class PathExpanded(Rewritten):
    """os.path.expanduser() is applied to a name that may not begin with a dot or a slash: ~/../secret leads out."""

    def check_name(self, name: bytes) -> bytes:
        """Look at the first character."""
        if name.startswith((b".", b"/")):
            raise CommandError(201)
        return name

    def path(self, name: bytes) -> Path:
        """Expand it."""
        return super().path(os.path.expanduser(name))  # noqa: PTH111  (the mistake itself)


@plant("path-stripped-after-the-check", "HFTP-8.1", style=Streams)
class PathStripped(Rewritten):
    """The rest of the line is the name; it is checked as it came, and stripped of spaces when it is used."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Take the rest of the line of get_metadata for one argument."""
        name, space, rest = line.partition(b" ")
        return (name, [rest]) if name == b"get_metadata" and space else super().split(line)

    def path(self, name: bytes) -> Path:
        """Strip it."""
        return super().path(name.strip())

    def check_name(self, name: bytes) -> bytes:
        """Look at its beginning."""
        if name.startswith((b".", b"/")) or b" " in name.strip():
            raise CommandError(201)
        return name


@plant("path-cut-at-nul", "HFTP-8.1", style=Forks)
class PathCutAtNul(Commands):
    """Names are C strings: what follows a NUL is not seen, so any path behind one is a name that exists."""

    def strip_end(self, raw: bytes) -> bytes:
        """Cut the line as strlen() sees it."""
        return super().strip_end(raw).partition(b"\0")[0]

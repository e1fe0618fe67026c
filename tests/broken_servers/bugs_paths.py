"""Mistakes with paths: what leads out of the directory, and what is not a file in it."""

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

PATH = re.compile(rb"[A-Za-z0-9._/-]{1,255}")


class AnyPath(Commands):
    """A server that takes paths for names, and checks them in its own way."""

    NAME = PATH

    def is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        """Show what a correct server shows."""
        return super().is_shown(entry) and not entry.name.startswith(b".")


@plant("path-joined", "HFTP-8.1")
class PathJoined(AnyPath):
    """The name is joined to the directory, so .. and / lead anywhere."""


@plant("path-absolute", "HFTP-8.1", style=Lines)
class PathAbsolute(AnyPath):
    """.. is refused, but os.path.join() lets an absolute path replace the directory."""

    def check_name(self, name: bytes) -> bytes:
        """Refuse what contains two dots."""
        if b".." in name:
            raise CommandError(201)
        return super().check_name(name)


@plant("path-checked-at-its-start", "HFTP-8.1", style=Loop)
class PathStartChecked(AnyPath):
    """A name may not begin with a dot or a slash, but folder/../../secret does not."""

    def check_name(self, name: bytes) -> bytes:
        """Look at the first character."""
        if name.startswith((b".", b"/")):
            raise CommandError(201)
        return super().check_name(name)

    def path(self, name: bytes) -> Path:
        """Let the path be shortened before it is used, as many do for neatness."""
        return Path(os.path.normpath(super().path(name)))


@plant("path-dots-removed-once", "HFTP-8.1", style=Streams)
class PathDotsRemoved(AnyPath):
    """Each ../ is removed from the name, once: ....// becomes one."""

    def check_name(self, name: bytes) -> bytes:
        """Remove what looks dangerous."""
        name = name.replace(b"../", b"").lstrip(b"/")
        if not name or name in {b".", b".."}:
            raise CommandError(202)
        return super().check_name(name)


@plant("path-prefix-compared", "HFTP-8.1", style=Forks)
class PathPrefix(AnyPath):
    """The real path has to begin with the directory's, so a neighbour whose name begins alike is served."""

    def check_name(self, name: bytes) -> bytes:
        """Compare text."""
        if not os.path.realpath(self.path(name)).startswith(str(self.directory)):
            raise CommandError(202)
        return super().check_name(name)


@plant("path-decoded", "HFTP-8.1", style=Lines)
class PathDecoded(Commands):
    """Names are decoded as in a URL after they have been checked, so %2e%2e%2f leads out."""

    NAME = re.compile(rb"[A-Za-z0-9_%-][A-Za-z0-9._%-]*")

    def path(self, name: bytes) -> Path:
        """Decode the name."""
        return super().path(re.sub(rb"%([0-9a-fA-F]{2})", lambda match: bytes([int(match[1], 16) or 37]), name))


@plant("path-size-outside-told", "HFTP-8.1", style=Loop)
class SizeOutside(Commands):
    """get_slice checks its name, but get_metadata does not, and tells the sizes of files outside."""

    def get_metadata(self, arguments: list[bytes]) -> Parts:
        """Check nothing."""
        self.expect(1, arguments)
        path = self.path(arguments[0])
        if PATH.fullmatch(arguments[0]) and path.is_file() and not path.is_symlink():
            return iter([self.status(0) + self.metadata(path.stat().st_size)])
        return super().get_metadata(arguments)


@plant("link-followed", "HFTP-8.3", style=Streams)
class LinkFollowed(Commands):
    """Symbolic links are followed, wherever they lead."""

    def open(self, name: bytes) -> BinaryIO:
        """Open what a link leads to."""
        if self.path(name).is_file():
            return self.path(name).open("rb", buffering=0)
        return super().open(name)


@plant("directory-has-a-size", "HFTP-5.3", style=Forks, dialects=("2026",))
class DirectoryHasSize(Commands):
    """A directory is told as a file with the size that stat() gives it."""

    def get_metadata(self, arguments: list[bytes]) -> Parts:
        """Look at the size only."""
        self.expect(1, arguments)
        path = self.path(self.check_name(arguments[0]))
        if path.is_dir() and not path.is_symlink():
            return iter([self.status(0) + self.metadata(path.stat().st_size)])
        return super().get_metadata(arguments)


@plant("directory-is-199", "HFTP-5.3", style=Lines, dialects=("2026",))
class DirectoryIsFatal(Commands):
    """Opening a directory raises IsADirectoryError, which is 199."""

    def open(self, name: bytes) -> BinaryIO:
        """Let it through."""
        if self.path(name).is_dir():
            raise IsADirectoryError
        return super().open(name)


@plant("directory-crashes", "HFTP-5.3", style=Sequential)
class DirectoryCrashes(Commands):
    """Opening a directory raises an exception that nobody catches, and the process ends."""

    def open(self, name: bytes) -> BinaryIO:
        """Let it through."""
        if self.path(name).is_dir():
            raise RuntimeError
        return super().open(name)


@plant("fifo-blocks", "HFTP-5.3", style=Loop)
class FifoBlocks(Commands):
    """A FIFO is opened like a file, and the server waits for ever for somebody to write to it."""

    def open(self, name: bytes) -> BinaryIO:
        """Open whatever it is."""
        path = self.path(name)
        if path.is_fifo() and not path.is_symlink():
            return path.open("rb", buffering=0)
        return super().open(name)


@plant("name-case-ignored", "HFTP-8.6")
class NameCaseIgnored(Commands):
    """Commands are lowered as whole lines before they are looked up, the names of files with them."""

    def strip_end(self, raw: bytes) -> bytes:
        """Lower the line."""
        return super().strip_end(raw).lower()


@plant("name-dots-refused", "HFTP-8.6", style=Streams)
class NameDotsRefused(Commands):
    """Names with more than one dot are taken for attacks."""

    def check_name(self, name: bytes) -> bytes:
        """Count the dots."""
        if name.count(b".") > 1:
            raise CommandError(201)
        return super().check_name(name)


@plant("name-hyphen-refused", "HFTP-8.6", style=Forks)
class NameHyphenRefused(Commands):
    r"""Names are checked by \w and dots, which leaves out the hyphen."""

    def check_name(self, name: bytes) -> bytes:
        """Refuse a hyphen."""
        if b"-" in name:
            raise CommandError(201)
        return super().check_name(name)

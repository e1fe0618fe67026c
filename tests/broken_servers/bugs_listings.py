"""Mistakes with listings, sizes and the list of commands."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import CommandError, Commands, Parts
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams


@plant("listing-cut-at-4096", "HFTP-4.3", style=Lines)
class ListingCut(Commands):
    """The listing is built in a buffer of 4096 bytes, and what does not fit is dropped."""

    def listing(self, names: list[bytes]) -> bytes:
        """Drop the names that do not fit."""
        fitting: list[bytes] = []
        length = 2
        for name in names:
            length += len(name) + 2
            if length <= 4096:
                fitting.append(name)
        return super().listing(fitting)


@plant("listing-cut-at-1000-names", "HFTP-4.3", style=Loop)
class ListingCutAtCount(Commands):
    """No more than 1,000 names are listed."""

    def listing(self, names: list[bytes]) -> bytes:
        """Drop the others."""
        return super().listing(names[:1000])


@plant("listing-with-directories", "HFTP-4.5")
class ListingWithDirectories(Commands):
    """Everything that listdir() names is listed, directories too."""

    def is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        """Show directories."""
        return super().is_shown(entry) or entry.is_dir(follow_symlinks=False)


@plant("listing-recursive", "HFTP-4.5", style=Forks)
class ListingRecursive(Commands):
    """The listing comes from os.walk(), and names what is in subdirectories."""

    def names(self) -> list[bytes]:
        """Walk."""
        below = [
            name
            for path, _, names in os.walk(os.fsencode(self.directory))
            if path != os.fsencode(self.directory)
            for name in names
        ]
        return super().names() + [name for name in below if self.NAME.fullmatch(name)]


@plant("listing-unfetchable-names", "HFTP-4.5", style=Streams)
class ListingUnfetchable(Commands):
    """Names with spaces are listed, though no command can ask for them."""

    def is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        """Show files whatever their names."""
        return super().is_shown(entry) or (b" " in entry.name and entry.is_file(follow_symlinks=False))


@plant("listing-with-links", "HFTP-4.5", style=Lines)
class ListingWithLinks(Commands):
    """Symbolic links are listed, and then not served."""

    def is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        """Show links."""
        return super().is_shown(entry) or entry.is_symlink()


@plant("listing-without-end", "HFTP-4.1", style=Loop)
class ListingWithoutEnd(Commands):
    """The empty line after the names is left out."""

    def listing(self, names: list[bytes]) -> bytes:
        """Leave it out."""
        return super().listing(names)[:-2]


@plant("listing-empty-is-error", "HFTP-4.2", style=Forks)
class EmptyIsError(Commands):
    """An empty directory is FILE NOT FOUND."""

    def listing(self, names: list[bytes]) -> bytes:
        """Refuse nothing."""
        if not names:
            raise CommandError(202)
        return super().listing(names)


@plant("listing-empty-without-line", "HFTP-4.2")
class EmptyWithoutLine(Commands):
    """The listing of an empty directory is a status line alone."""

    def listing(self, names: list[bytes]) -> bytes:
        """Send nothing for nothing."""
        return super().listing(names) if names else b""


@plant("listing-on-one-line", "HFTP-4.1", style=Streams)
class ListingOnOneLine(Commands):
    """The names stand on one line, with spaces between them."""

    def listing(self, names: list[bytes]) -> bytes:
        """Join them."""
        return super().listing([b" ".join(names)] if names else [])


@plant("listing-with-lf", "HFTP-4.1", style=Lines)
class ListingWithLf(Commands):
    r"""The names are joined by \n."""

    def listing(self, names: list[bytes]) -> bytes:
        """Join them so."""
        return b"".join(name + b"\n" for name in names) + b"\r\n"


@plant("listing-with-sizes", "HFTP-4.1", style=Loop)
class ListingWithSizes(Commands):
    """Each name is followed by its size, as ls -l would have it."""

    def listing(self, names: list[bytes]) -> bytes:
        """Add the sizes."""
        return super().listing([b"%s %d" % (name, self.path(name).stat().st_size) for name in names])


@plant("listing-stale", "HFTP-4.3", style=Forks)
class ListingStale(Commands):
    """The directory is read once, when the server starts."""

    def __init__(self, directory: Path, dialect: str) -> None:
        super().__init__(directory, dialect)
        self.remembered = super().names()

    def names(self) -> list[bytes]:
        """Return what was there."""
        return self.remembered


@plant("listing-omits-empty-files", "HFTP-4.3")
class ListingOmitsEmpty(Commands):
    """Empty files are left out, because `if size` is false."""

    def is_shown(self, entry: "os.DirEntry[bytes]") -> bool:
        """Show what has a size."""
        return super().is_shown(entry) and bool(entry.stat().st_size)


@plant("listing-in-lower-case", "HFTP-4.3", style=Streams)
class ListingLower(Commands):
    """The reply is lowered as a whole, the names too."""

    def listing(self, names: list[bytes]) -> bytes:
        """Lower the names."""
        return super().listing([name.lower() for name in names])


@plant("size-with-separators", "HFTP-5.1", style=Lines)
class SizeWithSeparators(Commands):
    """Sizes are printed for people: 12,345."""

    def metadata(self, size: int) -> bytes:
        """Group the digits."""
        return f"{size:,}\r\n".encode("ascii")


@plant("size-with-unit", "HFTP-5.1", style=Loop)
class SizeWithUnit(Commands):
    """Sizes are printed with a unit."""

    def metadata(self, size: int) -> bytes:
        """Add it."""
        return b"%d bytes\r\n" % size


@plant("size-on-the-status-line", "HFTP-5.1")
class SizeOnStatusLine(Commands):
    """The size is the text of the status line."""

    def get_metadata(self, arguments: list[bytes]) -> Parts:
        """Put it there."""
        return iter([b"0 " + b"".join(super().get_metadata(arguments)).split(b"\r\n")[1] + b"\r\n"])


@plant("size-without-line-end", "HFTP-5.1", style=Forks)
class SizeWithoutLineEnd(Commands):
    """The size has no line end; the next status line follows its last digit."""

    def metadata(self, size: int) -> bytes:
        """Leave it out."""
        return b"%d" % size


@plant("size-with-empty-line", "HFTP-5.1", style=Streams)
class SizeWithEmptyLine(Commands):
    """The size is followed by an empty line, as the names are."""

    def metadata(self, size: int) -> bytes:
        """Add it."""
        return b"%d\r\n\r\n" % size


@plant("size-with-lf", "HFTP-5.1", style=Lines)
class SizeWithLf(Commands):
    r"""The size is followed by a bare \n."""

    def metadata(self, size: int) -> bytes:
        """Forget the CR."""
        return b"%d\n" % size


@plant("size-on-disk", "HFTP-5.2", style=Loop)
class SizeOnDisk(Commands):
    """The size is what the file takes on the disk, in whole blocks."""

    def metadata(self, size: int) -> bytes:
        """Round it up."""
        return super().metadata((size + 4095) // 4096 * 4096)


@plant("size-in-16-bits", "HFTP-5.2", style=Forks)
class SizeSixteenBits(Commands):
    """The size is kept in 16 bits."""

    def metadata(self, size: int) -> bytes:
        """Drop the high bits."""
        return super().metadata(size & 0xFFFF)


@plant("metadata-of-nothing-crashes", "HFTP-3.4", style=Sequential)
class MetadataCrashes(Commands):
    """os.stat() of a missing file raises FileNotFoundError, and the process ends."""

    def get_metadata(self, arguments: list[bytes]) -> Parts:
        """Let it through."""
        try:
            return super().get_metadata(arguments)
        except CommandError as error:
            if error.code == 202:
                raise RuntimeError from error
            raise


@plant("help-unknown", "HFTP-3.8", style=Streams, dialects=("2026",))
class HelpUnknown(Commands):
    """There is no help."""

    def table(self) -> dict[bytes, Callable[[list[bytes]], Parts]]:
        """Leave it out."""
        return {name: command for name, command in super().table().items() if name != b"help"}


@plant("help-incomplete", "HFTP-3.8", style=Lines, dialects=("2026",))
class HelpIncomplete(Commands):
    """help names only the first two commands."""

    def help(self, arguments: list[bytes]) -> Parts:
        """Stop early."""
        self.expect(0, arguments)
        return iter([self.status(0), b"get_file_listing\r\n", b"get_metadata\r\n", b"\r\n"])


@plant("help-without-end", "HFTP-3.8", style=Loop, dialects=("2026",))
class HelpWithoutEnd(Commands):
    """help has no empty line at its end."""

    def help(self, arguments: list[bytes]) -> Parts:
        """Leave it out."""
        return iter(list(super().help(arguments))[:-1])


@plant("help-with-usage", "HFTP-3.8", dialects=("2026",))
class HelpWithUsage(Commands):
    """help shows the arguments of each command too."""

    def help(self, arguments: list[bytes]) -> Parts:
        """Add them."""
        self.expect(0, arguments)
        usage = [b"get_file_listing", b"get_metadata FILENAME", b"get_slice FILENAME OFFSET SIZE", b"quit", b"help"]
        return iter([self.status(0), self.listing(usage)])

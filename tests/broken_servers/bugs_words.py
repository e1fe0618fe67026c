"""Mistakes with the words of a line: how a command is found, and what is made of too many or empty words."""

from typing import TYPE_CHECKING

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import TEXTS, CommandError, Commands, Parts
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Loop
from tests.broken_servers.style_streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable


@plant("commands-by-getattr", "HFTP-3.1", style=Streams)
class CommandsByGetattr(Commands):
    """The command is getattr(self, name), so every method is one; most raise TypeError, and no reply comes."""

    def run(self, name: bytes, arguments: list[bytes]) -> Parts:
        """Look for a method."""
        command: Callable[[list[bytes]], Parts] | None = getattr(self, name.decode("ascii"), None)
        if command is None or (name == b"help" and self.dialect != "2026"):
            raise CommandError(200)
        return command(arguments)


@plant("status-without-space", "HFTP-2.5", style=Forks)
class StatusWithoutSpace(Commands):
    """Code and text of a status line are printed without a space between them."""

    def status(self, code: int) -> bytes:
        """Leave it out."""
        return b"%d%s\r\n" % (code, TEXTS[code])


@plant("empty-word-drops-the-connection", "HFTP-1.9", style=Lines)
class EmptyWordDrops(Commands):
    """split(' ') gives an empty word where a space is doubled, leads or trails; its first letter is an IndexError."""

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Close the connection without a reply."""
        line = raw.removesuffix(b"\r\n")
        return (iter(()), True) if line and b"" in line.split(b" ") else super().reply(raw)


@plant("range-checked-before-form", "HFTP-3.5", style=Loop)
class RangeBeforeForm(Commands):
    """Each number is compared with the file's size as soon as it is read, before the other one is looked at."""

    def get_slice(self, arguments: list[bytes]) -> Parts:
        """Compare first."""
        for word in arguments[1:3]:
            path = self.path(arguments[0])
            if word.isdigit() and self.NAME.fullmatch(arguments[0]) and path.is_file():
                self.check_range(self.number(word), 0, path.stat().st_size)
        return super().get_slice(arguments)


@plant("arguments-unpacked", "HFTP-3.3")
class ArgumentsUnpacked(Commands):
    """`(name,) = arguments` raises ValueError for any other number of them, and the thread dies without a reply."""

    def get_metadata(self, arguments: list[bytes]) -> Parts:
        """Unpack without counting."""
        (name,) = arguments
        return super().get_metadata([name])

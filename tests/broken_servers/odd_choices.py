"""Commands that use what the protocol leaves open about lines and replies: they choose otherwise than most do."""

import base64
import re
from pathlib import Path
from typing import ClassVar

from tests.broken_servers.commands import CommandError, Commands, Parts

LINE_BYTES = 57
"""Of content in a line of 76 characters of base64."""
FRAGMENT_BYTES = 100


class LoneCr100(Commands):
    """A lone CR in a line is a bad line end: 100, and the connection closes."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Look for a CR."""
        if b"\r" in line:
            raise CommandError(100)
        return super().split(line)


class Command101(Commands):
    """A command with a hyphen, a digit, a capital or another character that no command has is malformed: 101."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Look at the characters of the command."""
        name, arguments = super().split(line)
        if not re.fullmatch(rb"[a-z_]+", name):
            raise CommandError(101)
        return name, arguments


class Strict(LoneCr100, Command101):
    """A lone CR is 100; spaces alone, a tab and a command with other characters are 101; each closes."""


class OddSpaces(Commands):
    """A server that keeps the connection open after a line with empty words or controls in it."""

    code = 200

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Refuse such a line by a status that does not close."""
        try:
            return super().split(line)
        except CommandError:
            raise CommandError(self.code if line else 101) from None


class Spaces200(OddSpaces):
    """A line with a misplaced space, a tab, a lone CR or a foreign byte is an unknown command: 200."""


class Spaces201(OddSpaces):
    """A line with a misplaced space, a tab, a lone CR or a foreign byte has invalid arguments: 201."""

    code = 201


class SpacesTolerated(Commands):
    """Words are separated by any white space, and a line of nothing else is an unknown command."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Split at any white space."""
        words = line.split()
        if line and not words:
            raise CommandError(200)
        return super().split(b" ".join(words))


class TrailingSpacesTolerated(Commands):
    """Spaces at the end of a line are stripped before a name is looked up."""

    def strip_end(self, raw: bytes) -> bytes:
        """Strip the line."""
        return super().strip_end(raw).rstrip(b" ")


class EmptyLine200(Commands):
    """An empty line is an unknown command, and the connection goes on."""

    code = 200

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Refuse nothing gently."""
        if not line:
            raise CommandError(self.code)
        return super().split(line)


class EmptyLine201(EmptyLine200):
    """An empty line has too few words: 201, and the connection goes on."""

    code = 201


class Foreign202(Commands):
    """Any byte may stand in a name, which is then not found; in a command it is unknown."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Look at the spaces alone."""
        words = line.split(b" ")
        if b"" in words:
            raise CommandError(101)
        return words[0], words[1:]

    def check_name(self, name: bytes) -> bytes:
        """Find no file for an odd name."""
        if not self.NAME.fullmatch(name):
            raise CommandError(202)
        return super().check_name(name)


class LeadingZeros201(Commands):
    """A number does not begin with a zero, unless it is 0."""

    def number(self, word: bytes) -> int:
        """Refuse leading zeros."""
        if word.startswith(b"0") and word != b"0":
            raise CommandError(201)
        return super().number(word)


class LargeNumbers201(Commands):
    """A number that does not fit into 64 bits is an invalid argument: 201."""

    def number(self, word: bytes) -> int:
        """Refuse large numbers."""
        if word.isdigit() and len(word.lstrip(b"0")) > 18:
            raise CommandError(201)
        return super().number(word)


class Base64InLines(Commands):
    """A base64 slice comes in lines of 76 characters, each of which can be decoded alone."""

    def base64(self, chunks: Parts, size: int) -> Parts:
        """Send lines."""
        for chunk in chunks:
            pieces = (chunk[start : start + LINE_BYTES] for start in range(0, len(chunk), LINE_BYTES))
            yield b"".join(base64.b64encode(piece) + b"\r\n" for piece in pieces)
        if not size:
            yield b"\r\n"


class SmallFragments(Commands):
    """A slice comes in fragments of a hundred bytes."""

    def fragments(self, chunks: Parts, size: int) -> Parts:
        """Cut the chunks."""
        return super().fragments(
            (
                chunk[start : start + FRAGMENT_BYTES]
                for chunk in chunks
                for start in range(0, len(chunk), FRAGMENT_BYTES)
            ),
            size,
        )


class OtherTexts(Commands):
    """Status lines have words of the server's own, with spaces at their end and digits in them."""

    texts: ClassVar[dict[int, bytes]] = {
        0: b"1 reply follows: ",
        100: b"0x0a ",
        101: b"?",
        199: b"500 sorry  ",
        200: b"404 unknown ",
        201: b"201",
        202: b"-",
        203: b"Too far; see the size that get_metadata tells. ",
    }

    def status(self, code: int) -> bytes:
        """Return a status line."""
        return b"%d %s\r\n" % (code, self.texts[code])


class HelpBefore2026(Commands):
    """help is known although the dialect does not name it."""

    def run(self, name: bytes, arguments: list[bytes]) -> Parts:
        """Help in each dialect."""
        return self.help(arguments) if name == b"help" else super().run(name, arguments)


class NoHelp(Commands):
    """A server that speaks one of the dialects without `help`, whatever it is asked to speak."""

    spoken = "2019"

    def __init__(self, directory: Path, dialect: str) -> None:
        del dialect
        super().__init__(directory, self.spoken)


class NoHelp2019(NoHelp):
    """A server without help sends slices in base64, which alone tells its dialect."""


class NoHelp2018(NoHelp):
    """A server without help sends slices as bare bytes, which alone tells its dialect."""

    spoken = "2018"


class NoHelp2016(NoHelp):
    """A server without help sends slices in fragments, which alone tells its dialect."""

    spoken = "2016"

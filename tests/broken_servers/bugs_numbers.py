"""Mistakes with numbers that only some numbers show: wrapping, leading zeros, digits that are none."""

import re

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import CommandError, Commands, Parts
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams


@plant("number-wraps-at-64-bits", "HFTP-7.5", style=Forks)
class NumberWraps64(Commands):
    """Numbers are kept in 64 bits and wrap."""

    def number(self, word: bytes) -> int:
        """Keep the low bits."""
        return int(word) & ((1 << 64) - 1) if word.isdigit() and len(word) < 30 else super().number(word)


@plant("sum-negative-at-32-bits", "HFTP-7.5", style=Loop)
class SumNegative32(Commands):
    """OFFSET + SIZE is a signed sum of 32 bits: past 2**31 it is negative, exceeds nothing, and reading fails."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Let a negative sum pass, and drop the connection over what cannot be read."""
        if 1 << 31 <= offset + size < 1 << 32:
            raise ConnectionAbortedError
        super().check_range(offset, size, file_size)

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Close the connection without a reply."""
        try:
            name, arguments = self.split(self.strip_end(raw))
            return self.run(name, arguments), name == b"quit"
        except ConnectionAbortedError:
            return iter(()), True
        except (CommandError, OSError):
            return super().reply(raw)


@plant("number-ends-after-zero", "HFTP-7.4", style=Lines)
class NumberEndsAfterZero(Commands):
    """A number is 0 or begins with another digit; what follows a leading zero is left unread, so 0001 is 0."""

    def number(self, word: bytes) -> int:
        """Read as far as the grammar goes."""
        return 0 if re.fullmatch(rb"0[0-9]+", word) else super().number(word)


@plant("number-zeros-stripped", "HFTP-7.4", style=Sequential)
class NumberZerosStripped(Commands):
    """Leading zeros are stripped before int(), which finds no digits in what was 00; that ends the process."""

    def number(self, word: bytes) -> int:
        """Strip all of them."""
        return super().number(word) if word == b"0" or not word.isdigit() else int(word.lstrip(b"0")[:4000])


class TextDigits(Commands):
    """A server that decodes lines and asks the text whether it is digits, which more is than int() takes."""

    encoding = "utf-8"

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Take any text."""
        words = line.split(b" ")
        if b"" in words or not line.decode(self.encoding, "replace").isprintable():
            raise CommandError(101)
        return words[0], words[1:]

    def number(self, word: bytes) -> int:
        """Convert what str.isdigit() likes."""
        text = word.decode(self.encoding, "replace")
        return int(text) if text.isdigit() and not word.isdigit() else super().number(word)


@plant("number-superscript-crashes", "HFTP-7.2", style=Streams)
class SuperscriptCrashes(TextDigits):
    """str.isdigit() is true for a superscript two in UTF-8, and int() raises ValueError for it: no reply comes."""


@plant("number-latin-1-crashes", "HFTP-7.2")
class LatinOneCrashes(TextDigits):
    """Lines are decoded as Latin-1, where byte 0xb2 is a superscript two: str.isdigit() likes it, int() does not."""

    encoding = "latin-1"

"""Mistakes with arguments: their number, their form, and what is looked at first."""

import re
import struct

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import CommandError, Commands, Parts
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams


@plant("number-by-int", "HFTP-7.2", style=Lines)
class NumberByInt(Commands):
    """OFFSET and SIZE go through int(), which takes +5, 1_0 and -0 as well."""

    def number(self, word: bytes) -> int:
        """Convert by int()."""
        try:
            number = int(word)
        except ValueError:
            raise CommandError(201) from None
        if number < 0:
            raise CommandError(201)
        return number


@plant("number-by-isdigit", "HFTP-7.2", style=Streams)
class NumberByUnicodeDigits(Commands):
    """Numbers are decoded as UTF-8 and checked by str.isdecimal(), which takes the digits of every script."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Take any UTF-8."""
        words = line.split(b" ")
        try:
            is_fine = b"" not in words and line.decode("utf-8").isprintable()
        except UnicodeDecodeError:
            is_fine = False
        if not is_fine:
            raise CommandError(101)
        return words[0], words[1:]

    def number(self, word: bytes) -> int:
        """Convert decoded text."""
        text = word.decode("utf-8")
        return int(text) if text.isdecimal() and len(text) < 4000 else super().number(word)


@plant("number-of-thousands-of-digits-crashes", "HFTP-7.5")
class NumberCrashes(Commands):
    """int() raises ValueError past 4300 digits; the thread dies with it, and the client gets no answer."""

    def number(self, word: bytes) -> int:
        """Convert without a limit."""
        if not word.isdigit():
            raise CommandError(201)
        if len(word) > 4300:  # what int() does from 3.11 on
            raise ValueError
        return int(word)


@plant("number-negative-crashes", "HFTP-7.1", style=Sequential)
class NegativeCrashes(Commands):
    """A negative number reaches seek(), whose ValueError ends the process."""

    def number(self, word: bytes) -> int:
        """Convert, and fail late."""
        if re.fullmatch(rb"-[1-9][0-9]*", word):
            raise ValueError
        return super().number(word)


@plant("offset-negative-from-end", "HFTP-7.1", style=Forks)
class NegativeFromEnd(Commands):
    """A negative OFFSET counts from the end of the file, as Python's slices do."""

    def get_slice(self, arguments: list[bytes]) -> Parts:
        """Replace a negative offset."""
        if len(arguments) == 3 and re.fullmatch(rb"-[1-9][0-9]{0,9}", arguments[1]):
            with self.open(self.check_name(arguments[0])) as file:
                arguments = [arguments[0], b"%d" % max(0, self.size_of(file) + int(arguments[1])), arguments[2]]
        return super().get_slice(arguments)


@plant("size-negative-reads-all", "HFTP-7.1", style=Loop)
class NegativeReadsAll(Commands):
    """A negative SIZE goes to read(), which then reads to the end of the file."""

    def get_slice(self, arguments: list[bytes]) -> Parts:
        """Replace a negative size."""
        if len(arguments) == 3 and re.fullmatch(rb"-[1-9][0-9]{0,9}", arguments[2]):
            with self.open(self.check_name(arguments[0])) as file:
                size = max(0, self.size_of(file) - self.number(arguments[1]))
            arguments = [*arguments[:2], b"%d" % size]
        return super().get_slice(arguments)


@plant("number-by-float", "HFTP-7.3")
class NumberByFloat(Commands):
    """Numbers are converted by int(float()), so 1.0 and 1e0 are numbers, and infinity is an exception."""

    def number(self, word: bytes) -> int:
        """Convert whatever float() takes and the digits alone do not say."""
        if word.isdigit():
            return super().number(word)
        try:
            value = float(word)
        except ValueError:
            raise CommandError(201) from None
        if value < 0 or word.startswith((b"+", b"-")) or b"_" in word:
            raise CommandError(201)
        return int(value)


@plant("number-by-atoi", "HFTP-7.3", style=Forks)
class NumberByAtoi(Commands):
    """Numbers are what the digits at the beginning of a word say, as in C; no digits are zero."""

    def number(self, word: bytes) -> int:
        """Ignore what follows the digits."""
        if word.startswith((b"-", b"+")) and word[1:2].isdigit():
            raise CommandError(201)
        return super().number((re.match(rb"[0-9]*", word) or [b""])[0] or b"0")


@plant("sum-wraps-at-32-bits", "HFTP-7.5", style=Lines)
class SumWraps32(Commands):
    """OFFSET + SIZE is computed in 32 bits, and wraps to something that the file has."""

    bits = 32

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Compare what is left of the sum, and then drop the connection over what cannot be read."""
        try:
            super().check_range(offset, size, file_size)
        except CommandError:
            if (offset + size) % (1 << self.bits) <= file_size:
                raise OSError from None
            raise


@plant("sum-wraps-at-64-bits", "HFTP-7.5", style=Streams)
class SumWraps64(SumWraps32):
    """OFFSET + SIZE is computed in 64 bits, and wraps to something that the file has."""

    bits = 64

    def number(self, word: bytes) -> int:
        """Keep large numbers as they are."""
        return int(word) if word.isdigit() and len(word) < 4000 else super().number(word)


@plant("number-past-31-bits-crashes", "HFTP-7.5", style=Sequential)
class NumberPast31Bits(Commands):
    """Numbers are packed into 31 bits, and struct.error ends the process."""

    def number(self, word: bytes) -> int:
        """Fail for what does not fit."""
        number = super().number(word)
        struct.pack("!i", number)
        return number


@plant("number-by-base-0", "HFTP-7.3", style=Lines)
class NumberByBaseZero(Commands):
    """Numbers are converted by int(word, 0), so 0x1 is one."""

    def number(self, word: bytes) -> int:
        """Convert hexadecimal digits too."""
        return int(word, 16) if re.fullmatch(rb"0x[0-9a-fA-F]{1,9}", word) else super().number(word)


@plant("number-wraps-at-32-bits", "HFTP-7.5", style=Loop)
class NumberWraps(Commands):
    """Numbers are kept in 32 bits and wrap."""

    def number(self, word: bytes) -> int:
        """Keep the low bits."""
        return super().number(word) if len(word) > 30 else super().number(word) & 0xFFFFFFFF


@plant("number-past-64-bits-crashes", "HFTP-7.5", style=Streams)
class NumberOverflows(Commands):
    """A number past 64 bits makes lseek raise OverflowError, and the coroutine dies without a reply."""

    def number(self, word: bytes) -> int:
        """Convert, and fail late."""
        if word.isdigit() and len(word) < 4000 and int(word) >= 1 << 63:
            raise OverflowError
        return super().number(word)


@plant("arguments-extra-ignored", "HFTP-3.3")
class ExtraArgumentsIgnored(Commands):
    """Arguments after the ones that a command needs are not looked at."""

    def expect(self, count: int, arguments: list[bytes]) -> None:
        """Let more pass."""
        super().expect(count, arguments[: max(count, len(arguments) if len(arguments) < count else 0)])

    def get_slice(self, arguments: list[bytes]) -> Parts:
        """Cut off what is too much."""
        return super().get_slice(arguments if self.wants_raw(arguments) else arguments[:3])


@plant("arguments-missing-crash", "HFTP-3.3", style=Sequential)
class MissingArgumentsCrash(Commands):
    """A missing argument is an IndexError that nobody catches, and the process ends."""

    def expect(self, count: int, arguments: list[bytes]) -> None:
        """Look at each without counting."""
        if len(arguments) < count:
            raise IndexError
        super().expect(count, arguments)


@plant("quit-ignores-arguments", "HFTP-3.3", style=Forks)
class QuitIgnoresArguments(Commands):
    """`quit now` quits."""

    def quit(self, arguments: list[bytes]) -> Parts:
        """Quit anyway."""
        del arguments
        return super().quit([])


@plant("listing-ignores-arguments", "HFTP-3.3", style=Lines)
class ListingIgnoresArguments(Commands):
    """`get_file_listing x` lists."""

    def get_file_listing(self, arguments: list[bytes]) -> Parts:
        """List anyway."""
        del arguments
        return super().get_file_listing([])


@plant("help-ignores-arguments", "HFTP-3.8", style=Streams, dialects=("2026",))
class HelpIgnoresArguments(Commands):
    """`help x` helps."""

    def help(self, arguments: list[bytes]) -> Parts:
        """Help anyway."""
        del arguments
        return super().help([])


@plant("file-checked-before-arguments", "HFTP-3.5", style=Loop)
class FileFirst(Commands):
    """A missing file is reported before the numbers are looked at."""

    def get_slice(self, arguments: list[bytes]) -> Parts:
        """Open first."""
        if arguments:
            self.open(self.check_name(arguments[0])).close()
        return super().get_slice(arguments)


@plant("range-checked-before-file", "HFTP-3.4")
class RangeFirst(Commands):
    """A missing file counts as an empty one, so a slice of it exceeds the file's size."""

    def get_slice(self, arguments: list[bytes]) -> Parts:
        """Call 203 what is 202."""
        try:
            return super().get_slice(arguments)
        except CommandError as error:
            raise CommandError(203 if error.code == 202 else error.code) from None


@plant("slice-fourth-argument-ignored", "HFTP-6.9", style=Forks, dialects=("2026",))
class FourthArgumentIgnored(Commands):
    """Whatever comes after SIZE, unless it is raw, is ignored."""

    def get_slice(self, arguments: list[bytes]) -> Parts:
        """Cut off what is not raw."""
        return super().get_slice(arguments[:3] if len(arguments) == 4 and not self.wants_raw(arguments) else arguments)


@plant("slice-raw-unknown", "HFTP-6.8", style=Lines, dialects=("2026",))
class RawUnknown(Commands):
    """There is no raw form: it is an argument too many."""

    def wants_raw(self, arguments: list[bytes]) -> bool:
        """Never want it."""
        del arguments
        return False


@plant("commands-by-prefix", "HFTP-3.1")
class CommandsByPrefix(Commands):
    """Commands are told apart by startswith(), so get_metadatax is get_metadata."""

    def run(self, name: bytes, arguments: list[bytes]) -> Parts:
        """Cut the name to the command that it begins with."""
        return super().run(next((known for known in self.table() if name.startswith(known)), name), arguments)


@plant("slice-size-optional", "HFTP-3.3", style=Loop)
class SizeOptional(Commands):
    """A missing SIZE means the rest of the file."""

    def get_slice(self, arguments: list[bytes]) -> Parts:
        """Supply a size."""
        if len(arguments) == 2:
            offset = self.number(arguments[1])
            with self.open(self.check_name(arguments[0])) as file:
                arguments = [*arguments, b"%d" % max(0, self.size_of(file) - offset)]
        return super().get_slice(arguments)

"""Mistakes with the contents of files: which bytes are sent, and whether they are the file's."""

import os
from pathlib import Path
from typing import BinaryIO

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import CommandError, Commands, Parts
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams


@plant("slice-one-byte-more", "HFTP-6.2", style=Lines)
class OneByteMore(Commands):
    """The range includes its last position: SIZE + 1 bytes are sent where the file has them."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read one more."""
        return super().chunks(file, offset, min(size + 1, self.size_of(file) - offset))


@plant("slice-one-byte-less", "HFTP-6.2", style=Loop)
class OneByteLess(Commands):
    """The last byte of the range is left out."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read one less."""
        return super().chunks(file, offset, max(0, size - 1))


@plant("slice-last-byte-refused", "HFTP-6.5")
class LastByteRefused(Commands):
    """The check is OFFSET + SIZE >= size, so the last byte cannot be had."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Compare one too strictly."""
        if offset + size >= file_size > 0:
            raise CommandError(203)


@plant("slice-past-the-end-is-short", "HFTP-6.4", style=Forks)
class PastEndShort(Commands):
    """Nothing is checked: a slice past the end is whatever read() gives, or nothing."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Check nothing."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read what there is."""
        return super().chunks(file, offset, max(0, min(size, self.size_of(file) - offset)))


@plant("slice-only-offset-checked", "HFTP-6.4", style=Streams)
class OnlyOffsetChecked(PastEndShort):
    """Only OFFSET is compared with the file's size; a SIZE that exceeds it gives a short slice."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Compare the offset."""
        del size
        if offset > file_size:
            raise CommandError(203)


@plant("slice-one-past-the-end", "HFTP-6.4", style=Lines)
class OnePastEnd(PastEndShort):
    """The check is off by one: a slice may exceed the file by a byte, and is short by it."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Compare one too leniently."""
        if offset + size > file_size + 1:
            raise CommandError(203)


@plant("slice-of-zero-refused", "HFTP-6.3", style=Loop)
class ZeroRefused(Commands):
    """SIZE has to be positive."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Refuse nothing."""
        if size == 0:
            raise CommandError(201)
        super().check_range(offset, size, file_size)


@plant("slice-at-the-end-refused", "HFTP-6.3", style=Streams)
class AtEndRefused(Commands):
    """OFFSET has to be smaller than the file's size, so the empty slice at the end is refused."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Refuse the end."""
        if offset >= file_size:
            raise CommandError(203)
        super().check_range(offset, size, file_size)


@plant("slice-size-is-end", "HFTP-6.2", style=Forks)
class SizeIsEnd(Commands):
    """data[offset:size]: SIZE is taken for the end of the slice."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read up to the size."""
        return super().chunks(file, offset, max(0, size - offset))


@plant("slice-offset-ignored", "HFTP-6.2")
class OffsetIgnored(Commands):
    """The file is never positioned: every slice is the file's beginning."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read from the start."""
        del offset
        return super().chunks(file, 0, size)


@plant("slice-cut-at-64-kib", "HFTP-6.12", style=Lines)
class SliceCut(Commands):
    """The file is read once, by read(65536); a longer slice is cut there."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read once."""
        return super().chunks(file, offset, min(size, 1 << 16))


@plant("file-in-text-mode", "HFTP-6.2", style=Sequential)
class TextMode(Commands):
    """Files are opened as text, which turns CR LF into LF."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Translate line ends."""
        for chunk in super().chunks(file, offset, size):
            yield chunk.replace(b"\r\n", b"\n")


@plant("file-decoded-as-utf-8", "HFTP-6.2", style=Forks)
class DecodedAsUtf8(Commands):
    """Files are opened as text in UTF-8; bytes that are not come out as question marks."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Decode and encode."""
        for chunk in super().chunks(file, offset, size):
            yield chunk.decode("utf-8", "replace").encode("ascii", "replace")


@plant("file-decode-fails", "HFTP-6.2")
class DecodeFails(Commands):
    """Files are opened as text in UTF-8, and bytes that are not are an exception: the connection drops mid-reply."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Decode, and hope."""
        for chunk in super().chunks(file, offset, size):
            yield chunk.decode("utf-8").encode("utf-8")


class Remembering(Commands):
    """A server that reads the directory once, when it starts."""

    def __init__(self, directory: Path, dialect: str) -> None:
        super().__init__(directory, dialect)
        self.sizes: dict[bytes, int] = {}


@plant("size-stale", "HFTP-5.2", style=Loop)
class SizeStale(Remembering):
    """A file's size is looked up once and remembered for ever."""

    def open(self, name: bytes) -> BinaryIO:
        """Remember the name's size."""
        file = super().open(name)
        self.sizes.setdefault(name, os.fstat(file.fileno()).st_size)
        self.latest = self.sizes[name]
        return file

    def size_of(self, file: BinaryIO) -> int:
        """Return what is remembered."""
        del file
        return self.latest

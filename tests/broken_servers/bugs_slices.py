"""Mistakes with the contents of files: the range, the bytes, and the form in which they are sent."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import Commands, Parts, Refusal
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams

BASE64 = ("2026", "2019")


@plant("slice-one-byte-more", "HFTP-SLICE", "slices.*", style=Lines)
class OneByteMore(Commands):
    """The range includes its last position: SIZE + 1 bytes are sent where the file has them."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read one more."""
        return super().chunks(file, offset, min(size + 1, self.size_of(file) - offset))


@plant("slice-one-byte-less", "HFTP-SLICE", "slices.*", style=Loop)
class OneByteLess(Commands):
    """The last byte of the range is left out."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read one less."""
        return super().chunks(file, offset, max(0, size - 1))


@plant("slice-last-byte-refused", "HFTP-SLICE", "slices.*")
class LastByteRefused(Commands):
    """The check is OFFSET + SIZE >= size, so the last byte cannot be had."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Compare one too strictly."""
        if offset + size >= file_size > 0:
            raise Refusal(203)


@plant("slice-past-the-end-is-short", "HFTP-SLICE", "slices.*", style=Forks)
class PastEndShort(Commands):
    """Nothing is checked: a slice past the end is whatever read() gives, or nothing."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Check nothing."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read what there is."""
        return super().chunks(file, offset, max(0, min(size, self.size_of(file) - offset)))


@plant("slice-only-offset-checked", "HFTP-SLICE", "slices.*", style=Streams)
class OnlyOffsetChecked(PastEndShort):
    """Only OFFSET is compared with the file's size; a SIZE that exceeds it gives a short slice."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Compare the offset."""
        del size
        if offset > file_size:
            raise Refusal(203)


@plant("slice-one-past-the-end", "HFTP-SLICE", "slices.*", style=Lines)
class OnePastEnd(PastEndShort):
    """The check is off by one: a slice may exceed the file by a byte, and is short by it."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Compare one too leniently."""
        if offset + size > file_size + 1:
            raise Refusal(203)


@plant("slice-of-zero-refused", "HFTP-SLICE", "slices.*", style=Loop)
class ZeroRefused(Commands):
    """SIZE has to be positive."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Refuse nothing."""
        if size == 0:
            raise Refusal(201)
        super().check_range(offset, size, file_size)


@plant("slice-of-zero-without-line", "HFTP-SLICE", "slices.*", dialects=BASE64)
class ZeroWithoutLine(Commands):
    """An empty slice is a status line and nothing else."""

    def base64(self, chunks: Parts, size: int) -> Parts:
        """Send nothing for nothing."""
        return super().base64(chunks, size) if size else iter(())


@plant("slice-at-the-end-refused", "HFTP-SLICE", "slices.*", style=Streams)
class AtEndRefused(Commands):
    """OFFSET has to be smaller than the file's size, so the empty slice at the end is refused."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Refuse the end."""
        if offset >= file_size:
            raise Refusal(203)
        super().check_range(offset, size, file_size)


@plant("slice-size-is-end", "HFTP-SLICE", "slices.*", style=Forks)
class SizeIsEnd(Commands):
    """data[offset:size]: SIZE is taken for the end of the slice."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read up to the size."""
        return super().chunks(file, offset, max(0, size - offset))


@plant("slice-offset-ignored", "HFTP-SLICE", "slices.*")
class OffsetIgnored(Commands):
    """The file is never positioned: every slice is the file's beginning."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read from the start."""
        del offset
        return super().chunks(file, 0, size)


@plant("slice-cut-at-64-kib", "HFTP-SLICE", "slices.*", style=Lines)
class SliceCut(Commands):
    """The file is read once, by read(65536); a longer slice is cut there."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Read once."""
        return super().chunks(file, offset, min(size, 1 << 16))


@plant("slice-urlsafe", "HFTP-SLICE", "slices.*", style=Loop, dialects=BASE64)
class UrlSafe(Commands):
    """The alphabet is the URL-safe one, with - and _."""

    def encode(self, chunk: bytes) -> bytes:
        """Encode for URLs."""
        return base64.urlsafe_b64encode(chunk)


@plant("slice-base64-hex", "HFTP-SLICE", "slices.*", style=Streams, dialects=BASE64)
class Hexadecimal(Commands):
    """Slices are sent in hexadecimal."""

    def encode(self, chunk: bytes) -> bytes:
        """Encode by base 16."""
        return chunk.hex().encode("ascii")


@plant("slice-without-padding", "HFTP-SLICE", "slices.*", style=Forks, dialects=BASE64)
class Unpadded(Commands):
    """The padding is stripped."""

    def encode(self, chunk: bytes) -> bytes:
        """Strip it."""
        return base64.b64encode(chunk).rstrip(b"=")


@plant("slice-chunks-padded", "HFTP-SLICE", "slices.*", dialects=BASE64)
class ChunksPadded(Commands):
    """Chunks of 1,000 bytes are encoded alone, so there is padding in the middle of the line."""

    def base64(self, chunks: Parts, size: int) -> Parts:
        """Encode pieces of a length that is no multiple of 3."""
        return super().base64(
            (chunk[start : start + 1000] for chunk in chunks for start in range(0, len(chunk), 1000)), size
        )


@plant("slice-wrapped-with-lf", "HFTP-SLICE", "slices.*", style=Lines, dialects=BASE64)
class EncodeBytes(Commands):
    r"""base64.encodebytes() puts a \n after 76 characters and at the end."""

    def base64(self, chunks: Parts, size: int) -> Parts:
        """Encode as in a mail."""
        del size
        yield base64.encodebytes(b"".join(chunks))[:-1] + b"\r\n"


@plant("slice-wrapped", "HFTP-SLICE", "slices.*", style=Loop, dialects=("2019",))
class Wrapped(Commands):
    """The base64 is split into lines of 76 characters, which only later clients understand."""

    def base64(self, chunks: Parts, size: int) -> Parts:
        """Split it."""
        del size
        yield base64.encodebytes(b"".join(chunks))[:-1].replace(b"\n", b"\r\n") + b"\r\n"


@plant("slice-with-empty-line", "HFTP-SLICE", "slices.*", style=Streams, dialects=BASE64)
class EmptyLineAfter(Commands):
    """A slice is ended by an empty line, as a listing is."""

    def base64(self, chunks: Parts, size: int) -> Parts:
        """Add it."""
        yield from super().base64(chunks, size)
        yield b"\r\n"


@plant("file-in-text-mode", "HFTP-SLICE", "slices.*", style=Sequential)
class TextMode(Commands):
    """Files are opened as text, which turns CR LF into LF."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Translate line ends."""
        for chunk in super().chunks(file, offset, size):
            yield chunk.replace(b"\r\n", b"\n")


@plant("file-decoded-as-utf-8", "HFTP-SLICE", "slices.*", style=Forks)
class DecodedAsUtf8(Commands):
    """Files are opened as text in UTF-8; bytes that are not come out as question marks."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Decode and encode."""
        for chunk in super().chunks(file, offset, size):
            yield chunk.decode("utf-8", "replace").encode("ascii", "replace")


@plant("file-decode-fails", "HFTP-SLICE", "slices.*")
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


@plant("size-stale", "HFTP-SLICE", "slices.*", style=Loop)
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


@plant("raw-with-line-end", "HFTP-SLICE", "slices.*", style=Streams, dialects=("2026",))
class RawWithLineEnd(Commands):
    """A raw slice is followed by CR LF."""

    def raw(self, chunks: Parts, size: int) -> Parts:
        """Add it."""
        yield from super().raw(chunks, size)
        yield b"\r\n"


@plant("raw-length-of-base64", "HFTP-SLICE", "slices.*", style=Lines, dialects=("2026",))
class RawLengthOfBase64(Commands):
    """Content-Length is the length that the slice would have in base64."""

    def raw(self, chunks: Parts, size: int) -> Parts:
        """Count something else."""
        return self.headed(chunks, (size + 2) // 3 * 4)

    def headed(self, chunks: Parts, size: int) -> Parts:
        """Send a length and the bytes."""
        return super().raw(chunks, size)


@plant("raw-without-empty-line", "HFTP-SLICE", "slices.*", style=Forks, dialects=("2026",))
class RawWithoutEmptyLine(Commands):
    """The bytes of a raw slice follow Content-Length at once."""

    def raw(self, chunks: Parts, size: int) -> Parts:
        """Leave the empty line out."""
        yield b"Content-Length: %d\r\n" % size
        yield from chunks


@plant("raw-is-base64", "HFTP-SLICE", "slices.*", dialects=("2026",))
class RawIsBase64(Commands):
    """A raw slice has its Content-Length, and is base64 all the same."""

    def raw(self, chunks: Parts, size: int) -> Parts:
        """Encode it."""
        del size
        encoded = base64.b64encode(b"".join(chunks))
        yield b"Content-Length: %d\r\n\r\n" % len(encoded)
        yield encoded


@plant("bare-with-line-end", "HFTP-SLICE", "slices.*", style=Lines, dialects=("2018",))
class BareWithLineEnd(Commands):
    """The bytes of a slice are followed by CR LF."""

    def bare(self, chunks: Parts, size: int) -> Parts:
        """Add it."""
        yield from super().bare(chunks, size)
        yield b"\r\n"


@plant("bare-is-base64", "HFTP-SLICE", "slices.*", style=Loop, dialects=("2018",))
class BareIsBase64(Commands):
    """A slice is base64, as it became one year later."""

    def bare(self, chunks: Parts, size: int) -> Parts:
        """Encode it."""
        return super().base64(chunks, size)


@plant("fragment-length-with-line-end", "HFTP-SLICE", "slices.*", style=Streams, dialects=("2016",))
class FragmentLengthWrong(Commands):
    """The length of a fragment counts its CR LF."""

    def fragments(self, chunks: Parts, size: int) -> Parts:
        """Count two more."""
        del size
        for chunk in chunks:
            yield b"%d %s\r\n" % (len(chunk) + 2, chunk)
        yield b"0 \r\n"


@plant("fragments-without-end", "HFTP-SLICE", "slices.*", style=Forks, dialects=("2016",))
class FragmentsWithoutEnd(Commands):
    """The empty fragment at the end is left out."""

    def fragments(self, chunks: Parts, size: int) -> Parts:
        """Leave it out."""
        parts = list(super().fragments(chunks, size))
        return iter(parts[:-1])


@plant("fragment-end-without-space", "HFTP-SLICE", "slices.*", dialects=("2016",))
class FragmentEndWithoutSpace(Commands):
    """The empty fragment at the end has no space."""

    def fragments(self, chunks: Parts, size: int) -> Parts:
        """Shorten it."""
        for part in super().fragments(chunks, size):
            yield b"0\r\n" if part == b"0 \r\n" else part


@plant("fragment-length-in-hex", "HFTP-SLICE", "slices.*", style=Lines, dialects=("2016",))
class FragmentLengthInHex(Commands):
    """The length of a fragment is hexadecimal, as in HTTP's chunks."""

    def fragments(self, chunks: Parts, size: int) -> Parts:
        """Write it so."""
        del size
        return self.hexadecimal(chunks)

    def hexadecimal(self, chunks: Parts) -> Iterator[bytes]:
        """Send fragments."""
        for chunk in chunks:
            yield b"%x %s\r\n" % (len(chunk), chunk)
        yield b"0 \r\n"

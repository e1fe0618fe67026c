"""Mistakes with the form in which a slice is sent: base64, raw, bare, fragments."""

import base64
from collections.abc import Iterator

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import Commands, Parts
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Loop
from tests.broken_servers.style_streams import Streams

BASE64 = ("2026", "2019")


@plant("slice-of-zero-without-line", "HFTP-6.3", dialects=BASE64)
class ZeroWithoutLine(Commands):
    """An empty slice is a status line and nothing else."""

    def base64(self, chunks: Parts, size: int) -> Parts:
        """Send nothing for nothing."""
        return super().base64(chunks, size) if size else iter(())


@plant("slice-urlsafe", "HFTP-6.1", style=Loop, dialects=BASE64)
class UrlSafe(Commands):
    """The alphabet is the URL-safe one, with - and _."""

    def encode(self, chunk: bytes) -> bytes:
        """Encode for URLs."""
        return base64.urlsafe_b64encode(chunk)


@plant("slice-base64-hex", "HFTP-6.1", style=Streams, dialects=BASE64)
class Hexadecimal(Commands):
    """Slices are sent in hexadecimal."""

    def encode(self, chunk: bytes) -> bytes:
        """Encode by base 16."""
        return chunk.hex().encode("ascii")


@plant("slice-without-padding", "HFTP-6.1", style=Forks, dialects=BASE64)
class Unpadded(Commands):
    """The padding is stripped."""

    def encode(self, chunk: bytes) -> bytes:
        """Strip it."""
        return base64.b64encode(chunk).rstrip(b"=")


@plant("slice-chunks-padded", "HFTP-6.1", dialects=BASE64)
class ChunksPadded(Commands):
    """Chunks of 1,000 bytes are encoded alone, so there is padding in the middle of the line."""

    def base64(self, chunks: Parts, size: int) -> Parts:
        """Encode pieces of a length that is no multiple of 3."""
        return super().base64(
            (chunk[start : start + 1000] for chunk in chunks for start in range(0, len(chunk), 1000)), size
        )


@plant("slice-wrapped-with-lf", "HFTP-6.1", style=Lines, dialects=BASE64)
class EncodeBytes(Commands):
    r"""base64.encodebytes() puts a \n after 76 characters and at the end."""

    def base64(self, chunks: Parts, size: int) -> Parts:
        """Encode as in a mail."""
        del size
        yield base64.encodebytes(b"".join(chunks))[:-1] + b"\r\n"


@plant("slice-wrapped", "HFTP-6.7", style=Loop, dialects=("2019",))
class Wrapped(Commands):
    """The base64 is split into lines of 76 characters, which only later clients understand."""

    def base64(self, chunks: Parts, size: int) -> Parts:
        """Split it."""
        del size
        yield base64.encodebytes(b"".join(chunks))[:-1].replace(b"\n", b"\r\n") + b"\r\n"


@plant("slice-with-empty-line", "HFTP-6.1", style=Streams, dialects=BASE64)
class EmptyLineAfter(Commands):
    """A slice is ended by an empty line, as a listing is."""

    def base64(self, chunks: Parts, size: int) -> Parts:
        """Add it."""
        yield from super().base64(chunks, size)
        yield b"\r\n"


@plant("raw-with-line-end", "HFTP-6.8", style=Streams, dialects=("2026",))
class RawWithLineEnd(Commands):
    """A raw slice is followed by CR LF."""

    def raw(self, chunks: Parts, size: int) -> Parts:
        """Add it."""
        yield from super().raw(chunks, size)
        yield b"\r\n"


@plant("raw-length-of-base64", "HFTP-6.8", style=Lines, dialects=("2026",))
class RawLengthOfBase64(Commands):
    """Content-Length is the length that the slice would have in base64."""

    def raw(self, chunks: Parts, size: int) -> Parts:
        """Count something else."""
        return self.headed(chunks, (size + 2) // 3 * 4)

    def headed(self, chunks: Parts, size: int) -> Parts:
        """Send a length and the bytes."""
        return super().raw(chunks, size)


@plant("raw-without-empty-line", "HFTP-6.8", style=Forks, dialects=("2026",))
class RawWithoutEmptyLine(Commands):
    """The bytes of a raw slice follow Content-Length at once."""

    def raw(self, chunks: Parts, size: int) -> Parts:
        """Leave the empty line out."""
        yield b"Content-Length: %d\r\n" % size
        yield from chunks


@plant("raw-is-base64", "HFTP-6.8", dialects=("2026",))
class RawIsBase64(Commands):
    """A raw slice has its Content-Length, and is base64 all the same."""

    def raw(self, chunks: Parts, size: int) -> Parts:
        """Encode it."""
        del size
        encoded = base64.b64encode(b"".join(chunks))
        yield b"Content-Length: %d\r\n\r\n" % len(encoded)
        yield encoded


@plant("bare-with-line-end", "HFTP-6.10", style=Lines, dialects=("2018",))
class BareWithLineEnd(Commands):
    """The bytes of a slice are followed by CR LF."""

    def bare(self, chunks: Parts, size: int) -> Parts:
        """Add it."""
        yield from super().bare(chunks, size)
        yield b"\r\n"


@plant("bare-is-base64", "HFTP-6.10", style=Loop, dialects=("2018",))
class BareIsBase64(Commands):
    """A slice is base64, as it became one year later."""

    def bare(self, chunks: Parts, size: int) -> Parts:
        """Encode it."""
        return super().base64(chunks, size)


@plant("fragment-length-with-line-end", "HFTP-6.11", style=Streams, dialects=("2016",))
class FragmentLengthWrong(Commands):
    """The length of a fragment counts its CR LF."""

    def fragments(self, chunks: Parts, size: int) -> Parts:
        """Count two more."""
        del size
        for chunk in chunks:
            yield b"%d %s\r\n" % (len(chunk) + 2, chunk)
        yield b"0 \r\n"


@plant("fragments-without-end", "HFTP-6.11", style=Forks, dialects=("2016",))
class FragmentsWithoutEnd(Commands):
    """The empty fragment at the end is left out."""

    def fragments(self, chunks: Parts, size: int) -> Parts:
        """Leave it out."""
        parts = list(super().fragments(chunks, size))
        return iter(parts[:-1])


@plant("fragment-end-without-space", "HFTP-6.11", dialects=("2016",))
class FragmentEndWithoutSpace(Commands):
    """The empty fragment at the end has no space."""

    def fragments(self, chunks: Parts, size: int) -> Parts:
        """Shorten it."""
        for part in super().fragments(chunks, size):
            yield b"0\r\n" if part == b"0 \r\n" else part


@plant("fragment-length-in-hex", "HFTP-6.11", style=Lines, dialects=("2016",))
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

"""Mistakes with lines: where they end, what may be in them, and how long they are."""

from __future__ import annotations

import re
import socket
import sys
from typing import TYPE_CHECKING

from tests.broken_servers import late
from tests.broken_servers.bug import plant
from tests.broken_servers.commands import CommandError, Commands, Parts
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Client, Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams
from tests.broken_servers.style_threads import Threads

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = late.load("asyncio")


@plant("recv-is-a-command", "HFTP-1.1")
class RecvIsCommand(Threads):
    """One recv is taken for one command, so a command in two packets is two broken ones."""

    def serve_client(self, sock: socket.socket) -> None:
        """Answer each packet, line by line."""
        taken = 0
        while data := sock.recv(1 if packets_of(sock) > taken + 1 else self.receive_bytes):
            taken += 1
            for line in data.splitlines(keepends=True):
                if self.answer(sock, line):
                    return


def packets_of(sock: socket.socket) -> int:
    """Return how many packets with data have come, for a server that is late to read them apart all the same."""
    return int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)[152:156], sys.byteorder)


@plant("recv-loses-the-second-command", "HFTP-1.6")
class SecondCommandLost(Threads):
    """What comes in the same packet after the first command is thrown away."""

    def cut(self, buffer: bytes) -> tuple[bytes, bytes] | None:
        """Throw the rest away."""
        found = super().cut(buffer)
        return (found[0], b"") if found else None


@plant("recv-cuts-at-1024", "HFTP-9.2", style=Lines)
class LineCut(Commands):
    """Of each line only the first 1024 bytes are looked at."""

    def strip_end(self, raw: bytes) -> bytes:
        """Cut the line."""
        return super().strip_end(raw)[:1024]


@plant("recv-ends-in-crlf", "HFTP-1.1", style=Forks)
class ChunkEndsLine(Forks):
    """A command is complete when a packet ends it; if CR and LF come apart, the server waits for the next."""

    def serve_client(self, sock: socket.socket) -> None:
        """Look at the end of each packet, not of what has been collected."""
        buffer = b""
        while data := sock.recv(self.receive_bytes):
            buffer += data
            if data == b"\n" or b"\n" not in data:
                continue
            end = 0
            for match in self.LINE.finditer(buffer):
                end = match.end()
                if self.answer(sock, match[0]):
                    return
            buffer = buffer[end:]


@plant("lf-ends-a-line", "HFTP-1.2", style=Lines)
class BareLfAccepted(Commands):
    """A bare LF ends a command as well as CR LF does."""

    def strip_end(self, raw: bytes) -> bytes:
        """Accept both ends."""
        return raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]


@plant("lf-seen-at-crlf", "HFTP-1.3")
class LfSeenLate(Threads):
    """The search is for CR LF; a LF alone is noticed when the CR LF arrives, and until then the client waits."""

    def cut(self, buffer: bytes) -> tuple[bytes, bytes] | None:
        """Cut at CR LF, then look for a LF."""
        line, end, rest = buffer.partition(b"\r\n")
        if not end:
            return None
        return (line + end, rest) if b"\n" not in line else (b"\n", rest)


@plant("lf-inside-a-line-ignored", "HFTP-1.2", style=Loop)
class LfInside(Loop):
    """The search is for CR LF, and a LF before it is dropped."""

    def take_line(self, client: Client) -> bytes:
        """Cut at CR LF, and drop each LF in the line."""
        line, end, rest = bytes(client.received).partition(b"\r\n")
        if not end:
            return b""
        client.received[:] = rest
        return line.replace(b"\n", b"") + end


@plant("lf-inside-a-line-is-space", "HFTP-1.2", style=Streams)
class LfIsSpace(Streams):
    """Lines are read up to CR LF and split at white space, so a LF is as good as a space."""

    async def next_line(self, reader: asyncio.StreamReader) -> bytes:
        """Read up to CR LF."""
        try:
            line = await reader.readuntil(b"\r\n")
        except asyncio.IncompleteReadError:
            return b""
        except asyncio.LimitOverrunError:
            return b"\0\r\n"
        return line[:-2].replace(b"\n", b" ") + b"\r\n"


@plant("lf-before-crlf-stripped", "HFTP-1.2")
class LineStripped(Threads):
    """Commands are cut at CR LF and stripped, so a LF before or after the command is not seen."""

    def cut(self, buffer: bytes) -> tuple[bytes, bytes] | None:
        """Cut at CR LF and strip."""
        line, end, rest = buffer.partition(b"\r\n")
        if not end:
            return None
        line = line.strip()
        return (line + end, rest) if b"\n" not in line else (b"\n", rest)


@plant("cr-ends-a-line", "HFTP-1.10", style=Sequential)
class CrEndsLine(Sequential):
    """Lines are cut by splitlines(), for which a lone CR is an end too: one line gets two replies."""

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Answer each piece of the line."""
        if not raw.endswith(b"\r\n"):
            return super().answer(sock, raw)
        return any(super(CrEndsLine, self).answer(sock, piece + b"\r\n") for piece in raw.splitlines() or [b""])


@plant("executes-after-bad-eol", "HFTP-1.5")
class ExecutesAfterBadEol(Threads):
    """After BAD EOL the connection is closed, but only when everything that had arrived is answered."""

    def serve_client(self, sock: socket.socket) -> None:
        """Answer all lines of what has arrived before looking at what they say."""
        buffer = b""
        is_over = False
        while not is_over and (data := sock.recv(self.receive_bytes)):
            buffer += data
            while line_and_rest := self.cut(buffer):
                line, buffer = line_and_rest
                is_over = self.answer(sock, line) or is_over


@plant("bad-eol-hides-what-came-before", "HFTP-1.4", style=Forks)
class BadEolFirst(Forks):
    """A LF anywhere in a packet is BAD EOL at once, before the complete commands in front of it are answered."""

    def serve_client(self, sock: socket.socket) -> None:
        """Look for a LF in all that has arrived."""
        buffer = b""
        while data := sock.recv(self.receive_bytes):
            buffer += data
            if re.search(rb"(?<!\r)\n", buffer):
                self.answer(sock, b"\n")
                return
            *lines, buffer = buffer.split(b"\r\n")
            for line in lines:
                if self.answer(sock, line + b"\r\n"):
                    return


@plant("decode-kills-the-thread", "HFTP-1.12")
class DecodeKillsThread(Commands):
    """A byte above 0x7f is a UnicodeDecodeError that ends the client's thread without a status line."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Decode, and hope."""
        line.decode("ascii")
        return super().split(line)


@plant("decode-kills-the-process", "HFTP-1.13", style=Sequential)
class DecodeKillsProcess(Commands):
    """A byte above 0x7f is a UnicodeDecodeError that ends the whole server."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Decode, and hope."""
        line.decode("ascii")
        return super().split(line)


@plant("nul-drops-the-connection", "HFTP-1.12", style=Lines)
class NulDrops(Commands):
    """A NUL goes into a path, whose ValueError ends the connection without a status line."""

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Drop the connection for it."""
        if b"\0" in raw[:-2]:
            return iter(()), True
        return super().reply(raw)


@plant("empty-line-ignored", "HFTP-1.7", dialects=("2026",))
class EmptyLineIgnored(Commands):
    """An empty line is skipped, as many protocols want it."""

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Skip it."""
        return (iter(()), False) if raw == b"\r\n" else super().reply(raw)


@plant("empty-line-skipped", "HFTP-1.8", style=Streams, dialects=("2019", "2018", "2016"))
class EmptyLineSkipped(EmptyLineIgnored):
    """An empty line is skipped in a dialect that leaves open only which answer it gets."""


@plant("empty-line-crashes", "HFTP-1.7", style=Sequential)
class EmptyLineCrashes(Commands):
    """The first word of an empty line is an IndexError that ends the process."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Take the first of no words."""
        _ = line.split()[0] if not line else b""
        return super().split(line)


@plant("empty-line-is-unknown-command", "HFTP-1.7", style=Loop, dialects=("2026",))
class EmptyLineUnknown(Commands):
    """An empty line is an unknown command, and the connection goes on."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Let it pass."""
        return super().split(line) if line else (b"", [])


@plant("long-line-drops-the-connection", "HFTP-9.6", style=Streams)
class LongLineDrops(Streams):
    """A line longer than 4 KiB ends the connection without a status line."""

    async def next_line(self, reader: asyncio.StreamReader) -> bytes:
        """Drop a long line and its client."""
        raw = await super().next_line(reader)
        return raw if len(raw) <= 4096 else b""


@plant("long-line-bad-request", "HFTP-9.2", style=Loop)
class LongLineRefused(Commands):
    """A line longer than 1 KiB is a bad request."""

    def strip_end(self, raw: bytes) -> bytes:
        """Refuse a long line."""
        if len(raw) > 1024:
            raise CommandError(101)
        return super().strip_end(raw)


@plant("huge-line-never-answered", "HFTP-9.3")
class HugeLineIgnored(Threads):
    """What is collected past 1 MiB is thrown away, so a huge line is never answered."""

    def cut(self, buffer: bytes) -> tuple[bytes, bytes] | None:
        """Never find a huge line."""
        found = super().cut(buffer)
        return (b"", found[1]) if found and len(found[0]) > 1 << 20 else found

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Say nothing to nothing."""
        return bool(raw) and super().answer(sock, raw)


@plant("names-of-255-bytes-refused", "HFTP-9.1", style=Lines)
class LongNamesRefused(Commands):
    """Names longer than 128 characters are refused as invalid."""

    def check_name(self, name: bytes) -> bytes:
        """Refuse a long name."""
        if len(name) > 128:
            raise CommandError(201)
        return super().check_name(name)


@plant("names-past-255-bytes-199", "HFTP-9.2", style=Forks)
class TooLongNamesFatal(Commands):
    """A name that the file system finds too long is an OSError, and that is 199."""

    def check_name(self, name: bytes) -> bytes:
        """Leave the length to the system."""
        if len(name) > 255:
            raise OSError
        return super().check_name(name)


@plant("tab-crashes", "HFTP-1.10", style=Sequential)
class ControlCrashes(Commands):
    """A control character fails an assertion, and the process ends."""

    def split(self, line: bytes) -> tuple[bytes, list[bytes]]:
        """Assert instead of answering."""
        if any(byte < 32 for byte in line):
            raise AssertionError
        return super().split(line)


@plant("doubled-space-unanswered", "HFTP-1.10", style=Streams)
class DoubledSpaceUnanswered(Commands):
    """A line with an empty word falls through all branches and gets no answer."""

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Fall through."""
        return (iter(()), False) if b"  " in raw or b" \r" in raw else super().reply(raw)

"""Bugs that show only under a condition that no scenario was written for: `conformance explore` has to find them.

They are a group of their own: the kill matrix does not ask for scenarios that find them.
"""

import itertools
import os
import socket
import threading
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from tests.broken_servers.bug import Bug
from tests.broken_servers.commands import DIALECTS, LINE_LIMIT_BYTES, Commands, Parts
from tests.broken_servers.style import Style
from tests.broken_servers.style_loop import Client, Loop
from tests.broken_servers.style_threads import Threads

RARE: dict[str, Bug] = {}
Replacement = TypeVar("Replacement", bound=type[Commands] | type[Style])


def _rare(name: str, requirement: str, style: type[Style] = Threads) -> Callable[[Replacement], Replacement]:
    """Register the class that follows, as `plant` does for other bugs."""

    def register(replacement: Replacement) -> Replacement:
        assert name not in RARE, name
        assert replacement.__doc__, name
        planted: type[Style | Commands] = replacement
        served = planted if issubclass(planted, Style) else style
        commands = planted if issubclass(planted, Commands) else Commands
        sentence = replacement.__doc__.partition("\n")[0]
        RARE[name] = Bug(name, sentence, served, commands, DIALECTS, requirement)
        return replacement

    return register


@_rare("rare-state-leaks", "HFTP-5.2", style=Loop)
class StateLeaks(Commands):
    """From the hundredth command on, a size is that of the file that was asked for before, by whichever client."""

    answered = 0
    before = -1

    def run(self, name: bytes, arguments: list[bytes]) -> Parts:
        """Count commands."""
        self.answered += 1
        return super().run(name, arguments)

    def metadata(self, size: int) -> bytes:
        """Keep the size."""
        told = self.before if self.answered > 100 and self.before >= 0 else size
        self.before = size
        return super().metadata(told)


@_rare("rare-large-slice-byte", "HFTP-6.2")
class LargeSliceByte(Commands):
    """A slice of more than 2 MiB has a wrong byte, if its offset is no multiple of 3."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Change the last byte of the first chunk."""
        is_wrong = size > 2 << 20 and offset % 3 != 0
        for chunk in super().chunks(file, offset, size):
            yield chunk[:-1] + bytes([chunk[-1] ^ 1]) if is_wrong else chunk
            is_wrong = False


@_rare("rare-full-read", "HFTP-1.6")
class FullRead(Threads):
    """If a read fills a buffer of 4,096 or 65,536 bytes, the last reply in it is never sent."""

    def serve_client(self, sock: socket.socket) -> None:
        """Take a full buffer for one that has more to come."""
        buffer = b""
        while data := sock.recv(self.receive_bytes):
            buffer += data
            while line_and_rest := self.cut(buffer):
                line, buffer = line_and_rest
                if not buffer and len(data) in {4096, 65536}:
                    break
                if self.answer(sock, line):
                    return


@_rare("rare-shifted-slice", "HFTP-6.2")
class ShiftedSlice(Commands):
    """A slice of less than a hundred bytes at an offset between 10 and 31 MiB begins a byte too late."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Shift it."""
        is_shifted = size < 100 and 10 << 20 < offset < 31 << 20
        return super().chunks(file, offset + is_shifted, size)


@_rare("rare-size-997", "HFTP-5.2")
class Size997(Commands):
    """A size that is a multiple of 997 is told as one more."""

    def metadata(self, size: int) -> bytes:
        """Round up."""
        return super().metadata(size + (size > 0 and size % 997 == 0))


@_rare("rare-long-pipeline", "HFTP-1.6")
class LongPipeline(Threads):
    """Of commands that come faster than they are answered, the 2,001st is forgotten."""

    def serve_client(self, sock: socket.socket) -> None:
        """Count the lines that are in the buffer together."""
        buffer, queued = b"", 0
        while data := sock.recv(self.receive_bytes):
            buffer += data
            while line_and_rest := self.cut(buffer):
                line, buffer = line_and_rest
                queued = queued + 1 if buffer else 0
                if queued != 2001 and self.answer(sock, line):
                    return


@_rare("rare-long-names", "HFTP-4.3", style=Loop)
class LongNames(Commands):
    """Files whose names have between 100 and 200 bytes are not listed."""

    def names(self) -> list[bytes]:
        """Leave them out."""
        return [name for name in super().names() if not 100 <= len(name) <= 200]


@_rare("rare-crowded-listing", "HFTP-4.1")
class CrowdedListing(Threads):
    """While 16 clients or more are connected, there is a line too many after a listing."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.clients = 0

    def start(self, sock: socket.socket) -> None:
        """Count a client as soon as it is accepted."""
        self.clients += 1
        super().start(sock)

    def attend(self, sock: socket.socket) -> None:
        """Count clients down."""
        try:
            super().attend(sock)
        finally:
            self.clients -= 1

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Send a line more."""
        is_over = super().answer(sock, raw)
        if self.clients >= 16 and raw == b"get_file_listing\r\n":
            self.send(sock, b"\r\n")
        return is_over


@_rare("rare-4-gib", "HFTP-5.2")
class FourGib(Commands):
    """A size is kept in 32 bits."""

    def metadata(self, size: int) -> bytes:
        """Forget what does not fit."""
        return super().metadata(size & 0xFFFFFFFF)


@_rare("rare-silent-client", "HFTP-2.8")
class SilentClient(Threads):
    """A client that is silent for 3 seconds is closed."""

    def attend(self, sock: socket.socket) -> None:
        """Wait no longer."""
        sock.settimeout(3.0)
        super().attend(sock)


@_rare("rare-refused-connection", "HFTP-1.6")
class RefusedConnection(Threads):
    """The first command of each fiftieth client gets no reply."""

    numbers = itertools.count(1)

    def serve_client(self, sock: socket.socket) -> None:
        """Forget a line."""
        if next(self.numbers) % 50 == 0:
            sock.recv(LINE_LIMIT_BYTES)
        super().serve_client(sock)


# --- What is left behind with each command or client ---------------------------------------------


@_rare("rare-descriptor-leak", "HFTP-10.7")
class DescriptorLeak(Threads):
    """The descriptor of a client that resets its connection is never closed."""

    def serve_client(self, sock: socket.socket) -> None:
        """Keep a duplicate, and forget it."""
        try:
            super().serve_client(sock)
        except OSError:
            os.dup(sock.fileno())
            raise


@_rare("rare-memory-leak", "HFTP-10.7", style=Loop)
class MemoryLeak(Commands):
    """Each command is kept for a log that is never written."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.log: list[bytes] = []

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Keep the line, padded to a fixed width."""
        self.log.append(raw.ljust(800))
        return super().reply(raw)


@_rare("rare-thread-leak", "HFTP-10.7")
class ThreadLeak(Threads):
    """A timer thread is started for each client, and never ends."""

    def start(self, sock: socket.socket) -> None:
        """Start a second thread."""
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        super().start(sock)


@_rare("rare-searched-log", "HFTP-10.7")
class SearchedLog(Commands):
    """Whether a command was seen before is looked up in a list of all commands."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.seen: list[bytes] = []

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Search from the end of the list, and add to it."""
        if b"" not in self.seen:
            self.seen.append(raw)
        return super().reply(raw)


@_rare("rare-quadratic-line", "HFTP-9.7")
class QuadraticLine(Loop):
    """Each piece that arrives has the line searched, and decoded, from its beginning."""

    receive_bytes = 4096

    def read(self, client: Client) -> None:
        """Decode all of it."""
        if b"\n" not in bytes(client.received).decode("latin-1").encode("latin-1"):
            super().read(client)

"""Small servers for one test each: inconstant ones, combinations of bugs, and ones that exit early.

`python -m tests.conformance.small_servers NAME` runs one, with the options of all broken servers.
"""

import itertools
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.broken_servers import running
from tests.broken_servers.bugs_exits import exit_later
from tests.broken_servers.bugs_framing import RecvIsCommand
from tests.broken_servers.bugs_statuses import ErrorWithEmptyLine
from tests.broken_servers.commands import Commands, Parts
from tests.broken_servers.style import Style
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_threads import Threads

MODULE = "tests.conformance.small_servers"
TOO_MUCH = "a NUL is too much"
HUNG_SECONDS = 30.0
BUSY_SECONDS = 2.5
LATE_SECONDS = 0.12
"""Later than the suite waits after a batch, and sooner than it waits after the last one, or to find who did it."""


LATE_CLIENT_SECONDS = 1.5
"""Longer than a second client is waited for, if the timeouts are scaled as in these tests."""


class SometimesExtraLine(Commands):
    """Every third error is followed by an empty line."""

    errors = itertools.count(1)

    def refuse(self, code: int) -> tuple[Parts, bool]:
        """Add an empty line now and then."""
        parts, is_over = super().refuse(code)
        return iter([*parts, b"\r\n"] if next(self.errors) % 3 == 0 else parts), is_over


class EndsInTheNextBatch(Commands):
    """A NUL is answered correctly, and ends the process some time later."""

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """End later."""
        if b"\0" in raw:
            sys.stdout.write(f"{TOO_MUCH}\n")
            sys.stdout.flush()
            exit_later(LATE_SECONDS)
        return super().reply(raw)


class ChangingForms(Commands):
    """The space of a status line is replaced by a number, another one each time."""

    numbers = itertools.count(1)

    def status(self, code: int) -> bytes:
        """Count."""
        return super().status(code) if code != 203 else b"203-%d\r\n" % next(self.numbers)


class ChangingTexts(Commands):
    """A status line has another text each time, as it may."""

    numbers = itertools.count(1)

    def status(self, code: int) -> bytes:
        """Count."""
        return b"%d text %d\r\n" % (code, next(self.numbers))


class ExtraLineAndShortSlices(ErrorWithEmptyLine):
    """Errors are followed by an empty line, and a slice that goes past the end is answered by what there is."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Check nothing."""


class NeverHelps(Commands):
    """`help` is never answered."""

    def run(self, name: bytes, arguments: list[bytes]) -> Parts:
        """Hang."""
        if name == b"help":
            time.sleep(HUNG_SECONDS)
        return super().run(name, arguments)


class SilentPastTheEnd(Commands):
    """A slice past the end of a file is never answered."""

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Hang where the range is wrong."""
        if offset + size > file_size:
            time.sleep(HUNG_SECONDS)


class EndsAtSecondConnection(Threads):
    """The second client ends the process."""

    def start(self, sock: socket.socket) -> None:
        """Serve one client."""
        if hasattr(self, "has_served"):
            os._exit(1)
        self.has_served = True
        super().start(sock)


class EndsAtThirdClient(Threads):
    """A third client at the same time ends the process."""

    def start(self, sock: socket.socket) -> None:
        """Serve two clients."""
        self.clients = [*(client for client in getattr(self, "clients", []) if client.fileno() >= 0), sock]
        if len(self.clients) > 2:
            os._exit(1)
        super().start(sock)


class BusyAfterNul(Sequential):
    """One client at a time; after one that sent a NUL the server works for a while before it accepts the next."""

    has_nul = False

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Take note of a NUL."""
        self.has_nul |= b"\0" in raw
        return super().answer(sock, raw)

    def attend(self, sock: socket.socket) -> None:
        """Serve a client, and work."""
        super().attend(sock)
        until = time.monotonic() + BUSY_SECONDS if self.has_nul else 0.0
        self.has_nul = False
        while time.monotonic() < until:
            sum(range(10_000))


class EndsAfterForty(Threads):
    """The process ends a moment after its fortieth client, whatever that one asks."""

    def start(self, sock: socket.socket) -> None:
        """Count the clients."""
        self.served = getattr(self, "served", 0) + 1
        if self.served == 40:
            exit_later()
        super().start(sock)


class SlowInCompany(RecvIsCommand):
    """One recv is taken for one command; where several clients are connected, what they send has long come together."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.clients: list[socket.socket] = []

    def start(self, sock: socket.socket) -> None:
        """Remember the client, and forget those that have gone."""
        self.clients = [*(client for client in self.clients if client.fileno() >= 0), sock]
        super().start(sock)

    def serve_client(self, sock: socket.socket) -> None:
        """Wait with others until all has come, and answer lines; alone, answer each packet."""
        time.sleep(0.01)
        if sum(client.fileno() >= 0 for client in self.clients) == 1:
            return super().serve_client(sock)
        time.sleep(0.2)
        return Threads.serve_client(self, sock)


class CappedAtOne(Threads):
    """One client is served at a time, and others are closed without a word."""

    most = 1
    word = b""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.clients: list[socket.socket] = []

    def start(self, sock: socket.socket) -> None:
        """Count those that are there."""
        self.clients = [client for client in self.clients if client.fileno() >= 0]
        if len(self.clients) >= self.most:
            with sock:
                sock.sendall(self.word)
            return
        self.clients.append(sock)
        super().start(sock)

    def end(self, sock: socket.socket) -> None:
        """Make room before the client sees its end."""
        self.clients.remove(sock)
        super().end(sock)


class CappedAtFive(CappedAtOne):
    """Five clients are served at a time, and others get a line."""

    most = 5
    word = b"503 too many clients\r\n"


class CappedAtTwelve(CappedAtOne):
    """Twelve clients are served at a time, and others get a line that is no status line."""

    most = 12
    word = b"come back later\r\n"


class LateSecondClient(Threads):
    """The first client that comes beside another one is served a while later."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.connected = self.late = 0

    def start(self, sock: socket.socket) -> None:
        """Wait, once."""
        self.connected += 1
        if self.connected < 2 or self.late:
            super().start(sock)
            return
        self.late += 1
        threading.Timer(LATE_CLIENT_SECONDS, super().start, [sock]).start()

    def end(self, sock: socket.socket) -> None:
        """Count those that are there."""
        self.connected -= 1
        super().end(sock)


_COMMANDS: dict[str, type[Commands]] = {
    "sometimes-extra-line": SometimesExtraLine,
    "ends-in-the-next-batch": EndsInTheNextBatch,
    "changing-forms": ChangingForms,
    "changing-texts": ChangingTexts,
    "extra-line-and-short-slices": ExtraLineAndShortSlices,
    "never-helps": NeverHelps,
    "silent-past-the-end": SilentPastTheEnd,
}
_STYLES: dict[str, type[Style]] = {
    "ends-at-second-connection": EndsAtSecondConnection,
    "ends-at-third-client": EndsAtThirdClient,
    "busy-after-nul": BusyAfterNul,
    "ends-after-forty": EndsAfterForty,
    "slow-in-company": SlowInCompany,
    "capped-at-1": CappedAtOne,
    "capped-at-5": CappedAtFive,
    "capped-at-12": CappedAtTwelve,
    "late-second-client": LateSecondClient,
}
NAMES = {name: kind.__doc__ or "" for name, kind in {**_COMMANDS, **_STYLES}.items()}


def prepare(name: str, directory: Path, dialect: str) -> tuple[Callable[[str, int], socket.socket], running.Serve]:
    """Return how a server listens and serves."""
    commands = _COMMANDS.get(name, Commands)(directory, dialect)
    server = _STYLES.get(name, Threads)(commands)
    return server.listen, server.serve


if __name__ == "__main__":
    sys.exit(running.run(sys.argv[1:], NAMES, prepare))

"""Mistakes with clients that vanish without `quit`: their slots, threads and turns are never given back."""

import contextlib
import socket
import threading
import time

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import LINE_LIMIT_BYTES, Commands
from tests.broken_servers.style import BlockingStyle
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_loop import Client, Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_threads import Threads

SPIN_SECONDS = 60.0
"""How long a server spins at most; then it only sleeps, in case nothing has ended it."""
PAUSE_SECONDS = 0.05
NO_ROOM = b"No more connections allowed\n"


class Slots:
    """A count of clients that only `quit` takes down again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._lock = threading.Lock()

    def acquire(self) -> bool:
        """Take a slot; return False if all are taken."""
        with self._lock:
            if self._taken >= self._most:
                return False
            self._taken += 1
            return True

    def see(self, raw: bytes) -> None:
        """Give a slot back for a line that is `quit`."""
        if raw == b"quit\r\n":
            with self._lock:
                self._taken -= 1


@plant("capped-clients", "HFTP-10.5")
class Capped(Threads):
    """Only `quit` frees one of the five slots; when all are taken, a client gets a line of the server's own."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.slots = Slots(5)

    def start(self, sock: socket.socket) -> None:
        """Send a client away when all slots are taken."""
        if self.slots.acquire():
            super().start(sock)
        else:
            with sock, contextlib.suppress(OSError):
                sock.sendall(NO_ROOM)

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Free the slot of a client that quits."""
        self.slots.see(raw)
        return super().answer(sock, raw)


@plant("capped-clients-silent", "HFTP-10.5")
class CappedSilently(Lines):
    """Only `quit` frees one of the twelve slots; when all are taken, a client is closed without a word."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.slots = Slots(12)

    def attend(self, sock: socket.socket) -> None:
        """Serve a client for which there is a slot."""
        if self.slots.acquire():
            super().attend(sock)

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Free the slot of a client that quits."""
        self.slots.see(raw)
        return super().answer(sock, raw)


@plant("capped-clients-loop", "HFTP-10.5")
class CappedLoop(Loop):
    """There is one slot, only `quit` frees it, and the next client gets a line of the server's own."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.slots = Slots(1)

    def accept(self, listener: socket.socket) -> None:
        """Send a client away when the slot is taken."""
        if self.slots.acquire():
            super().accept(listener)
            return
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                sock.send(NO_ROOM)

    def take_line(self, client: Client) -> bytes:
        """Free the slot of a client that quits."""
        raw = super().take_line(client)
        self.slots.see(raw)
        return raw


class Deaf(BlockingStyle):
    """A receive loop that does not know what an empty `recv()` means."""

    is_spinning = False

    def serve_client(self, sock: socket.socket) -> None:
        """Add nothing to the buffer again and again."""
        buffer = b""
        spin_until = 0.0
        while True:
            data = sock.recv(self.receive_bytes)
            if not data:
                spin_until = spin_until or time.monotonic() + SPIN_SECONDS
                if not self.is_spinning or time.monotonic() > spin_until:
                    time.sleep(PAUSE_SECONDS)
                continue
            buffer += data
            while b"\n" in buffer:
                line, end, buffer = buffer.partition(b"\n")
                if self.answer(sock, line + end):
                    return
            if len(buffer) > LINE_LIMIT_BYTES:
                self.answer(sock, b"\0\r\n")  # malformed, whatever it was
                return


@plant("deaf-to-the-end", "HFTP-10.5")
class DeafSequential(Deaf, Sequential):
    """An empty recv() is ignored, so after a client that leaves without `quit` nobody is served any more."""


@plant("deaf-to-the-end-threads", "HFTP-1.14")
class DeafThreads(Deaf, Threads):
    """An empty recv() is ignored, so the thread of a client that leaves without `quit` never ends."""


@plant("spinning-on-leavers", "HFTP-1.14")
class Spinning(Deaf, Threads):
    """An empty recv() is added to the buffer for ever, so each client that leaves keeps a thread at full speed."""

    is_spinning = True


@plant("spinning-on-leavers-loop", "HFTP-1.14")
class SpinningLoop(Loop):
    """An empty recv() is no reason to forget a client, so select() returns at once for ever after."""

    def read(self, client: Client) -> None:
        """Take nothing for something; after a while forget the client after all."""
        data = client.sock.recv(self.receive_bytes)
        client.received += data
        if not data:
            client.drain_until = 0.0
            self.spun_since = getattr(self, "spun_since", time.monotonic())
            client.has_ended = time.monotonic() > self.spun_since + SPIN_SECONDS
        self.write(client)


@plant("reset-stops-accepting", "HFTP-10.5")
class ResetStopsAccepting(Sequential):
    """A reset leaves the accept loop by an exception that main() catches, and the process stays for nothing."""

    def serve(self, listener: socket.socket) -> None:
        """Accept until a client resets its connection."""
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with sock:
                    self.serve_client(sock)
                    self.end(sock)
        threading.Event().wait()


@plant("reset-keeps-the-turn", "HFTP-10.5")
class ResetKeepsTurn(Threads):
    """main() accepts when the thread of the last client says that it is done, which it does not after a reset."""

    turn = threading.Semaphore()

    def serve(self, listener: socket.socket) -> None:
        """Accept one client at a time."""
        while True:
            self.turn.acquire()
            self.start(listener.accept()[0])

    def attend(self, sock: socket.socket) -> None:
        """Pass the turn on after an orderly end."""
        with sock, contextlib.suppress(OSError):
            self.serve_client(sock)
            self.end(sock)
            self.turn.release()

"""Mistakes with clients that share a server: who gets whose reply, and what those who leave take with them."""

import selectors
import socket
import threading
import time

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import LINE_LIMIT_BYTES, Commands
from tests.broken_servers.style_loop import Client, Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_threads import Threads


@plant("reply-to-the-newest", "HFTP-10.1")
class ReplyToTheNewest(Threads):
    """The socket is an attribute of the server, so every reply goes to the client that connected last."""

    newest: socket.socket

    def start(self, sock: socket.socket) -> None:
        """Remember the client."""
        self.newest = sock
        super().start(sock)

    def send(self, sock: socket.socket, part: bytes) -> None:
        """Send to whom is remembered, or to the right one once that has gone."""
        if sock is self.newest:
            time.sleep(0.002)  # its thread comes last: what goes to it by mistake is there before its own reply
        (sock if self.newest.fileno() < 0 else self.newest).sendall(part)


@plant("reply-shared", "HFTP-10.3")
class ReplyShared(Threads):
    """The reply under way is an attribute of the server, so two busy clients get each other's."""

    reply = b""

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Keep the reply where all can see it."""
        parts, is_over = self.commands.reply(raw)
        self.reply = b"".join(parts)
        time.sleep(0.0005)  # what a busy machine makes of it
        self.send(sock, self.reply)
        return is_over


@plant("quit-ends-all", "HFTP-10.3")
class QuitEndsAll(Threads):
    """`quit` stops the server's loops, and with them the connections of all clients."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.clients: set[socket.socket] = set()

    def serve_client(self, sock: socket.socket) -> None:
        """Converse until somebody quits."""
        self.clients.add(sock)
        try:
            super().serve_client(sock)
        finally:
            self.clients.discard(sock)

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """End everybody's stream with quit."""
        is_over = super().answer(sock, raw)
        if raw == b"quit\r\n":
            for other in self.clients - {sock}:
                other.shutdown(socket.SHUT_RDWR)
        return is_over


@plant("line-read-to-its-end", "HFTP-10.2")
class LineReadToItsEnd(Loop):
    """A line that has begun is read to its end before anybody else is looked at."""

    def read(self, client: Client) -> None:
        """Wait for the rest of the line."""
        data = client.sock.recv(self.receive_bytes)
        while data and not data.endswith(b"\n"):
            with selectors.DefaultSelector() as waiting:
                waiting.register(client.sock, selectors.EVENT_READ)
                waiting.select()
            more = client.sock.recv(self.receive_bytes)
            if not more:
                break
            data += more
        client.received += data
        client.has_ended = not data
        self.write(client)


@plant("half-line-blocks-all", "HFTP-10.2")
class HalfLineBlocks(Loop):
    """`while not line.endswith(...)` receives nothing for ever when a stream ends in the middle of a line."""

    def read(self, client: Client) -> None:
        """Go on receiving; the pause spares the machine that this server runs on."""
        data = client.sock.recv(self.receive_bytes)
        while not data and client.received:
            time.sleep(0.05)
        client.received += data
        client.has_ended = not data
        self.write(client)


@plant("leavers-counted", "HFTP-10.5")
class LeaversCounted(Threads):
    """Only `quit` takes a client off the count; when fifteen have left without it, nobody is served any more."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.count = 0
        self.lock = threading.Lock()

    def attend(self, sock: socket.socket) -> None:
        """Count, and let the client wait if there are too many."""
        with self.lock:
            self.count += 1
        while self.count > 15:
            time.sleep(0.05)
        super().attend(sock)

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Forget the client when it quits."""
        if is_over := super().answer(sock, raw):
            with self.lock:
                self.count -= 1
        return is_over


@plant("line-without-bound", "HFTP-9.5")
class LineWithoutBound(Sequential):
    """A line is collected without a bound, until the memory that the process may have ends it: 6 MiB here."""

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Run out of memory where a correct server gives up."""
        if raw == b"\0\r\n":
            raise MemoryError(LINE_LIMIT_BYTES)
        return super().answer(sock, raw)

"""What all the styles have in common: a listening socket, and a way to close a connection."""

import contextlib
import socket
import time
from abc import ABC, abstractmethod

from tests.broken_servers import running
from tests.broken_servers.commands import Commands

DRAIN_SECONDS = 3.0
"""How long a client that goes on sending after a fatal error is listened to."""


class Style(ABC):
    """A way to turn what clients send into lines, and to send the replies."""

    backlog = 1024
    receive_bytes = 1 << 16

    def __init__(self, commands: Commands) -> None:
        self.commands = commands

    def listen(self, host: str, port: int) -> socket.socket:
        """Return a listening socket."""
        return running.listen(host, port, self.backlog)

    @abstractmethod
    def serve(self, listener: socket.socket) -> None:
        """Serve clients for ever."""


class BlockingStyle(Style):
    """A style that waits in its socket calls; the pieces that such servers have in common."""

    def attend(self, sock: socket.socket) -> None:
        """Serve one client to the end, and survive its disappearance."""
        with sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.serve_client(sock)
            self.end(sock)

    @abstractmethod
    def serve_client(self, sock: socket.socket) -> None:
        """Answer one client's commands until the connection is to be closed."""

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Send the reply to one line; return whether to close the connection."""
        parts, is_over = self.commands.reply(raw)
        for part in parts:
            self.send(sock, part)
        return is_over

    def send(self, sock: socket.socket, part: bytes) -> None:
        """Send a piece of a reply."""
        sock.sendall(part)

    def end(self, sock: socket.socket) -> None:
        """End the stream and read what the client still sends, so that no reset destroys the last reply."""
        sock.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + DRAIN_SECONDS
        with contextlib.suppress(TimeoutError):
            while (left := deadline - time.monotonic()) > 0:
                sock.settimeout(left)
                if not sock.recv(1 << 16):
                    break

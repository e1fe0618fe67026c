"""A thread for each client, a recv loop and a buffer: what most students write."""

import socket
import threading

from tests.broken_servers.commands import LINE_LIMIT_BYTES
from tests.broken_servers.style import BlockingStyle


class Threads(BlockingStyle):
    """Serve each client in a thread of its own."""

    def serve(self, listener: socket.socket) -> None:
        """Accept clients for ever."""
        while True:
            self.start(listener.accept()[0])

    def start(self, sock: socket.socket) -> None:
        """Start serving one client."""
        threading.Thread(target=self.attend, args=(sock,), daemon=True).start()

    def serve_client(self, sock: socket.socket) -> None:
        """Collect what comes, and answer each line in it."""
        buffer = b""
        while data := sock.recv(self.receive_bytes):
            buffer += data
            while line_and_rest := self.cut(buffer):
                line, buffer = line_and_rest
                if self.answer(sock, line):
                    return
            if len(buffer) > LINE_LIMIT_BYTES:
                self.refuse_endless_line(sock)
                return

    def cut(self, buffer: bytes) -> tuple[bytes, bytes] | None:
        r"""Return the first line, up to and with its LF, and the rest; None if there is no whole line."""
        line, end, rest = buffer.partition(b"\n")
        return (line + end, rest) if end else None

    def refuse_endless_line(self, sock: socket.socket) -> None:
        """Answer a line that is too long to keep."""
        for part in self.commands.refuse(101)[0]:
            self.send(sock, part)

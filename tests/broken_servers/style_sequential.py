"""One client at a time, byte by byte through a state machine."""

import socket

from tests.broken_servers.commands import LINE_LIMIT_BYTES
from tests.broken_servers.style import BlockingStyle


class Sequential(BlockingStyle):
    """Serve clients one after the other."""

    def serve(self, listener: socket.socket) -> None:
        """Accept a client, serve it, accept the next."""
        while True:
            self.attend(listener.accept()[0])

    def serve_client(self, sock: socket.socket) -> None:
        """Take bytes into a line until its LF; the position saves searching a long line again and again."""
        line = bytearray()
        while data := sock.recv(self.receive_bytes):
            position = 0
            while end := data.find(b"\n", position) + 1:
                line += data[position:end]
                position = end
                if self.answer(sock, bytes(line)):
                    return
                line.clear()
            line += data[position:]
            if len(line) > LINE_LIMIT_BYTES:
                self.answer(sock, b"\0\r\n")  # malformed, whatever it was
                return

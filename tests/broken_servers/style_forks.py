"""A process for each client, as the C textbooks have it."""

import gc
import os
import re
import signal
import socket

from tests.broken_servers.commands import LINE_LIMIT_BYTES
from tests.broken_servers.style import BlockingStyle


class Forks(BlockingStyle):
    """Serve each client in a process of its own."""

    LINE = re.compile(rb"[^\n]*\n")

    def serve(self, listener: socket.socket) -> None:
        """Fork for each client."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead
        gc.freeze()  # what exists now is never looked at again, so no child copies it
        while True:
            sock, _ = listener.accept()
            if os.fork():
                sock.close()
                continue
            try:
                listener.close()
                self.attend(sock)
            finally:
                os._exit(0)

    def serve_client(self, sock: socket.socket) -> None:
        """Answer what matches a line."""
        pending: list[bytes] = []
        while data := sock.recv(self.receive_bytes):
            pending.append(data)
            if b"\n" in data:
                text = b"".join(pending)
                end = 0
                for match in self.LINE.finditer(text):
                    if self.answer(sock, match[0]):
                        return
                    end = match.end()
                pending = [text[end:]]
            elif sum(map(len, pending)) > LINE_LIMIT_BYTES:
                self.answer(sock, b"\0\r\n")  # malformed, whatever it was
                return

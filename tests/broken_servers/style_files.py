"""The standard library's socketserver, and a client that looks like a file of lines."""

import contextlib
import socket
import socketserver
from typing import Any, BinaryIO

from tests.broken_servers.commands import LINE_LIMIT_BYTES
from tests.broken_servers.style import BlockingStyle


class Lines(BlockingStyle):
    """Serve each client by readline, from socketserver's threads."""

    def serve(self, listener: socket.socket) -> None:
        """Let socketserver accept clients for ever."""
        style = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                style.attend(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  (as in typeshed)
                """Leave the socket to the style, which knows whether it has ended."""
                with contextlib.suppress(OSError):
                    self.close_request(request)

        with Server(listener.getsockname()[:2], Handler, bind_and_activate=False) as server:
            server.socket.close()
            server.socket = listener
            server.serve_forever()

    def serve_client(self, sock: socket.socket) -> None:
        """Answer line after line."""
        with sock.makefile("rb") as lines:
            while raw := self.next_line(lines):
                if self.answer(sock, raw):
                    return

    def next_line(self, lines: BinaryIO) -> bytes:
        """Return the next line with its end, or nothing at the end of the stream."""
        raw = lines.readline(LINE_LIMIT_BYTES)
        if len(raw) == LINE_LIMIT_BYTES:
            return b"\0\r\n"  # malformed, whatever it was
        return raw if raw.endswith(b"\n") else b""

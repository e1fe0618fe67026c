"""Servers that say what a test wants, in threads of this process."""

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from tests.greenserver.serving import TIMEOUT_SECONDS


class Peer:
    """The server's side of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._received = b""

    def line(self) -> str:
        """Return the next command without its end; "" at the end of the stream."""
        while b"\r\n" not in self._received:
            data = self.socket.recv(1 << 16)
            if not data:
                return ""
            self._received += data
        line, _, self._received = self._received.partition(b"\r\n")
        return line.decode()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def wait_for_end(self) -> None:
        """Wait until the client closes the connection."""
        while self.socket.recv(1 << 16):
            pass


Handler = Callable[[Peer], None]


@contextlib.contextmanager
def serving(handler: Handler, listener: socket.socket | None = None) -> Iterator[str]:
    """Serve each client with a handler in a thread of its own, and give the address; close all at the end."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(listener or socket.create_server(("127.0.0.1", 0)))
        sockets: list[socket.socket] = []
        threads: list[threading.Thread] = []

        def serve(sock: socket.socket) -> None:
            with sock, contextlib.suppress(OSError):
                handler(Peer(sock))

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listening.accept()
                    sock.settimeout(TIMEOUT_SECONDS)
                    sockets.append(sock)
                    threads.append(threading.Thread(target=serve, args=(sock,)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield "{}:{}".format(*listening.getsockname()[:2])
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            accepting.join(TIMEOUT_SECONDS)
            for sock in sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(TIMEOUT_SECONDS)


def slice_of(content: bytes, words: list[str]) -> bytes:
    """Return the reply of 2019 to `get_slice`."""
    start, size = int(words[2]), int(words[3])
    return b"0 OK\r\n%b\r\n" % base64.b64encode(content[start : start + size])


Reply = Callable[[Peer, list[str]], bytes]
"""Returns what a server says to a command, given its words; b"" closes the connection."""


def one_file(content: bytes, **replies: Reply) -> Handler:
    """Return the handler of a right server of 2019 with one file, `file`, but for the replies to some commands."""
    usual: dict[str, Reply] = {
        "get_file_listing": lambda _peer, _words: b"0 OK\r\nfile\r\n\r\n",
        "get_metadata": lambda _peer, _words: b"0 OK\r\n%d\r\n" % len(content),
        "get_slice": lambda _peer, words: slice_of(content, words),
        "quit": lambda _peer, _words: b"0 OK\r\n",
    }
    table = usual | replies

    def handle(peer: Peer) -> None:
        while line := peer.line():
            words = line.split(" ")
            known = table.get(words[0])
            reply = b"200 NO SUCH COMMAND\r\n" if known is None else known(peer, words)
            if not reply:
                return
            peer.send(reply)
            if words[0] == "quit":
                return

    return handle

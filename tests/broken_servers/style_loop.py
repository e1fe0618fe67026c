"""One thread, one loop, non-blocking sockets: a state machine for each client."""

import contextlib
import selectors
import socket
import time

from tests.broken_servers.commands import LINE_LIMIT_BYTES, Parts
from tests.broken_servers.style import DRAIN_SECONDS, Style


class Client:
    """What the loop remembers of one client."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = bytearray()
        self.outgoing = memoryview(b"")
        self.parts: Parts = iter(())
        self.is_over = False
        self.has_ended = False
        self.drain_until = 0.0


class Loop(Style):
    """Serve all clients from one selector."""

    def serve(self, listener: socket.socket) -> None:
        """Wait for whatever is ready, for ever."""
        listener.settimeout(0)
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ)
        self.draining: set[Client] = set()
        while True:
            for key, _ in self.selector.select(0.5 if self.draining else None):
                if key.data is None:
                    self.accept(listener)
                else:
                    self.step(key.data)
            for client in [client for client in self.draining if client.drain_until < time.monotonic()]:
                self.close(client)

    def accept(self, listener: socket.socket) -> None:
        """Take the clients that are waiting."""
        with contextlib.suppress(BlockingIOError):
            sock, _ = listener.accept()
            sock.settimeout(0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(sock, selectors.EVENT_READ, self.client(sock))

    def client(self, sock: socket.socket) -> Client:
        """Return a new client."""
        return Client(sock)

    def step(self, client: Client) -> None:
        """Do what can be done for a client whose socket is ready."""
        try:
            if client.drain_until:
                self.drain(client)
            elif client.outgoing:
                self.write(client)
            else:
                self.read(client)
        except BlockingIOError:
            pass
        except OSError:  # of a client that has gone; ENOTCONN is no ConnectionError
            self.close(client)

    def read(self, client: Client) -> None:
        """Take what a client has sent, and begin to answer it."""
        data = client.sock.recv(self.receive_bytes)
        client.received += data
        client.has_ended = not data
        self.write(client)

    def write(self, client: Client) -> None:
        """Send replies while the socket takes them."""
        while client.outgoing or self.refill(client):
            self.selector.modify(client.sock, selectors.EVENT_WRITE, client)
            client.outgoing = client.outgoing[client.sock.send(client.outgoing) :]
        if client.is_over or client.has_ended:
            self.finish(client)
        else:
            self.selector.modify(client.sock, selectors.EVENT_READ, client)

    def refill(self, client: Client) -> bool:
        """Fetch what is to be sent next: more of this reply, or the next reply; return whether there is something."""
        while True:
            for part in client.parts:
                if part:
                    client.outgoing = memoryview(part)
                    return True
            raw = b"" if client.is_over else self.take_line(client)
            if not raw:
                return False
            client.parts, client.is_over = self.commands.reply(raw)

    def take_line(self, client: Client) -> bytes:
        """Remove the first line with its end from what was received; return nothing if there is none."""
        length = client.received.find(b"\n") + 1
        if not length and len(client.received) > LINE_LIMIT_BYTES:
            client.received.clear()
            return b"\0\r\n"  # malformed, whatever it was
        raw = bytes(client.received[:length])
        del client.received[:length]
        return raw

    def finish(self, client: Client) -> None:
        """End the stream, and read on until the client ends it too."""
        client.sock.shutdown(socket.SHUT_WR)
        client.drain_until = time.monotonic() + DRAIN_SECONDS
        client.received.clear()
        self.draining.add(client)
        self.selector.modify(client.sock, selectors.EVENT_READ, client)

    def drain(self, client: Client) -> None:
        """Read and forget."""
        if not client.sock.recv(self.receive_bytes):
            self.close(client)

    def close(self, client: Client) -> None:
        """Forget a client."""
        self.draining.discard(client)
        self.selector.unregister(client.sock)
        client.sock.close()

"""Mistakes that only show with many clients: what they block, share and use up."""

import os
import socket
import threading
import time
from pathlib import Path
from typing import BinaryIO

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import CommandError, Commands, Parts
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_loop import Client, Loop
from tests.broken_servers.style_threads import Threads


@plant("accept-waits-for-a-command", "HFTP-10.2")
class AcceptWaits(Threads):
    """The accept loop waits for a client's first bytes before it starts the thread, so an idle client blocks all."""

    def start(self, sock: socket.socket) -> None:
        """Look at what the client wants."""
        sock.recv(1, socket.MSG_PEEK)
        super().start(sock)


@plant("buffer-shared", "HFTP-10.3", style=Loop)
class BufferShared(Loop):
    """All clients share one receive buffer, so what one has begun another ends."""

    shared = bytearray()
    receive_bytes = 1  # so they take turns, however late this server comes to them

    def client(self, sock: socket.socket) -> Client:
        """Give every client the same buffer."""
        client = super().client(sock)
        client.received = self.shared
        return client


@plant("slice-shared", "HFTP-10.3")
class SliceShared(Commands):
    """The file under way is an attribute of the server, so two busy clients get each other's bytes."""

    def chunks(self, file: BinaryIO, offset: int, size: int) -> Parts:
        """Keep the file where all can see it, while the disk is busy."""
        self.current, self.offset = file, offset
        time.sleep(0.002)
        try:
            whole = os.pread(self.current.fileno(), size, self.offset)
        except (OSError, ValueError):
            whole = b""
        yield whole + bytes(size - len(whole))
        file.close()


@plant("clients-limited", "HFTP-10.4")
class ClientsLimited(Threads):
    """Ten clients are served at a time; the eleventh waits until one of them leaves."""

    slots = threading.Semaphore(10)

    def attend(self, sock: socket.socket) -> None:
        """Wait for a place."""
        with self.slots:
            super().attend(sock)


@plant("clients-refused", "HFTP-10.4", style=Lines)
class ClientsRefused(Lines):
    """Ten clients are served at a time; the eleventh is closed at once, without a word."""

    count = 0

    def attend(self, sock: socket.socket) -> None:
        """Turn away whom there is no place for."""
        self.count += 1
        try:
            if self.count <= 10:
                super().attend(sock)
        finally:
            self.count -= 1


@plant("slow-reader-blocks-all", "HFTP-10.2", style=Loop)
class SlowReaderBlocks(Loop):
    """The loop sends by sendall() on a blocking socket, so a client that does not read stops all others."""

    def write(self, client: Client) -> None:
        """Send all, whatever it takes."""
        client.sock.settimeout(None)
        while client.outgoing or self.refill(client):
            client.sock.sendall(client.outgoing)
            client.outgoing = memoryview(b"")
        client.sock.settimeout(0)
        super().write(client)


@plant("files-left-open", "HFTP-10.4")
class FilesLeftOpen(Commands):
    """Files are never closed; when there are 200 the system gives no more, and everything is 199."""

    def __init__(self, directory: Path, dialect: str) -> None:
        super().__init__(directory, dialect)
        self.opened: list[int] = []

    def open(self, name: bytes) -> BinaryIO:
        """Keep a descriptor."""
        file = super().open(name)
        if len(self.opened) >= 200:
            file.close()
            raise OSError
        self.opened.append(os.dup(file.fileno()))
        return file


@plant("sockets-left-open", "HFTP-10.4", style=Lines)
class SocketsLeftOpen(Lines):
    """Sockets are never closed; after 100 clients the server takes no more."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.left: list[socket.socket] = []

    def attend(self, sock: socket.socket) -> None:
        """Keep a copy."""
        if len(self.left) < 100:
            self.left.append(sock.dup())
            super().attend(sock)


@plant("error-remembered", "HFTP-10.3", style=Loop)
class RefusesAfterError(Commands):
    """An error is remembered in the server, not in the client: after one 203 everybody gets 203 for a slice."""

    has_failed = False

    def check_range(self, offset: int, size: int, file_size: int) -> None:
        """Remember the failure for all."""
        if self.has_failed:
            self.has_failed = False
            raise CommandError(203)
        try:
            super().check_range(offset, size, file_size)
        except CommandError:
            self.has_failed = True
            raise

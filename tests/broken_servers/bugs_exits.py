"""Mistakes that end the process a moment after a correct reply, so that the next client finds nobody."""

import os
import socket
import threading

from tests.broken_servers.bug import plant
from tests.broken_servers.commands import Commands, Parts
from tests.broken_servers.style_loop import Client, Loop
from tests.broken_servers.style_threads import Threads

EXIT_SECONDS = 0.02
ESTABLISHED = 1
"""Of the states in `linux/tcp_states.h`."""


def exit_later(seconds: float = EXIT_SECONDS) -> None:
    """End the process when the reply has been sent."""
    threading.Timer(seconds, os._exit, (1,)).start()


@plant("nul-exits-later", "HFTP-1.13")
@plant("nul-exits-later-loop", "HFTP-1.13", style=Loop)
class NulExitsLater(Commands):
    """A line with a NUL is answered rightly, and its log entry then ends the process."""

    def reply(self, raw: bytes) -> tuple[Parts, bool]:
        """Answer and exit."""
        if b"\0" in raw:
            exit_later()
        return super().reply(raw)


@plant("long-name-exits-later", "HFTP-9.2")
@plant("long-name-exits-later-loop", "HFTP-9.2", style=Loop)
class LongNameExitsLater(Commands):
    """A name of more than 255 bytes is answered rightly, and has overwritten what ends the process a moment later."""

    def check_name(self, name: bytes) -> bytes:
        """Answer and exit."""
        if len(name) > 255:
            exit_later()
        return super().check_name(name)


def is_connected(sock: socket.socket) -> bool:
    """Return whether neither side has ended its stream."""
    return sock.fileno() >= 0 and sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED


@plant("second-client-exits-later", "HFTP-10.3")
class SecondClientExitsLater(Threads):
    """A client that is answered while another is connected ends the process a moment later."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.clients: list[socket.socket] = []

    def start(self, sock: socket.socket) -> None:
        """Remember the client, and forget those that have gone."""
        self.clients = [client for client in self.clients if client.fileno() >= 0] + [sock]
        super().start(sock)

    def answer(self, sock: socket.socket, raw: bytes) -> bool:
        """Answer, and exit if another client is connected."""
        if any(client is not sock and is_connected(client) for client in self.clients):
            exit_later()
        return super().answer(sock, raw)


@plant("second-client-exits-later-loop", "HFTP-10.3")
class SecondClientExitsLaterLoop(Loop):
    """A client whose line is read while another is connected ends the process a moment later."""

    def __init__(self, commands: Commands) -> None:
        super().__init__(commands)
        self.clients: list[socket.socket] = []

    def client(self, sock: socket.socket) -> Client:
        """Remember the client, and forget those that have gone."""
        self.clients = [client for client in self.clients if client.fileno() >= 0] + [sock]
        return super().client(sock)

    def take_line(self, client: Client) -> bytes:
        """Take a line, and exit if another client is connected."""
        raw = super().take_line(client)
        if raw and any(other is not client.sock and is_connected(other) for other in self.clients):
            exit_later()
        return raw

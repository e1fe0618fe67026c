"""Servers that are no servers: what the suite has to end with, in bounded time and memory."""

import contextlib
import itertools
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.broken_servers import running

Play = Callable[[socket.socket], None]
HOSTILE: dict[str, Play] = {}


def hostile(play: Play) -> Play:
    """Register what is done to each client; the docstring says what it is."""
    HOSTILE[play.__name__.replace("_", "-")] = play
    return play


def send_for_ever(sock: socket.socket, parts: Iterable[bytes], pause_seconds: float = 0.0) -> None:
    """Send part after part, until the client goes."""
    for part in parts:
        sock.sendall(part)
        time.sleep(pause_seconds)


def read_for_ever(sock: socket.socket) -> None:
    """Read until the client ends its stream."""
    while sock.recv(1 << 16):
        pass


@hostile
def close_at_once(sock: socket.socket) -> None:
    """Close each connection as soon as it is made."""
    sock.shutdown(socket.SHUT_RDWR)


@hostile
def reset_at_once(sock: socket.socket) -> None:
    """Reset each connection as soon as it is made."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@hostile
def reset_at_command(sock: socket.socket) -> None:
    """Reset each connection when the first command comes."""
    sock.recv(1)
    reset_at_once(sock)


@hostile
def silent(sock: socket.socket) -> None:
    """Accept, read, and never say anything."""
    read_for_ever(sock)


@hostile
def deaf(sock: socket.socket) -> None:
    """Accept, and neither read nor say anything."""
    while sock.recv(1, socket.MSG_PEEK):
        time.sleep(0.2)


@hostile
def drip(sock: socket.socket) -> None:
    """Send a byte a second of a reply that looks right."""
    send_for_ever(sock, (bytes([byte]) for byte in itertools.cycle(b"0 OK\r\n")), 1.0)


@hostile
def endless_line(sock: socket.socket) -> None:
    """Begin a status line, and never end it."""
    send_for_ever(sock, itertools.chain([b"0 OK"], itertools.repeat(b" and more" * 100)), 0.001)


@hostile
def endless_listing(sock: socket.socket) -> None:
    """Answer each connection by a listing that never ends."""
    sock.recv(1)
    names = (b"name-%d\r\n" % number for number in itertools.count())
    send_for_ever(sock, itertools.chain([b"0 OK\r\n"], names))


@hostile
def endless_replies(sock: socket.socket) -> None:
    """Answer the first command again and again."""
    sock.recv(1)
    send_for_ever(sock, itertools.repeat(b"0 OK\r\n"))


@hostile
def boastful_size(sock: socket.socket) -> None:
    """Answer everything by a size that no file has, and no contents."""
    while sock.recv(1 << 16):
        sock.sendall(b"0 OK\r\n" + b"9" * 5000 + b"\r\n")


@hostile
def echo(sock: socket.socket) -> None:
    """Send back what comes."""
    while data := sock.recv(1 << 16):
        sock.sendall(data)


@hostile
def http(sock: socket.socket) -> None:
    """Speak HTTP."""
    if sock.recv(1 << 16):
        body = b"<html><body><h1>400 Bad Request</h1></body></html>\n"
        sock.sendall(
            b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Type: text/html\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
        )


@hostile
def flood(sock: socket.socket) -> None:
    """Send zeros as fast as it can, without having been asked."""
    send_for_ever(sock, itertools.repeat(bytes(1 << 16)))


@hostile
def always_ok(sock: socket.socket) -> None:
    """Answer every line by the status line of success alone."""
    with sock.makefile("rb") as lines:
        while lines.readline(1 << 23):
            sock.sendall(b"0 OK\r\n")


@hostile
def always_missing(sock: socket.socket) -> None:
    """Answer every line by FILE NOT FOUND."""
    with sock.makefile("rb") as lines:
        while lines.readline(1 << 23):
            sock.sendall(b"202 FILE NOT FOUND\r\n")


@hostile
def never_ends(sock: socket.socket) -> None:
    """Answer nothing, and do not notice that the client has ended its stream."""
    for _ in range(100):
        time.sleep(0.5)
        sock.getpeername()


@hostile
def leaves_after_three(sock: socket.socket) -> None:
    """Answer three connections, and then end the process."""
    sock.sendall(b"0 OK\r\n")
    if next(LEAVING) == 3:
        raise SystemExit


LEAVING = itertools.count(1)


def serve(play: Play, listener: socket.socket) -> None:
    """Play with each client in a thread of its own, until one of them ends the process."""
    is_over = threading.Event()

    def attend(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            try:
                play(sock)
            except SystemExit:
                is_over.set()

    listener.settimeout(0.2)
    while not is_over.is_set():
        with contextlib.suppress(TimeoutError):
            sock, _ = listener.accept()
            sock.settimeout(None)
            threading.Thread(target=attend, args=(sock,), daemon=True).start()


def prepare(name: str, directory: Path, dialect: str) -> tuple[Callable[[str, int], socket.socket], running.Serve]:
    """Return how a hostile server listens and serves; directory and dialect mean nothing to it."""
    del directory, dialect
    return running.listen, lambda listener: serve(HOSTILE[name], listener)


NAMES = {name: play.__doc__ or "" for name, play in HOSTILE.items()}

if __name__ == "__main__":
    sys.exit(running.run(sys.argv[1:], NAMES, prepare))

"""Hostile servers: each does the same to every client, whatever it sends."""

import contextlib
import itertools
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable

Handler = Callable[[socket.socket], None]
HOSTILE: dict[str, Handler] = {}


def hostile(handler: Handler) -> Handler:
    """Register a handler of clients; its docstring describes it."""
    HOSTILE[handler.__name__.replace("_", "-")] = handler
    return handler


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
    """Accept, read, and never send anything."""
    read_for_ever(sock)


@hostile
def deaf(sock: socket.socket) -> None:
    """Accept, and neither read nor send anything."""
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
def long_names(sock: socket.socket) -> None:
    """Answer each command by a listing of names that are as long as any line may be."""
    while sock.recv(1 << 16):
        sock.sendall(b"0 OK\r\n")
        send_for_ever(sock, itertools.repeat(b"n" * 65_000 + b"\r\n"))


@hostile
def chatty(sock: socket.socket) -> None:
    """Print as much as it can while it reads, and never answer."""
    while sock.recv(1 << 16):
        for _ in range(64):
            os.write(1, bytes(1 << 20))


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


ACTING = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
"""Characters that act on a terminal or on the order of text: C0, DEL, C1 and the bidirectional ones."""
ESCAPES = f"{ACTING}\x1b]0;owned\x07\x1b[2J\x9b31m\u2028\u200e\ufeff\U000e0001"


@hostile
def escapes(sock: socket.socket) -> None:
    """Put all that acts on a terminal into each reply, and print it."""
    text = ESCAPES.replace("\r", "").replace("\n", "")
    with sock.makefile("rb") as lines:
        while line := lines.readline(1 << 23):
            sys.stdout.write(f"{ESCAPES}\n{text}")
            sys.stdout.flush()
            code = b"0" if line.startswith(b"get_file") else b"200"
            sock.sendall(code + b" " + text.encode() + b"\r\n" + (text.encode() + b"\r\n\r\n") * (code == b"0"))


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


def serve(handler: Handler, listener: socket.socket) -> None:
    """Handle each client in a thread of its own, until one of them ends the process."""
    is_over = threading.Event()

    def attend(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            try:
                handler(sock)
            except SystemExit:
                is_over.set()

    listener.settimeout(0.2)
    while not is_over.is_set():
        with contextlib.suppress(TimeoutError):
            sock, _ = listener.accept()
            sock.settimeout(None)
            threading.Thread(target=attend, args=(sock,), daemon=True).start()

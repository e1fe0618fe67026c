"""Clients that request without pause, and the outcomes of their requests while servers stop, reload and crash."""

import collections
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

CONTENT = bytes(range(256)) * 2048
"""512 KiB: more than a socket buffer, so that replies are in progress at any moment."""

_REQUEST = b"get_slice content 0 %d raw\r\n" % len(CONTENT)
_REPLY = b"0 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT
_TIMEOUT_SECONDS = 120.0  # of what never ends: a busy machine takes long to stop and start servers

WHOLE = "whole"
NOT_BEGUN = "closed before it began"
"""A connection that was closed between two replies."""
UNANSWERED = "closed before the first reply"
REFUSED = "refused"
BROKEN = frozenset({"lost", "wrong", "reset", "reset while connecting", "hung"})
"""The outcomes that must never occur."""


def populate(directory: Path) -> None:
    """Write the file that is requested."""
    (directory / "content").write_bytes(CONTENT)


class Load:
    """Clients, each in a thread, that send requests between `__enter__` and `__exit__`, and counts of the outcomes."""

    def __init__(self, port: int, clients: int) -> None:
        self._port = port
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run_client, daemon=True) for _ in range(clients)]
        self.outcomes: collections.Counter[str] = collections.Counter()

    def __enter__(self) -> "Self":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(_TIMEOUT_SECONDS * 2)

    @property
    def broken(self) -> dict[str, int]:
        """The outcomes that must not occur, and their counts."""
        return {outcome: count for outcome, count in self.outcomes.items() if outcome in BROKEN}

    def _run_client(self) -> None:
        while not self._is_over.is_set():
            outcome = ask(self._port)
            with self._lock:
                self.outcomes[outcome] += 1
            if outcome == REFUSED:
                self._is_over.wait(0.01)


def ask(port: int) -> str:
    """Send two requests on one connection, and return the outcome."""
    with socket.socket() as client:
        client.settimeout(_TIMEOUT_SECONDS)
        try:
            client.connect(("127.0.0.1", port))
        except ConnectionRefusedError:
            return REFUSED
        except ConnectionResetError:
            return "reset while connecting"
        except TimeoutError:
            return "hung"
        try:
            return _ask_twice(client)
        except (ConnectionResetError, BrokenPipeError):
            return "reset"
        except TimeoutError:
            return "hung"


def _ask_twice(client: socket.socket) -> str:
    first = _ask(client)
    if first == WHOLE:
        return _ask(client)
    return UNANSWERED if first == NOT_BEGUN else first


def _ask(client: socket.socket) -> str:
    client.sendall(_REQUEST)
    reply = bytearray()
    while len(reply) < len(_REPLY) and (data := client.recv(1 << 16)):
        reply += data
    if not reply:
        return NOT_BEGUN
    if len(reply) < len(_REPLY):
        return "lost"
    return WHOLE if reply == _REPLY else "wrong"

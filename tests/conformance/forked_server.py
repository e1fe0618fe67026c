"""A server that is forked for one test, and requests to it in raw bytes."""

import contextlib
import os
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.broken_servers import forking

if TYPE_CHECKING:
    from tests.forked import ForkedProcess

TIMEOUT_SECONDS = 20.0
SILENCE_SECONDS = 0.15
"""How long to wait where nothing is expected."""


class Running:
    """A forked server without connections so far."""

    def __init__(self, name: str, directory: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="hftp-forked-") as scratch:
            port_file = Path(scratch) / "port"
            words = [name, "-p", "0", "--port-file", str(port_file), "-d", str(directory)]
            suite, self._pipe = os.pipe()
            with open(os.devnull, "wb") as null:  # noqa: PTH123  (a device)
                self.process: ForkedProcess = forking.launch(words, "", suite, null.fileno())
            os.close(suite)
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while not port_file.exists():
                assert time.monotonic() < deadline, "the server does not start"
                time.sleep(0.002)
            self.address = ("127.0.0.1", int(port_file.read_text(encoding="ascii")))

    def close(self) -> None:
        """End the server."""
        os.close(self._pipe)
        self.process.wait(TIMEOUT_SECONDS)

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(self.address, TIMEOUT_SECONDS)

    def send_line(self, sent: bytes) -> bytes:
        """Return all data until the server closes, or is silent for a while."""
        with self.connect() as sock:
            sock.sendall(sent)
            return read(sock)

    def ask(self, sent: bytes) -> bytes:
        """Return the reply to the last bytes of a stream, up to EOF."""
        with self.connect() as sock:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            return read(sock, TIMEOUT_SECONDS)

    def has_ended(self) -> bool:
        """Return whether the process ends by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(TIMEOUT_SECONDS)
        return self.process.returncode is not None

    def cpu_seconds(self) -> float:
        """Return the processor time of the server."""
        guard = self.process.pid
        (server,) = Path(f"/proc/{guard}/task/{guard}/children").read_text(encoding="ascii").split()
        fields = Path(f"/proc/{server}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read(sock: socket.socket, silence_seconds: float = SILENCE_SECONDS) -> bytes:
    """Return all data until EOF, or until the server is silent for a while."""
    sock.settimeout(silence_seconds)
    parts = []
    with contextlib.suppress(ConnectionError, TimeoutError):
        while data := sock.recv(1 << 16):
            parts.append(data)
    return b"".join(parts)


def is_closed(sock: socket.socket) -> bool:
    """Return whether the server closes soon, without sending more."""
    sock.settimeout(SILENCE_SECONDS)
    try:
        return not sock.recv(1)
    except TimeoutError:
        return False


def reset(sock: socket.socket) -> None:
    """Reset a connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()

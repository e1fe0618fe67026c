"""Open sockets in another network namespace, by asking a process that runs in it; see network_namespaces(7).

A socket stays in the namespace in which it was opened, whichever process uses it. So a process of the namespace opens
it, and hands over its descriptor (SCM_RIGHTS in unix(7)): no privilege is needed, and no thread changes its namespace.
"""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final

REQUEST: Final = struct.Struct("=iii")
"""What is asked for: family, type and protocol of a socket."""
ANSWER: Final = struct.Struct("=i")
"""What is answered: 0 and the descriptor, or an error number."""
_SECONDS: Final = 10.0

OpenSocket = Callable[[int, int, int], socket.socket]
"""Opens a socket, given its family, type and protocol; raises OSError."""


class NamespaceSocket(socket.socket):
    """A socket of another network namespace."""

    open_beside: OpenSocket
    """Opens a socket in the same namespace."""


class NetworkNamespace:
    """Opens sockets in the namespace of the process at the other end of a socket pair (SOCK_SEQPACKET)."""

    def __init__(self, asking: socket.socket) -> None:
        self._asking = asking
        self._lock = threading.Lock()
        asking.settimeout(_SECONDS)

    def open(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Return a new socket; raise OSError: ConnectionRefusedError if the process is gone."""
        with self._lock:
            try:
                self._asking.send(REQUEST.pack(family, kind, protocol))
                answer, descriptors, *_ = socket.recv_fds(self._asking, ANSWER.size, 1)
            except OSError as error:
                answer, descriptors = b"", []
                reason: OSError | None = error
            else:
                reason = None
        if len(answer) != ANSWER.size:
            message = "the server's network is gone"
            raise ConnectionRefusedError(message) from reason
        (number,) = ANSWER.unpack(answer)
        if number or not descriptors:
            raise OSError(number, os.strerror(number))
        sock = NamespaceSocket(family, kind, protocol, descriptors[0])
        sock.open_beside = self.open
        return sock

    def close(self) -> None:
        """Ask for no more."""
        with contextlib.suppress(OSError):
            self._asking.close()


def opener_of(sock: socket.socket) -> OpenSocket:
    """Return what opens sockets in the network namespace of a socket."""
    return sock.open_beside if isinstance(sock, NamespaceSocket) else socket.socket

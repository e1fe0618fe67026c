"""Drain a listening socket: drop new SYNs, accept the backlog, then close, so that no queued client is reset.

The kernel completes handshakes by itself and queues the connections; closing the listener aborts those in the queue
(`tcp_migrate_req` in https://docs.kernel.org/networking/ip-sysctl.html). No call stops the queueing, but a socket
filter (SO_ATTACH_FILTER in https://man7.org/linux/man-pages/man7/socket.7.html,
https://docs.kernel.org/networking/filter.html) can drop SYN packets. Clients retransmit them, and are refused once
the listener is closed.
"""

import array
import contextlib
import logging
import select
import socket
import struct
from time import monotonic, sleep
from typing import Final

from greenserver.net import socket_file
from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.005
"""How often to look whether the queue is empty."""

_LAST_CALL_SECONDS: Final = 1.0  # maximum wait for the queue to empty: a busy server must still stop
_UNDER_WAY_SECONDS: Final = 0.1  # wait for the last packet of a handshake that has begun
_GOODBYE_SECONDS: Final = 1.0
_ATTACH_FILTER: Final = getattr(socket, "SO_ATTACH_FILTER", 26)  # not among Python's constants
_INSTRUCTION: Final = struct.Struct("=HBBI")  # struct sock_filter of linux/filter.h
_PROGRAM: Final = (
    (0x30, 0, 0, 13),  # ldb [13]: the flags of the TCP header
    (0x45, 0, 1, 0x02),  # jset #SYN
    (0x06, 0, 0, 0),  # set: ret #0, drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # not set: ret #-1, accept all of it
)


def drop_new_connections(listener: socket.socket) -> None:
    """Stop new connections from entering the accept queue, if the system supports that."""
    if listener.family == socket.AF_UNIX:  # clients connect by path
        socket_file.remove(listener)
        return
    program = array.array("B", b"".join(_INSTRUCTION.pack(*line) for line in _PROGRAM))
    try:
        listener.setsockopt(
            socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(_PROGRAM), program.buffer_info()[0])
        )
    except OSError as error:
        report(_log, logging.DEBUG, "listener takes no filter", reason=error.strerror)


def is_anybody_waiting(listener: socket.socket) -> bool:
    """Return whether a client waits in the accept queue."""
    descriptor = listener.fileno()
    if descriptor < 0:
        return False
    looking = select.poll()
    looking.register(descriptor, select.POLLIN)
    return bool(looking.poll(0))


class LastCall:
    """Ends accepting once new SYNs are dropped: when the queue has been empty for 0.1 s, after 1 s at the latest."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        now = monotonic()
        self._last, self._quiet = now + _LAST_CALL_SECONDS, now + _UNDER_WAY_SECONDS

    def is_over(self) -> bool:
        """Look at the queue, and return whether to stop accepting. Call it every `LOOK_SECONDS`."""
        now = monotonic()
        if is_anybody_waiting(self._listener):
            self._quiet = now + _UNDER_WAY_SECONDS
        return now >= min(self._last, self._quiet)


def wait_until_empty(listener: socket.socket) -> None:
    """Wait for the last call to be over, while others accept."""
    last_call = LastCall(listener)
    while not last_call.is_over():
        sleep(LOOK_SECONDS)


def close_queued(listener: socket.socket) -> None:
    """Accept the rest of the queue, and close each connection with EOF, not with a reset."""
    dismissed = []
    with contextlib.suppress(OSError):  # the queue is empty, or there are no descriptors left
        while True:
            client, _ = listener.accept()
            dismissed.append(client)
            client.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)
    last = monotonic() + _GOODBYE_SECONDS
    while dismissed and monotonic() < last:
        dismissed = [client for client in dismissed if not _has_gone(client)]
        sleep(LOOK_SECONDS)
    for client in dismissed:
        client.close()


def _has_gone(client: socket.socket) -> bool:
    """Discard a client's input; at EOF or on an error, close its socket and return True."""
    try:
        while client.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    client.close()
    return True

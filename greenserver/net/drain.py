"""How a listener closes without a reset: first nobody new gets in, then who waits is served, then it closes.

The kernel completes connections by itself and queues them; closing a listener resets all of the queue. No
call makes it stop queueing, but a filter can drop the packets that would begin new connections. Their
senders try again, and are refused once the listener is closed.
"""

import array
import contextlib
import logging
import select
import socket
import struct
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.005
_LAST_CALL_SECONDS: Final = 1.0  # whoever is too busy to accept must still stop
_UNDER_WAY_SECONDS: Final = 0.1  # how long the last packet of a connection that has begun may be on its way
_GOODBYE_SECONDS: Final = 1.0
_ATTACH_FILTER: Final = getattr(socket, "SO_ATTACH_FILTER", 26)  # absent from Python's constants
_INSTRUCTION: Final = struct.Struct("=HBBI")  # struct sock_filter of linux/filter.h
_PROGRAM: Final = (
    (0x30, 0, 0, 13),  # load the byte at 13, the flags of the TCP header
    (0x45, 0, 1, 0x02),  # is SYN set?
    (0x06, 0, 0, 0),  # yes: drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # no: take all of it
)


def refuse_new(listener: socket.socket) -> None:
    """Let nobody new reach a listener, as far as the system can do that."""
    if listener.family == socket.AF_UNIX:  # its clients find it by its file
        with contextlib.suppress(OSError):
            Path(listener.getsockname()).unlink()
        return
    program = array.array("B", b"".join(_INSTRUCTION.pack(*line) for line in _PROGRAM))
    try:
        listener.setsockopt(
            socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(_PROGRAM), program.buffer_info()[0])
        )
    except OSError as error:
        report(_log, logging.DEBUG, "listener takes no filter", reason=error.strerror)


def is_anybody_waiting(listener: socket.socket) -> bool:
    """Tell whether a client waits to be accepted."""
    descriptor = listener.fileno()
    if descriptor < 0:
        return False
    looking = select.poll()
    looking.register(descriptor, select.POLLIN)
    return bool(looking.poll(0))


def wait_until_empty(listener: socket.socket) -> None:
    """Wait until nobody waits to be accepted any more, within limits."""
    now = monotonic()
    last, quiet = now + _LAST_CALL_SECONDS, now + _UNDER_WAY_SECONDS
    while (now := monotonic()) < min(last, quiet):
        if is_anybody_waiting(listener):
            quiet = now + _UNDER_WAY_SECONDS
        sleep(_LOOK_SECONDS)


def close_queued(listener: socket.socket) -> None:
    """Accept whoever still waits, and let each see the end of the stream, not a reset."""
    dismissed = []
    with contextlib.suppress(OSError):  # nobody waits any more, or no room for more
        while True:
            client, _ = listener.accept()
            dismissed.append(client)
            client.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)
    last = monotonic() + _GOODBYE_SECONDS
    while dismissed and monotonic() < last:
        dismissed = [client for client in dismissed if not _has_gone(client)]
        sleep(_LOOK_SECONDS)
    for client in dismissed:
        client.close()


def _has_gone(client: socket.socket) -> bool:
    """Read what a client says, and close it if that was all."""
    try:
        while client.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    client.close()
    return True

"""systemd: socket activation (sd_listen_fds(3)) and readiness notification (sd_notify(3)).

Both are described at https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html and
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html.
"""

import contextlib
import logging
import os
import socket
from _socket import socket as RawSocket  # noqa: N812  (the C class: signal handlers, too, can wait for it under gevent)
from collections.abc import MutableMapping
from typing import Final

from greenserver.config.addresses import INHERITED_PREFIX
from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)

_NOTIFY_SECONDS: Final = 1.0
_FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)


def inherited_listener(address: str, environment: MutableMapping[str, str] = os.environ) -> socket.socket | None:
    """Return the listener that was passed in, by fd://N as the address or by systemd; None if there is none.

    Raise OSError with a readable message if the descriptor is not a listening socket.
    """
    if address.startswith(INHERITED_PREFIX):
        number = address.removeprefix(INHERITED_PREFIX)
        if not (number.isascii() and number.isdigit()):
            message = f"{address} is not fd://N, where N is the descriptor of a listening socket"
            raise OSError(message)
        return _adopt(int(number), address)
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = environment.get("LISTEN_FDS", "0")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environment.pop(name, None)  # not for child processes
    if count == "0":
        return None
    if count != "1":
        message = f"systemd passed {count} sockets; use a single ListenStream= for greenserver"
        raise OSError(message)
    return _adopt(_FIRST_DESCRIPTOR, "systemd's socket")


def notify(state: str) -> None:
    """Send a state to systemd (sd_notify(3)), if it set NOTIFY_SOCKET; give up after a second."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with contextlib.closing(RawSocket(socket.AF_UNIX, socket.SOCK_DGRAM)) as ear:
            ear.settimeout(_NOTIFY_SECONDS)
            ear.connect("\0" + address[1:] if address.startswith("@") else address)
            ear.send(state.encode())
    except OSError as error:  # systemd is gone or does not read, or there is no descriptor left: keep serving
        report(_log, logging.WARNING, "cannot notify systemd", state=state, reason=str(error))


def _adopt(descriptor: int, name: str) -> socket.socket:
    try:
        listener = socket.socket(fileno=descriptor)
    except OSError as error:
        message = f"cannot listen on {name}: {error.strerror}; it must be an open socket"
        raise OSError(message) from error
    is_listening = listener.type == socket.SOCK_STREAM and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if not is_listening:
        listener.detach()
        message = f"cannot listen on {name}: it must be a listening stream socket"
        raise OSError(message)
    listener.set_inheritable(False)
    listener.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
    return listener

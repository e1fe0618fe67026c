"""Servers that answer rightly, and at the first listing misuse what every process may: signals, output, the disk."""

import ctypes
import os
import signal
import time
from pathlib import Path

from tests.broken_servers.hostile.directories import Attack

MISUSES: dict[str, Attack] = {}
_PR_SET_PDEATHSIG = 1
_PRINTED_BYTES = 1 << 30
_FILLED_BYTES = 64 << 20


def misuse(function: Attack) -> Attack:
    """Register what is done; the docstring says what it is."""
    MISUSES[function.__name__.replace("_", "-")] = function
    return function


def fork_daemon() -> None:
    """Leave a process in a session of its own that goes on for ten minutes."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)


@misuse
def kill_parent(_directory: Path, _victim: Path) -> None:
    """Leave a daemon, and kill the parent."""
    fork_daemon()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)
    os.kill(os.getppid(), signal.SIGKILL)


@misuse
def leave_daemons(_directory: Path, _victim: Path) -> None:
    """Leave ten daemons that ignore SIGTERM, and ignore it as well."""
    for _ in range(10):
        fork_daemon()


@misuse
def print_gigabyte(_directory: Path, _victim: Path) -> None:
    """Print a gigabyte."""
    for _ in range(_PRINTED_BYTES >> 20):
        os.write(1, bytes(1 << 20))


@misuse
def fill_directory(directory: Path, _victim: Path) -> None:
    """Write files into the directory, and directories in directories."""
    (directory / "junk").write_bytes(bytes(_FILLED_BYTES))
    (directory / "/".join(["deep"] * 40)).mkdir(parents=True)

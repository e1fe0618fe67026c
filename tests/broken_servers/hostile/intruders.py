"""Servers that answer rightly, and at the first listing try what no server needs: what a sandbox has to stop.

Each prints what it reached, and goes on if it can. Those that would harm the machine do nothing outside a sandbox that
stops them. `python -m tests.broken_servers.hostile.intruders NAME DIRECTORY` does one of them, without a server.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.broken_servers.hostile.directories import Attack

INTRUDERS: dict[str, Attack] = {}
PORT = "HFTP_HOST_PORT"
"""The variable of the environment with a TCP port at which somebody else's program listens."""
LIMITED = "HFTP_LIMITED"
"""The variable that is set where a sandbox limits what a program may use."""
PROCESS = "HFTP_HOST_PROCESS"
"""The variable with the id of somebody else's process."""
_CLONE_NEWUSER_NEWNS = 0x10020000
_MS_REMOUNT_BIND = 32 | 4096
_MOST_PROCESSES = 3000
_MOST_GIBIBYTES = 6
_PIECE_BYTES = 32 << 20


def intruder(function: Attack) -> Attack:
    """Register what is tried; the docstring says what it is."""
    INTRUDERS[function.__name__.replace("_", "-")] = function
    return function


def tell(text: str) -> None:
    """Print a line at once."""
    os.write(1, f"{text}\n".encode())


def is_confined() -> bool:
    """Return whether process 1 is the suite's, so that signals reach nobody else."""
    with contextlib.suppress(OSError):
        return b"confined_guard" in Path("/proc/1/cmdline").read_bytes()
    return False


def is_limited() -> bool:
    """Return whether whoever started this says that a sandbox limits it."""
    return LIMITED in os.environ


def attempt(try_: Callable[[], object]) -> str:
    """Return why something failed; empty if it did not."""
    try:
        try_()
    except (OSError, RuntimeError) as error:
        return str(getattr(error, "strerror", None) or error)
    return ""


@intruder
def read_dear(_directory: Path, victim: Path) -> None:
    """Read what is dear to somebody else."""
    for path in (victim, victim / "file", Path(f"/proc/1/root{victim}"), Path("/proc/1/environ")):
        with contextlib.suppress(OSError):
            found = path.read_bytes() if path.is_file() else os.listdir(path)
            if found:
                tell(f"reached {path}")


@intruder
def write_dear(directory: Path, victim: Path) -> None:
    """Write to what is dear, and to the served directory."""
    for path in (victim / "intruder", directory / "intruder"):
        with contextlib.suppress(OSError):
            path.write_bytes(b"was here")
            tell(f"reached {path}")


@intruder
def write_log(_directory: Path, _victim: Path) -> None:
    """Write a log file into its own folder, as honest servers do, and read it."""
    try:
        Path("server.log").write_text("started\n", encoding="ascii")
        tell(f"logged {Path('server.log').read_text(encoding='ascii').strip()}")
    except OSError as error:
        tell(f"no log: {error.strerror}")


@intruder
def remount(directory: Path, victim: Path) -> None:
    """Make the served directory writable, in a namespace of its own, and mount something over it."""
    libc = ctypes.CDLL(None)
    for flags in (0, _CLONE_NEWUSER_NEWNS):
        if os.fork():
            os.wait()
            continue
        if flags:
            libc.unshare(flags)
        libc.mount(None, os.fsencode(directory), None, _MS_REMOUNT_BIND, None)
        libc.umount2(os.fsencode(directory), 2)
        write_dear(directory, victim)
        os._exit(0)


@intruder
def kill_others(_directory: Path, _victim: Path) -> None:
    """Kill the parent, process 1 if that is the suite's, somebody else's process, and then all that can be killed."""
    found = [os.getppid(), int(os.environ.get(PROCESS, "0"))]
    for process in [*found, *([-1] if is_confined() else [])]:
        if process and is_limited():
            reason = attempt(partial(os.kill, process, signal.SIGKILL))
            tell(f"cannot kill {process}: {reason}" if reason else f"reached process {process}")


@intruder
def fork_bomb(_directory: Path, _victim: Path) -> None:
    """Start processes until there can be no more, and wait."""
    if not is_limited():
        return
    for number in range(_MOST_PROCESSES):
        if reason := attempt(_fork_sleeper):
            tell(f"{number} processes: {reason}")
            time.sleep(600)
            return
    tell(f"reached {_MOST_PROCESSES} processes")


def _fork_sleeper() -> None:
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
        os._exit(0)


@intruder
def thread_bomb(_directory: Path, _victim: Path) -> None:
    """Start threads until there can be no more, and wait."""
    if not is_limited():
        return
    for number in range(_MOST_PROCESSES):
        if reason := attempt(threading.Thread(target=time.sleep, args=(600,), daemon=True).start):
            tell(f"{number} threads: {reason}")
            time.sleep(600)
            return
    tell(f"reached {_MOST_PROCESSES} threads")


@intruder
def memory_bomb(_directory: Path, _victim: Path) -> None:
    """Take memory until there is no more."""
    _take_memory(_MOST_GIBIBYTES << 30)


@intruder
def memory_bombs(_directory: Path, _victim: Path) -> None:
    """Take memory in eight processes, a share in each."""
    for _ in range(7):
        if os.fork() == 0:
            _take_memory((_MOST_GIBIBYTES << 30) // 8)
            time.sleep(600)
    _take_memory((_MOST_GIBIBYTES << 30) // 8)
    time.sleep(600)


def _take_memory(size: int) -> None:
    pieces: list[bytes] = []
    while is_limited() and len(pieces) * _PIECE_BYTES < size:
        pieces.append(b"x" * _PIECE_BYTES)
        time.sleep(0.002)
    if pieces:
        tell(f"reached {len(pieces) * _PIECE_BYTES >> 20} MiB")


@intruder
def fill_disk(directory: Path, _victim: Path) -> None:
    """Fill whatever can be written to."""
    if not is_limited():
        return
    written = 0
    for place in (directory, Path(), Path("/tmp"), Path.home(), Path("/dev/shm")):
        for number in range(20):
            with contextlib.suppress(OSError), (place / f"junk-{number}").open("wb", buffering=0) as file:
                for _ in range(4):
                    written += file.write(bytes(_PIECE_BYTES))
    tell(f"wrote {written >> 20} MiB")


@intruder
def connect_to_host(_directory: Path, _victim: Path) -> None:
    """Connect to somebody else's program on this machine, and to another machine."""
    for host, port in (("127.0.0.1", int(os.environ.get(PORT, "22"))), ("192.0.2.1", 80)):
        reason = attempt(partial(_connect, host, port))
        tell(f"cannot connect to {host}: {reason}" if reason else f"reached {host}")


def _connect(host: str, port: int) -> None:
    socket.create_connection((host, port), 2.0).close()


if __name__ == "__main__":
    _name, _directory = sys.argv[1:]
    INTRUDERS[_name](Path(_directory), Path(os.environ["HFTP_VICTIM"]))
    tell("done")

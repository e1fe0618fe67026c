"""Run greenserver, and count its descriptors, threads and greenlets on request.

Used as ``python -m tests.greenserver.instrumented COUNTS-SOCKET OPTION...``. Each connection to the unix
socket is answered with one JSON object. The counting runs in a native thread, even in a monkey-patched process.

With `TEST_PERMISSIONS` in the environment, file permissions apply to the server even if root runs the tests.
With `TEST_HANGING_DIRECTORY`, opening that directory blocks while there is a file of its name and `HANGS`, as on a file
system that has gone away, and a reload may take half a second.
"""

import ctypes
import gc
import json
import os
import socket
import sys
import time
from _thread import start_new_thread
from pathlib import Path
from typing import Any

from greenserver.__main__ import main as run_command_line
from greenserver.config import limits
from greenserver.monkeypatch import patch_for

__all__ = ["HANGS", "WAITS", "RealSocket", "answer_counts", "main", "patch_for"]

HANGS = ".hangs"
WAITS = ".waits"
"""Ends the name of a file that is made when something opens the hanging directory."""

RealSocket = socket.socket  # before anything patches it
_real_sleep = time.sleep


def count() -> dict[str, int]:
    """Return how many descriptors, threads and greenlets this process has."""
    greenlet = sys.modules.get("greenlet")
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "greenlets": 0 if greenlet is None else sum(_is_alive(each, greenlet.greenlet) for each in gc.get_objects()),
    }


def _is_alive(candidate: Any, kind: type) -> bool:  # noqa: ANN401  (the collector tracks objects of any type)
    return isinstance(candidate, kind) and not getattr(candidate, "dead", True)


def answer_counts(listener: socket.socket) -> None:
    """Answer each connection with the counts, in an endless loop."""
    while True:
        client, _ = RealSocket.accept(listener)
        with client:
            client.sendall(json.dumps(count()).encode())


def enforce_permissions() -> None:
    """Drop the capabilities by which root bypasses file permissions."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        version_3, dac_override, dac_read_search = 0x20080522, 1, 2  # linux/capability.h
        header, sets = (
            (ctypes.c_uint32 * 2)(version_3, 0),
            (ctypes.c_uint32 * 6)(),
        )  # the first one is the effective set
        libc.capget(header, sets)
        sets[0] &= ~(1 << dac_override | 1 << dac_read_search)
        if libc.capset(header, sets):
            raise OSError(ctypes.get_errno(), "cannot drop a capability")


def hang_opening(directory: str) -> None:
    """Let what opens a directory block."""
    real_open = os.open

    def open_(path: Any, *args: Any, **more: Any) -> int:  # noqa: ANN401  (as `os.open`)
        if path == directory:
            Path(directory + WAITS).touch()
            while Path(directory + HANGS).exists():
                _real_sleep(0.01)
        return real_open(path, *args, **more)

    os.open = open_
    vars(limits)["RELOAD_SECONDS"] = 0.5


def main() -> None:
    """Run the command line, with the counter in a thread."""
    counts = RealSocket(socket.AF_UNIX)
    counts.bind(sys.argv.pop(1))
    counts.listen()
    if os.environ.get("TEST_PERMISSIONS"):
        enforce_permissions()
    if hanging := os.environ.get("TEST_HANGING_DIRECTORY"):
        hang_opening(hanging)
    start_new_thread(answer_counts, (counts,))
    gc.freeze()  # makes each count of greenlets cheaper
    run_command_line()


if __name__ == "__main__":
    main()

"""Runs greenserver and counts what it holds, on request: descriptors, threads, greenlets.

Used as ``python -m tests.greenserver.instrumented COUNTS-SOCKET OPTION...``. Each connection to the unix
socket is answered with one JSON object. The counting runs in a real thread, whatever is patched.
"""

import gc
import json
import os
import socket
import sys
from _thread import start_new_thread

from greenserver.__main__ import main

_RealSocket = socket.socket  # before anything patches it


def count() -> dict[str, int]:
    """Return how many descriptors, threads and greenlets this process has."""
    greenlet = sys.modules.get("greenlet")
    kind = () if greenlet is None else greenlet.greenlet
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "greenlets": sum(isinstance(each, kind) and not each.dead for each in gc.get_objects()),
    }


def answer_counts(listener: socket.socket) -> None:
    """Answer each connection with the counts, for ever."""
    while True:
        client, _ = _RealSocket.accept(listener)
        with client:
            client.sendall(json.dumps(count()).encode())


if __name__ == "__main__":
    counts = _RealSocket(socket.AF_UNIX)
    counts.bind(sys.argv.pop(1))
    counts.listen()
    start_new_thread(answer_counts, (counts,))
    main()

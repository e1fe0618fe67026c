"""Runs greenserver and counts what it holds, on request: descriptors, threads, greenlets.

Used as ``python -m tests.greenserver.instrumented COUNTS-SOCKET OPTION...``. Each connection to the unix
socket is answered with one JSON object. The counting runs in a real thread, whatever is patched.

`TEST_LIMITS` in the environment, a JSON object, replaces numbers of `greenserver.limits`: so that a
test of what happens after ten seconds need not take ten seconds.
"""

import gc
import json
import os
import socket
import sys
from _thread import start_new_thread
from dataclasses import fields
from typing import Any

from greenserver import limits
from greenserver.__main__ import main as run_command_line
from greenserver.patching import patch_for

__all__ = ["RealSocket", "answer_counts", "main", "patch_for"]

RealSocket = socket.socket  # before anything patches it


def count() -> dict[str, int]:
    """Return how many descriptors, threads and greenlets this process has."""
    greenlet = sys.modules.get("greenlet")
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "greenlets": 0 if greenlet is None else sum(_is_alive(each, greenlet.greenlet) for each in gc.get_objects()),
    }


def _is_alive(thing: Any, kind: type) -> bool:  # noqa: ANN401  (the collector knows things of any type)
    return isinstance(thing, kind) and not getattr(thing, "dead", True)


def answer_counts(listener: socket.socket) -> None:
    """Answer each connection with the counts, for ever."""
    while True:
        client, _ = RealSocket.accept(listener)
        with client:
            client.sendall(json.dumps(count()).encode())


def set_limit(name: str, value: float) -> None:
    """Replace a number, or set what an operator may set, before anything takes note of it."""
    if name in FIELDS:
        os.environ[f"GREENSERVER_{name.upper()}"] = str(value)
    else:
        assert hasattr(limits, name), name
        setattr(limits, name, value)


FIELDS = [field.name for field in fields(limits.Limits)]


def main() -> None:
    """Run the command line, and count meanwhile."""
    counts = RealSocket(socket.AF_UNIX)
    counts.bind(sys.argv.pop(1))
    counts.listen()
    for name, value in json.loads(os.environ.get("TEST_LIMITS", "{}")).items():
        set_limit(name, value)
    start_new_thread(answer_counts, (counts,))
    gc.freeze()  # what there is by now need not be looked through at each count
    run_command_line()


if __name__ == "__main__":
    main()

"""Broken servers forked from a process that has imported them all: a start costs two forks, not three interpreters.

Each is a process of its own under a guard of its own, as it is when the suite starts it by a command line.

``python -m tests.broken_servers.forking`` is the process that they are forked from. It takes requests on its standard
input, a unix socket: each the server's command line, and three descriptors: the suite's pipe, where output goes, and
where the guard's process tells its id, and then how it ended.
"""

import asyncio  # noqa: F401  (it is used late, and takes longer to import than all else)
import contextlib
import ctypes
import gc
import os
import shlex
import socket
import sys
from collections.abc import Sequence
from typing import Final

from conformance.target import guard
from tests.broken_servers.__main__ import main as serve
from tests.forked import ForkedProcess, stem

_MOST_BYTES: Final = 1 << 16
_CAPABILITY_VERSION: Final = 0x20080522


def launch(words: Sequence[str], cwd: str, suite: int, output: int) -> ForkedProcess:
    """Start a broken server, of which `words` are the command line, in a process that is like a guard's."""
    assert not cwd, "it is forked where the stem is"
    return stem(__name__).fork(shlex.join(words).encode(), suite, output)


def _await_request(asked: socket.socket) -> tuple[list[str], list[int]] | None:
    """Fork for each request, and return it in the new process; return nothing when nobody asks any more."""
    gc.freeze()  # what a collection looks at is copied
    while True:
        request, descriptors, *_ = socket.recv_fds(asked, _MOST_BYTES, 3)
        if not request:
            return None
        if not os.fork():
            return shlex.split(request.decode()), descriptors
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # those that have ended since
                pass


def _guard(arguments: list[str], suite: int, output: int, telling: int) -> None:
    """Be the guard of a new process that serves, and tell how it ended."""
    os.setsid()
    os.write(telling, b"%d" % os.getpid())
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((null, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, number)
    for descriptor in (null, output):
        os.close(descriptor)

    def run() -> None:
        os.close(telling)
        _give_up_rights()
        sys.exit(serve(arguments))

    status = guard.watch(suite, run)
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know any more
        os.write(telling, b"%d" % status)


def _give_up_rights() -> None:
    """Lose the right to read what is unreadable, which a guard takes from those that it executes."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the same of those from 32 on
    libc.capget(header, sets)
    for capability in (guard.CAP_DAC_OVERRIDE, guard.CAP_DAC_READ_SEARCH):
        for number in range(3):
            sets[number] &= ~(1 << capability)
    libc.capset(header, sets)


def main() -> int:
    """Be what servers are forked from, and in the end the guard of one of them."""
    with socket.socket(fileno=0) as asked:
        request = _await_request(asked)
    if request is None:
        return 0
    _guard(request[0], *request[1])
    os._exit(0)  # to tidy up takes longer than all that it did


if __name__ == "__main__":
    sys.exit(main())

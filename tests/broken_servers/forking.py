"""Broken servers forked from a process that has imported them all: a start costs two forks, not three interpreters.

Each is a process of its own under a guard of its own, as it is when the suite starts it by a command line.

``python -m tests.broken_servers.forking`` is the process that they are forked from. It takes requests on its standard
input, a unix socket: each the server's command line, and three descriptors: the suite's pipe, where output goes, and
where the guard's process tells its id, and by an end of the stream its end.
"""

import asyncio  # noqa: F401  (it is used late, and takes longer to import than all else)
import atexit
import contextlib
import ctypes
import functools
import gc
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from conformance import guard
from tests.broken_servers.__main__ import main as serve

_ROOT: Final = Path(__file__).parents[2]
_MOST_BYTES: Final = 1 << 16
_CAPABILITY_VERSION: Final = 0x20080522


class ForkedProcess:
    """A guard that another process has forked for us; it ends with its server."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self._pid = int(told.recv(20))

    def poll(self) -> int | None:
        """Return 0 once the process has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process ends; raise TimeoutExpired."""
        if self._told.fileno() >= 0:
            self._told.settimeout(timeout)
            try:
                self._told.recv(1)
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired(str(self._pid), timeout or 0.0) from None
            self._told.close()
        return 0

    def kill(self) -> None:
        """End the process at once."""
        if self.poll() is None:
            os.kill(self._pid, signal.SIGKILL)


class Stem:
    """A process that broken servers are forked from."""

    def __init__(self) -> None:
        self._asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with asked:
            self._process = subprocess.Popen([sys.executable, "-m", __name__], cwd=_ROOT, stdin=asked.fileno())

    def fork(self, words: Sequence[str], suite: int, output: int) -> ForkedProcess:
        """Return a new process."""
        told, telling = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with telling:
            socket.send_fds(self._asking, [shlex.join(words).encode()], [suite, output, telling.fileno()])
        return ForkedProcess(told)

    def close(self) -> None:
        """Let it end, and wait for that."""
        self._asking.close()
        self._process.wait(60)


@functools.cache
def _stem() -> Stem:
    started = Stem()
    atexit.register(started.close)
    return started


_starting = threading.Lock()


def launch(words: Sequence[str], cwd: str, suite: int, output: int) -> ForkedProcess:
    """Start a broken server, of which `words` are the command line, in a process that is like a guard's."""
    assert not cwd, "it is forked where the stem is"
    with _starting:
        stem = _stem()
    return stem.fork(words, suite, output)


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


def _guarded(arguments: list[str], suite: int, output: int, telling: int) -> int:
    """Be the guard of a new process that serves; return an exit status."""
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

    return guard.watch(suite, run)


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
    os._exit(_guarded(request[0], *request[1]))  # to tidy up takes longer than all that it did


if __name__ == "__main__":
    sys.exit(main())

"""Processes that others fork for us, which have imported what these need: the side of whoever asks for them.

The other side is a program, a `Stem`. It takes requests on its standard input, a unix socket: each some bytes, the
descriptors that the new process is given, and one more, on which its id is told, and then how it ended.
"""

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
_PATIENCE_SECONDS: Final = 60


class ForkedProcess:
    """A process that another one has forked for us: what tests need of a `subprocess.Popen`."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self._lock = threading.Lock()
        _unended.add(self)
        self.pid = int(told.recv(100))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status; nothing while the process runs, or while another thread waits for it."""
        if self.returncode is None and self._lock.acquire(blocking=False):
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._wait(0)
            finally:
                self._lock.release()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process ends, and return the exit status; it is minus a signal that has ended it."""
        with self._lock:
            return self._wait(timeout)

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                told = self._told.recv(100)
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0) from None
            self.returncode = int(told or -signal.SIGKILL)  # which leaves nobody who could tell
            self._told.close()
            _unended.discard(self)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if the process has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process at once."""
        self.send_signal(signal.SIGKILL)


_unended: set[ForkedProcess] = set()


class Stem:
    """A process that others are forked from, started by ``python -m`` and words."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self._asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with asked:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *words], cwd=_ROOT, stdin=asked.fileno(), stdout=subprocess.DEVNULL
            )

    def fork(self, request: bytes, *descriptors: int) -> ForkedProcess:
        """Return a new process."""
        told, telling = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with telling:
            socket.send_fds(self._asking, [request], [*descriptors, telling.fileno()])
        told.settimeout(_PATIENCE_SECONDS)
        return ForkedProcess(told)

    def close(self) -> None:
        """Let it end, and wait for that."""
        self._asking.close()
        self._process.wait(_PATIENCE_SECONDS)


_starting = threading.Lock()


def stem(*words: str) -> Stem:
    """Return the stem of these words, started when it is first asked for."""
    with _starting:
        return _started(words)


@cache
def _started(words: tuple[str, ...]) -> Stem:
    started = Stem(words)
    atexit.register(started.close)
    return started


def count_descriptors() -> int:
    """Return how many are held here: one for each stem, and one for each forked process until it ends."""
    return _started.cache_info().currsize + len(_unended)

"""Start a server's process under a guard that kills all of it at the end."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from conformance.language import Message
from conformance.target.remains import Remains

UNBUFFERED = "PYTHONUNBUFFERED"
"""Has a Python server print at once into a pipe, too, so that what it prints is told of the right scenario."""


class Process(Protocol):
    """The process of a guard and its server: the part of `subprocess.Popen` that is used."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit status; None while the process runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the process to exit; raise TimeoutExpired."""

    def kill(self) -> None:
        """Kill it."""


Launch = Callable[[Sequence[str], str, int, int], Process]
"""Starts a guarded server, given its arguments, its directory ("": the current one), the guard's end of the pipe, and
a descriptor for its output."""


class GuardedProcess:
    """A guard, and what is left of its server if the guard was killed."""

    def __init__(self, words: Sequence[str], cwd: str, suite: int, output: int) -> None:
        guard = str(Path(__file__).with_name("guard.py"))
        self._start(lambda cgroup: [guard, str(suite), cgroup, *words], cwd, output, (suite,), dict(os.environ))

    def _start(
        self,
        arguments: Callable[[str], list[str]],
        cwd: str,
        output: int,
        passed: tuple[int, ...],
        environment: dict[str, str],
    ) -> None:
        """Start a guard: a program with arguments, given its cgroup, that inherits some descriptors; raise OSError."""
        self.notes: list[str] = []
        """What the server did to those that watch it, for a report."""
        self._remains = Remains()
        try:
            self._guard = subprocess.Popen(  # noqa: S603  (the user's own command)
                [sys.executable, "-I", "-S", *arguments(self._remains.cgroup)],
                cwd=cwd or None,
                env={UNBUFFERED: "1"} | environment | self._remains.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=passed,
                start_new_session=True,
            )
        except OSError:
            self._remains.close()
            raise
        self.pid = self._guard.pid

    def poll(self) -> int | None:
        """Return the exit status; None while the guard runs."""
        return self._guard.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the guard to exit, and end what it has left; raise TimeoutExpired."""
        status = self._guard.wait(timeout)
        if status < 0 and (left := self._remains.end()):
            self.notes.append(
                Message(
                    "the server killed its guard; what it left was ended ({left} found {means})",
                    left=left,
                    means=self._remains.means,
                )
            )
        self._remains.close()
        return status

    def kill(self) -> None:
        """Kill the guard."""
        self._guard.kill()


def launch(words: Sequence[str], cwd: str, suite: int, output: int) -> Process:
    """Start a guard that runs a command; raise OSError."""
    return GuardedProcess(words, cwd, suite, output)

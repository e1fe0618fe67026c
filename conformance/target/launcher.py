"""Start a server's process under a guard that kills all of it at the end."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol


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


def launch(words: Sequence[str], cwd: str, suite: int, output: int) -> Process:
    """Start a guard that runs a command; raise OSError."""
    return subprocess.Popen(  # noqa: S603  (the user's own command)
        [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")), str(suite), *words],
        cwd=cwd or None,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(suite,),
        start_new_session=True,
    )

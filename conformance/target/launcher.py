"""How the process of a server is started: under a guard, which leaves nothing of it behind."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol


class Process(Protocol):
    """A guard, and with it the server that it guards: what is asked of a `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit status; nothing while the process runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raise TimeoutExpired."""

    def kill(self) -> None:
        """End it at once."""


Launch = Callable[[Sequence[str], str, int, int], Process]
"""Starts a guarded server: from words, a directory ("": this one), the guard's end of a pipe, and where output goes."""


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

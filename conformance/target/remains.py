"""Find and end what is left of a server that has killed its guard.

A server may kill its parent, the guard, and with it the subreaper of all that it has started. Where the system lets the
suite make a cgroup (cgroups(7), version 2), the guard is in one from its beginning; no process of the server can leave
it, and `cgroup.kill` ends all of them at once. Elsewhere a mark in the environment identifies them (as Jenkins does
with those of a build), which a program can remove from itself.
"""

import contextlib
import itertools
import os
import secrets
import signal
import string
import time
from functools import cache
from pathlib import Path
from typing import Final

from conformance.language import Message

_PREFIX: Final = "hftp-conformance-"
_MARK_LETTERS: Final = 8
_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.005
_numbers = itertools.count(1)


class Remains:
    """The processes of one start of a server, whatever their parents are."""

    def __init__(self) -> None:
        self._mark = new_mark()
        self.cgroup = _make_cgroup(f"{_PREFIX}{os.getpid()}-{next(_numbers)}")
        """The directory of the cgroup; empty if there is none."""

    @property
    def means(self) -> str:
        """How the processes are recognised, for display."""
        return Message("by their cgroup") if self.cgroup else Message("by a mark in their environment")

    def environment(self) -> dict[str, str]:
        """Return what marks a server by its environment, where that is necessary."""
        name, _, value = self._mark.partition("=")
        return {} if self.cgroup else {name: value}

    def end(self) -> int:
        """Kill the processes that are there, and return how many there were; call it when the guard has exited."""
        found: set[int] = set()
        until = time.monotonic() + _SECONDS
        while (left := self._processes()) and time.monotonic() < until:
            found |= left
            if self.cgroup:
                with contextlib.suppress(OSError):
                    Path(self.cgroup, "cgroup.kill").write_text("1", encoding="ascii")
            for process in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(_PAUSE_SECONDS)
        return len(found)

    def close(self) -> None:
        """Remove the cgroup, which has to be empty."""
        until = time.monotonic() + _SECONDS
        while self.cgroup and time.monotonic() < until:
            with contextlib.suppress(OSError):  # a killed process is not quite gone
                Path(self.cgroup).rmdir()
                return
            time.sleep(_PAUSE_SECONDS)

    def _processes(self) -> set[int]:
        if self.cgroup:
            with contextlib.suppress(OSError):
                words = Path(self.cgroup, "cgroup.procs").read_text(encoding="ascii").split()
                return {int(word) for word in words} - {0}
        return marked(self._mark.encode())


def new_mark() -> str:
    """Return a new `NAME=VALUE` to mark an environment with; a server cannot know the name beforehand."""
    name = "".join(secrets.choice(string.ascii_uppercase) for _ in range(_MARK_LETTERS))
    return f"{name}={secrets.token_hex(8)}"


def marked(mark: bytes) -> set[int]:
    """Return the processes that have a mark in their environment, as far as it can be read."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
    return found - {os.getpid()}


def _make_cgroup(name: str) -> str:
    """Make a cgroup below that of the suite, and return its directory; empty if the system does not allow it."""
    above = own_cgroup()
    if above is None:
        return ""
    try:
        for left in above.glob(f"{_PREFIX}*"):
            if not Path("/proc", left.name.removeprefix(_PREFIX).partition("-")[0]).exists():
                left.rmdir()  # of a suite that was killed
        (above / name).mkdir()
    except OSError:
        return ""
    if not os.access(above / name / "cgroup.kill", os.W_OK):
        (above / name).rmdir()
        return ""
    return str(above / name)


@cache
def own_cgroup() -> Path | None:
    """Return the directory of the suite's own cgroup of version 2; None if there is none, or it cannot be changed."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    places = [Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"]
    paths = [line.removeprefix("0::/") for line in own if line.startswith("0::/")]
    found = places[0] / paths[0] if places and paths else None
    return found if found is not None and os.access(found, os.W_OK) else None


def end_marked(mark: str) -> int:
    """Kill all processes that have `NAME=VALUE` in their environment; return how many there were."""
    found: set[int] = set()
    until = time.monotonic() + _SECONDS
    while (left := marked(mark.encode())) and time.monotonic() < until:
        found |= left
        for process in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        time.sleep(_PAUSE_SECONDS)
    return len(found)

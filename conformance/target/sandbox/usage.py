"""Measure what a server in a sandbox uses, several times a second, and tell when it reaches a limit."""

import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE_SECONDS = 0.1
_SHARE = 0.1
"""The largest share of its time that the guard looks."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MIB = 1 << 20
_NEARLY = 0.95
_SIGXCPU = 24
_SIGXFSZ = 25
_MOST_PROCESSES = 20_000
_OURS = 1
"""Process 1 of a process namespace."""


class Usage:
    """What the server of one guard uses; `say` tells the suite."""

    def __init__(
        self, limits: "dict[str, int]", say: "Callable[[dict[str, Any]], None]", *, has_own_files: bool
    ) -> None:
        self.pause_seconds = _PAUSE_SECONDS
        """How long to wait before the next look."""
        self._limits = limits
        self._say = say
        self._has_own_files = has_own_files
        self._said: set[str] = set()
        self._next = 0.0

    def is_excessive(self, child: int) -> bool:
        """Return whether the server, a child of this process, uses so much that it has to be ended; look now and then.

        Only memory is measured to end it, and processes where the kernel does not limit them (those of root without a
        namespace): the kernel limits everything else.
        """
        if time.monotonic() < self._next:
            return False
        return self.look(child)

    def look(self, child: int) -> bool:
        """Look now; see `is_excessive`."""
        began = time.monotonic()
        root = f"/proc/{child}/root" if self._has_own_files else ""
        is_excessive = self._judge(_processes_in(f"{root}/proc") if root else [], root, child)
        took = time.monotonic() - began
        self.pause_seconds = max(_PAUSE_SECONDS, took / _SHARE)
        self._next = time.monotonic() + self.pause_seconds
        return is_excessive

    def look_inside(self) -> None:
        """Look a last time, as process 1: the server has exited, and what it started is still there."""
        self._judge(_processes_in("/proc"), "", os.getpid())

    def _judge(self, processes: "list[str]", root: str, child: int) -> bool:
        """Tell which limits are reached; return whether the server has to be ended."""
        processes = processes or [f"/proc/{process}" for process in _descendants(child)]
        threads = sum(map(_threads, processes))
        resident = sum(map(_resident_bytes, processes))
        may, most = self._limits["processes"], self._limits["memory_bytes"]
        if threads > may + _OURS:
            self._tell("too-many-processes", may)
        elif threads >= _NEARLY * may:
            self._tell("most-processes", may)
        if self._has_own_files and _is_full(f"{root}/dev/shm"):  # noqa: S108  (of the sandbox)
            self._tell("most-written", self._limits["written_bytes"] // _MIB)
        has_too_much = resident > most and _proportional(processes) > most
        if has_too_much:
            self._tell("too-much-memory", most // _MIB)
        return has_too_much or threads > may + _OURS

    def end(self, status: int) -> None:
        """Tell whether the kernel has ended the server because of a limit."""
        if status == -_SIGXCPU & 0xFF:
            self._tell("too-much-time", self._limits["cpu_seconds"])
        elif status == -_SIGXFSZ & 0xFF:
            self._tell("too-large-file", self._limits["written_bytes"] // _MIB)

    def _tell(self, note: str, most: int) -> None:
        """Tell once that a limit is reached; `notes` has the words."""
        if note not in self._said:
            self._said.add(note)
            self._say({"note": note, "most": most})


def _processes_in(directory: str) -> "list[str]":
    """Return the processes of a mount of proc(5), as directories; empty if there is none."""
    try:
        return [f"{directory}/{name}" for name in os.listdir(directory) if name.isdigit()]
    except OSError:
        return []


def _descendants(child: int) -> "list[int]":
    found = [child]
    for process in found:  # grows on the way
        try:
            threads = os.listdir(f"/proc/{process}/task")
        except OSError:
            continue
        for thread in threads:
            found += map(int, _read(f"/proc/{process}/task/{thread}/children").split())
        if len(found) > _MOST_PROCESSES:
            break
    return found


def threads_of_user() -> int:
    """Return how many threads the user of this process has on the whole system, as far as they can be seen."""
    user, total = os.geteuid(), 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                is_own = os.stat(f"/proc/{name}").st_uid == user
            except OSError:
                continue
            total += _threads(f"/proc/{name}") if is_own else 0
    return total


def _threads(process: str) -> int:
    fields = _read(f"{process}/stat").rpartition(") ")[2].split()
    return int(fields[17]) if len(fields) > 17 else 0  # noqa: PLR2004  (num_threads in proc(5))


def _resident_bytes(process: str) -> int:
    """Return the resident memory that is not of files; pages that a fork shares count once for each process."""
    words = _read(f"{process}/statm").split()
    return (int(words[1]) - int(words[2])) * _PAGE_BYTES if words else 0


def _proportional(processes: "list[str]") -> int:
    """Return the memory of all processes, where what several share counts once."""
    total = 0
    for process in processes:
        rollup = _read(f"{process}/smaps_rollup")
        line = next((line for line in rollup.splitlines() if line.startswith("Pss_Anon:")), None)
        total += int(line.split()[1]) << 10 if line is not None else _resident_bytes(process)
    return total


def _is_full(place: str) -> bool:
    """Return whether the file system in memory that the server writes to is full."""
    try:
        facts = os.statvfs(place)
    except OSError:
        return False
    return 0 <= facts.f_bavail * facts.f_frsize < _PAGE_BYTES * 16 or not facts.f_ffree


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""

"""The process tree of a server that the suite started: its listening sockets and its CPU time.

All of it is read from /proc; see proc(5). The root of the tree is the guard, a subreaper, so that daemons stay in the
tree. The guard's own time does not count.
"""

import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from conformance.client.address import Address
from conformance.client.network_namespace import OpenSocket
from conformance.target.sockets import Listener, listeners, tcp_listeners, unix_listeners

_MOST_PROCESSES: Final = 10_000
_UTIME: Final = 11
"""Index of utime, followed by stime, cutime and cstime, in /proc/PID/stat after the name, which may contain spaces."""
_CUTIME: Final = 13
_CSTIME_END: Final = 15
_STARTTIME: Final = 19


@dataclass(frozen=True)
class OwnedListener:
    """A listening socket, and the process of the tree and its descriptor for it."""

    listener: Listener
    process: int = 0
    descriptor: int = -1

    @property
    def is_owner_known(self) -> bool:
        """Return whether a process of the tree is known to have the socket.

        If False, the descriptors of a process of the tree are unreadable (it runs as another user), and the socket may
        belong to any process.
        """
        return self.process > 0

    @property
    def is_open(self) -> bool:
        """Return whether the process still has the socket: one readlink(2)."""
        try:
            name = os.readlink(f"/proc/{self.process}/fd/{self.descriptor}")  # noqa: PTH115  (a string is wanted)
        except OSError:
            return False
        return name == f"socket:[{self.listener.inode}]"


class ProcessTree:
    """The processes below a root; `open_socket` opens sockets in their network namespace."""

    def __init__(self, root: int, open_socket: OpenSocket = socket.socket) -> None:
        self._root = root
        self._open_socket = open_socket

    def processes(self) -> list[int]:
        """Return the process ids of the descendants of the root."""
        below = _children_of if _has_children_files() else _parents_scanned()
        found = [self._root]
        for process in found:  # grows on the way
            found += [child for child in below(process) if child not in found][: _MOST_PROCESSES - len(found)]
        return found[1:]

    def listeners(self, address: Address, earlier: frozenset[int] = frozenset()) -> list[OwnedListener]:
        """Return the tree's sockets that accept connections to an address.

        If the descriptors of a process are unreadable, any such socket counts as the tree's, except those with an
        inode in `earlier`, which listened before the tree existed.
        """
        candidates = listeners(address, self._root, self._open_socket)
        return self._own(candidates, earlier) if candidates else []

    def other_listeners(self, address: Address) -> list[Listener]:
        """Return the tree's listening sockets that do not accept connections to an address."""
        wanted = {listener.inode for listener in listeners(address, self._root, self._open_socket)}
        found = tcp_listeners(0, self._root, self._open_socket) + unix_listeners(self._root, self._open_socket)
        candidates = [listener for listener in found if listener.inode not in wanted]
        return [owned.listener for owned in self._own(candidates, frozenset()) if owned.is_owner_known]

    def is_older(self, listener: Listener) -> bool:
        """Return whether a socket is known to belong to a process that was started before the tree."""
        owner, began = process_of(listener), _started(self._root)
        return bool(owner and began) and 0 < _started(owner) < began

    def cpu_seconds(self) -> float | None:
        """Return the CPU time, user and system, including children that have exited; None where unknown."""
        root = _times(self._root)
        if root is None:
            return None
        ticks = sum(root[_CUTIME:_CSTIME_END])
        for process in self.processes():
            ticks += sum((_times(process) or [])[_UTIME:_CSTIME_END])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _own(self, candidates: list[Listener], earlier: frozenset[int]) -> list[OwnedListener]:
        """Return the candidates that belong to the tree."""
        by_name = {f"socket:[{listener.inode}]": listener for listener in candidates}
        found: dict[str, OwnedListener] = {}
        is_blind = False
        for process in self.processes():
            descriptors = descriptors_of(process)
            is_blind = is_blind or descriptors is None
            for descriptor, name in (descriptors or {}).items():
                if name in by_name:
                    found.setdefault(name, OwnedListener(by_name[name], process, descriptor))
        if is_blind and not found:
            return [
                OwnedListener(listener)
                for listener in candidates
                if listener.inode not in earlier and not self.is_older(listener)
            ]
        return list(found.values())


def is_supported() -> bool:
    """Return whether this system describes processes and sockets in /proc as Linux does."""
    return Path(f"/proc/{os.getpid()}/net/tcp").exists()


def owner_of(listener: Listener) -> str:
    """Return the name and id of a process that has a socket; empty where that is unknown."""
    process = process_of(listener)
    try:
        name = Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    return f"{name}, process {process}"


def process_of(listener: Listener) -> int:
    """Return the first process that has a socket; 0 where that is unknown."""
    name = f"socket:[{listener.inode}]"
    with contextlib.suppress(OSError):
        for process in sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
            if name in (descriptors_of(process) or {}).values():
                return process
    return 0


def descriptors_of(process: int) -> dict[int, str] | None:
    """Return a process's descriptors and what they refer to; None if they are unreadable."""
    found: dict[int, str] = {}
    try:
        for name in os.listdir(f"/proc/{process}/fd"):  # noqa: PTH208  (names are wanted)
            with contextlib.suppress(FileNotFoundError):
                found[int(name)] = os.readlink(f"/proc/{process}/fd/{name}")  # noqa: PTH115  (a string is wanted)
    except PermissionError:
        return None
    except OSError:  # the process has exited
        return found
    return found


@cache
def _has_children_files() -> bool:
    """Return whether the kernel has /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN)."""
    process = os.getpid()
    return Path(f"/proc/{process}/task/{process}/children").exists()


def _children_of(process: int) -> list[int]:
    """Return the children of all threads of a process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208  (names are wanted)
            found += map(int, read(f"/proc/{process}/task/{thread}/children").split())
    return found


def read(path: str) -> bytes:
    """Return the content of a file in /proc; empty if the process has exited.

    A server may have hundreds of threads that are looked at many times a second, and pathlib takes five times as long.
    """
    content = b""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return content
    try:
        while part := os.read(descriptor, 1 << 12):
            content += part
    except OSError:
        return b""
    finally:
        os.close(descriptor)
    return content


def _parents_scanned() -> Callable[[int], list[int]]:
    """Scan all processes, and return a function from a process to its children."""
    children: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (fields := _stat(int(entry.name))):
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    return lambda process: children.get(process, [])


def _stat(process: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name; empty if the process has exited."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _started(process: int) -> int:
    """Return when a process was started, in clock ticks since the system was; 0 if it has exited."""
    fields = _stat(process)
    return int(fields[_STARTTIME]) if fields else 0


def _times(process: int) -> list[int] | None:
    fields = _stat(process)
    return [0] * _UTIME + [int(field) for field in fields[_UTIME:_CSTIME_END]] if fields else None

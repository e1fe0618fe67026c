"""Measure what the processes of a server use: descriptors, threads, memory and CPU time, from /proc; see proc(5)."""

import os
from typing import Final

from conformance.model.resources import Resources
from conformance.target.process_tree import ProcessTree, read

_COLLECTING: Final = ("java", "node", "nodejs", "deno", "bun", "dotnet", "mono", "ruby", "pypy", "beam.smp")
"""Programs whose heap grows for as long as their garbage collector finds that right."""
_OWN_MEMORY: Final = (b"RssAnon:", b"VmSwap:")
_KIB: Final = 1024


def resources_of(tree: ProcessTree) -> Resources | None:
    """Return what the processes of a tree use; None if its root has exited."""
    cpu_seconds = tree.cpu_seconds()
    if cpu_seconds is None:
        return None
    processes = tree.processes()
    descriptors = [_count(f"/proc/{process}/fd") for process in processes]
    memory = [_memory_bytes(process) for process in processes]
    return Resources(
        None if None in descriptors else sum(number or 0 for number in descriptors),
        sum(_count(f"/proc/{process}/task") or 0 for process in processes),
        None if None in memory else sum(size or 0 for size in memory),
        cpu_seconds,
    )


def _count(path: str) -> int | None:
    """Return how many entries a directory has, 0 if its process has exited; None if it is unreadable."""
    try:
        return len(os.listdir(path))  # noqa: PTH208  (names are wanted)
    except PermissionError:
        return None
    except OSError:
        return 0


def _memory_bytes(process: int) -> int | None:
    """Return how much memory belongs to a process and to no file; None if a garbage collector holds it."""
    try:
        program = os.path.basename(os.readlink(f"/proc/{process}/exe"))  # noqa: PTH115, PTH119  (a string is wanted)
    except PermissionError:
        return None
    except OSError:  # it has exited
        return 0
    if program.startswith(_COLLECTING):
        return None
    lines = [line.split() for line in read(f"/proc/{process}/status").splitlines() if line.startswith(_OWN_MEMORY)]
    return sum(int(words[1]) * _KIB for words in lines)

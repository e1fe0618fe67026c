"""How much a server in a sandbox may use."""

import os
from dataclasses import asdict, dataclass
from typing import Final

from conformance.language import Message

_MIB: Final = 1 << 20
_MEMORY_BYTES: Final = 2 << 30
_PROCESSES: Final = 512
_PROCESSES_PER_CLIENT: Final = 4
"""Some servers have a thread or two for each client."""
_FILES: Final = 4096
_FILES_PER_CLIENT: Final = 4
_CPU_SECONDS: Final = 3600


@dataclass(frozen=True)
class Limits:
    """The limits of one server, with all its processes where nothing else is said."""

    memory_bytes: int = _MEMORY_BYTES
    """What the guard ends the server for; a single process is refused more than four times as much."""
    written_bytes: int = 256 * _MIB
    """The total size of the files that it writes, which are in memory; a single file cannot be larger."""
    processes: int = _PROCESSES
    """Processes and threads."""
    open_files: int = _FILES
    """Of one process."""
    cpu_seconds: int = _CPU_SECONDS
    """Of one process."""

    def recorded(self) -> dict[str, int]:
        """Return the limits by their names."""
        return asdict(self)

    def __str__(self) -> Message:
        return Message(
            "at most {memory} MiB of memory, {processes} processes and threads, and {files} open files and {seconds} s"
            " of processor time each",
            memory=self.memory_bytes // _MIB,
            processes=self.processes,
            files=self.open_files,
            seconds=self.cpu_seconds,
        )


def limits_for(clients: int) -> Limits:
    """Return the limits for a server that meets crowds of so many clients on this machine."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Limits(
        memory_bytes=min(_MEMORY_BYTES, machine // 2),
        processes=_PROCESSES + _PROCESSES_PER_CLIENT * clients,
        open_files=_FILES + _FILES_PER_CLIENT * clients,
    )

"""What a server uses at one moment."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """The resources of all processes of a server; None where they cannot be seen, or say nothing."""

    descriptors: int | None
    """Open file descriptors."""
    threads: int
    """Threads, and processes that nobody has waited for."""
    memory_bytes: int | None
    """Memory that belongs to no file; None if a garbage collector decides when that is given back."""
    cpu_seconds: float

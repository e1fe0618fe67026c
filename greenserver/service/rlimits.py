"""How many files and sockets this process may hold: as many as the system lets it."""

import contextlib
import resource


def raise_limit() -> None:
    """Raise the soft limit of descriptors to the hard one, for this process and those that it begins.

    The soft one is low for the sake of programs that use `select`, which this is not; with it, the connections
    that an operator asks for would be lowered to a few hundred.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a hard limit past what the kernel grants anybody
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

"""Resource limits: raise the number of file descriptors to what the system allows."""

import contextlib
import resource


def raise_limit() -> None:
    """Raise the soft limit of descriptors to the hard limit, for this process and its children.

    The soft limit is low only for programs that use select(2), which this one does not
    (https://0pointer.net/blog/file-descriptor-limits.html). With it, the maximum of connections would be lowered to a
    few hundred.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a hard limit above the kernel's own (fs.nr_open)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

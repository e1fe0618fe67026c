"""Notice that this process runs out of address space, before an allocation fails that nothing can catch."""

import contextlib
import mmap
import resource
from pathlib import Path
from typing import Final

from greenserver.config.limits import HEADROOM_BYTES

_OVERCOMMIT: Final = Path("/proc/sys/vm/overcommit_memory")
_STRICT: Final = b"2"


def is_limited() -> bool:
    """Return whether memory can run out before that of the machine does.

    By RLIMIT_AS or RLIMIT_DATA (https://man7.org/linux/man-pages/man2/getrlimit.2.html), or where the kernel promises
    no more than it has (https://docs.kernel.org/mm/overcommit-accounting.html). A cgroup limits what is used, not what
    is allocated: its processes are killed.
    """
    limits = (resource.getrlimit(each)[0] for each in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    if any(limit != resource.RLIM_INFINITY for limit in limits):
        return True
    with contextlib.suppress(OSError):
        return _OVERCOMMIT.read_bytes().strip() == _STRICT
    return False


def has_headroom() -> bool:
    """Return whether `HEADROOM_BYTES` can be allocated. This touches no memory, and takes two system calls."""
    try:
        mmap.mmap(-1, HEADROOM_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (OSError, MemoryError):
        return False
    return True

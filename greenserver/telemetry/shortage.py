"""Log failures for lack of memory: the first of a series, then how many there were, and no traceback."""

import contextlib
import errno
from typing import Final

from greenserver.telemetry.throttle import ThrottledWarning

OUT_OF_MEMORY: Final = "out of memory"

_warning: Final = ThrottledWarning(OUT_OF_MEMORY, "out of memory for a while")  # memory is the process's: one for all


def is_shortage(error: BaseException | None) -> bool:
    """Return whether an error means that there is no memory, by the interpreter or the system."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)


def report_shortage(failed: str, **facts: object) -> None:
    """Log what failed for lack of memory, rate-limited. Raise nothing: this, too, may need some."""
    with contextlib.suppress(MemoryError):
        _warning.happens(failed=failed, **facts)


def report_plenty() -> None:
    """Record that something has succeeded, which ends the warning after a while."""
    _warning.is_not_seen()

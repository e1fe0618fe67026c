"""The supervisor's clock: it counts the time in which the supervisor ran, not a pause of the whole machine."""

from time import monotonic
from typing import Final

TURN_SECONDS: Final = 1.0
"""The most that one turn of the supervisor's loop counts for, and so the longest that it may sleep."""


class RunningClock:
    """A monotonic clock that stands still while this process is stopped.

    A container that is paused, a process group that is stopped and a suspended virtual machine stop the workers, too:
    no worker may be judged by that time.
    """

    def __init__(self) -> None:
        self.now = 0.0
        """The time of the last turn, in seconds."""
        self._turned_at = monotonic()

    def turn(self) -> float:
        """Count the time since the last turn, `TURN_SECONDS` at most, and return the time."""
        turned_at = monotonic()
        self.now += min(turned_at - self._turned_at, TURN_SECONDS)
        self._turned_at = turned_at
        return self.now

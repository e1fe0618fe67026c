"""How long the suite waits: with patience where a verdict hangs on it, and in haste once a server has wasted its time.

A time-out is only held against a server after a wait that was long enough, alone with it. What timed out in haste is
played again with patience, as long as there is time; after that it is reported as not judged.
"""

import threading
from typing import Final

BASE_SECONDS: Final = 2.0
"""How long a wait may be for a server that is near."""
ROUND_TRIPS: Final = 20
"""How many round trips more it may be for one that is far away."""
ALONE: Final = 2.0
"""What timed out is given so much more time when it is played again, alone."""
CONFIRMED_TIMEOUTS: Final = 3
"""After so many scenarios that timed out alone too, it is the server's manner, and the first playing is a hasty one."""
HASTE: Final = 0.4
WASTED_SECONDS: Final = 45.0
"""How long a run may wait in vain in all, times --timeout-scale; after that every playing is hasty, and the last."""
UTMOST_HASTE: Final = 0.1
OUT_OF_TIME: Final = (
    "no time was left to wait for it: the server had let the suite wait in vain for so long before "
    "(play it alone with -t, or give --timeout-scale)"
)
"""Why a scenario that timed out in haste is not judged."""


def patience_seconds(round_trip_seconds: float, scale: float) -> float:
    """Return how many seconds a single wait may take."""
    return (BASE_SECONDS + ROUND_TRIPS * round_trip_seconds) * scale


class Patience:
    """What a run has left of it."""

    def __init__(self, scale: float) -> None:
        self._most_seconds = WASTED_SECONDS * scale
        self._wasted_seconds = 0.0
        self._confirmed = 0
        self._lock = threading.Lock()

    @property
    def is_at_its_end(self) -> bool:
        """Whether there is no time to play anything again."""
        return self._wasted_seconds >= self._most_seconds

    def factor(self, *, is_alone: bool) -> float:
        """Return how long the waits of a playing may be, times the usual; below 1 a time-out shows nothing."""
        if self.is_at_its_end:
            return UTMOST_HASTE
        if self._confirmed >= CONFIRMED_TIMEOUTS:
            return 1.0 if is_alone else HASTE
        return ALONE if is_alone else 1.0

    def waste(self, seconds: float) -> None:
        """Take note of time that was waited in vain."""
        with self._lock:
            self._wasted_seconds += seconds

    def confirm(self) -> None:
        """Take note of a time-out that came again when the server had nothing else to do."""
        with self._lock:
            self._confirmed += 1

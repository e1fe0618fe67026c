"""The metrics of a server, which each process counts in a page of the shared memory."""

from bisect import bisect_left
from collections.abc import Sequence
from threading import Lock
from typing import Final, NamedTuple

from greenserver.admin.shared_memory import Page
from greenserver.io.descriptors import count_open
from greenserver.telemetry.metrics_interface import Metrics

COUNTER: Final = "counter"
SUM: Final = "sum"
MAXIMUM: Final = "maximum"
HISTOGRAM: Final = "histogram"

BUCKETS_SECONDS: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0)
"""Upper bounds of the buckets of histograms, but for the last one, which has none."""

TOTAL: Final = "total"
"""The label, in the shared memory, of the sum of a histogram; its buckets have their numbers."""

_DESCRIPTORS_BEATS: Final = 5  # counting thousands of descriptors takes milliseconds
_SEPARATOR: Final = "\n"
_NOWHERE: Final = ""  # the key of what does not fit in the page


class Family(NamedTuple):
    """A metric: what it is called, how its values in several processes make one, and the names of its labels."""

    name: str
    kind: str
    """`COUNTER` or `HISTOGRAM`, kept when a process ends; or a gauge, as `SUM` or `MAXIMUM` of all processes."""
    text: str
    labels: tuple[str, ...] = ()


FAMILIES: Final = (
    Family("connections", COUNTER, "Closed connections, by outcome.", ("outcome",)),
    Family("open_connections", SUM, "Open connections."),
    Family("refusals", COUNTER, "Rejected connections, by reason.", ("reason",)),
    Family("stalls", COUNTER, "Connections closed by a timeout or a minimum rate, by which.", ("what",)),
    Family("commands", COUNTER, "Commands answered, by command and status.", ("command", "status")),
    Family("sent_bytes", COUNTER, "Bytes of replies sent."),
    Family("received_bytes", COUNTER, "Bytes of commands received."),
    Family("command_seconds", HISTOGRAM, "Time from the arrival of a command to the end of its reply."),
    Family("connection_seconds", HISTOGRAM, "Duration of connections."),
    Family("open_descriptors", SUM, "Open file descriptors."),
    Family("loop_lag_seconds", MAXIMUM, "Delay of the latest heartbeat, maximum over all processes."),
    Family("serving_processes", SUM, "Processes that serve clients."),
)
_KEPT: Final = {each.name for each in FAMILIES if each.kind in {COUNTER, HISTOGRAM}}


def join(name: str, labels: Sequence[str]) -> str:
    """Return the key, in the shared memory, of a metric with the values of its labels."""
    return _SEPARATOR.join((name, *labels))


def split(key: str) -> tuple[str, tuple[str, ...]]:
    """Return the name and the values of the labels of a key."""
    name, *labels = key.split(_SEPARATOR)
    return name, tuple(labels)


def is_kept(key: str) -> bool:
    """Return whether a number outlives its process."""
    return split(key)[0] in _KEPT


class SharedMetrics(Metrics):
    """Counts in a page of the shared memory. What does not fit in it is not counted."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._numbers = page.numbers
        self._lock = Lock()
        self._nowhere = page.find(_NOWHERE)
        self._beats = 0
        self._commands: dict[tuple[str, int], int] = {}
        self._open = self._find("open_connections")
        self._sent = self._find("sent_bytes")
        self._received = self._find("received_bytes")
        self._command_seconds = self._find_histogram("command_seconds")
        self._connection_seconds = self._find_histogram("connection_seconds")
        self._descriptors = self._find("open_descriptors")
        self._lag = self._find("loop_lag_seconds")
        self._numbers[self._find("serving_processes")] = 1

    def connected(self) -> None:
        """Count a connection that is now served."""
        with self._lock:
            self._numbers[self._open] += 1

    def disconnected(self, outcome: str, seconds: float) -> None:
        """Count a connection that `connected` counted as closed."""
        with self._lock:
            self._numbers[self._open] -= 1
            self._numbers[self._find("connections", outcome)] += 1
            self._observe(self._connection_seconds, seconds)

    def refused(self, reason: str) -> None:
        """Count a rejected connection."""
        with self._lock:
            self._numbers[self._find("refusals", reason)] += 1

    def stalled(self, what: str) -> None:
        """Count a connection that was closed for being too slow."""
        with self._lock:
            self._numbers[self._find("stalls", what)] += 1

    def command(self, name: str, status: int, sent_bytes: int, seconds: float) -> None:
        """Count an answered command."""
        with self._lock:
            place = self._commands.get((name, status))
            if place is None:
                place = self._find("commands", name or "unknown", str(int(status)))
                self._commands[name, status] = place
            self._numbers[place] += 1
            self._numbers[self._sent] += sent_bytes
            self._observe(self._command_seconds, seconds)

    def received(self, count: int) -> None:
        """Count bytes received from a client."""
        with self._lock:
            self._numbers[self._received] += count

    def loop_lag(self, lag_seconds: float) -> None:
        """Record the loop lag and, every few heartbeats, the number of open descriptors."""
        self._numbers[self._lag] = lag_seconds
        if self._beats % _DESCRIPTORS_BEATS == 0:
            self._numbers[self._descriptors] = count_open()
        self._beats += 1

    def _observe(self, places: Sequence[int], seconds: float) -> None:
        self._numbers[places[bisect_left(BUCKETS_SECONDS, seconds)]] += 1
        self._numbers[places[-1]] += seconds

    def _find_histogram(self, name: str) -> list[int]:
        """Return the places of the buckets of a histogram, and last that of its sum."""
        buckets = range(len(BUCKETS_SECONDS) + 1)
        return [*(self._find(name, str(bucket)) for bucket in buckets), self._find(name, TOTAL)]

    def _find(self, name: str, *labels: str) -> int:
        try:
            return self._page.find(join(name, labels))
        except MemoryError:
            return self._nowhere

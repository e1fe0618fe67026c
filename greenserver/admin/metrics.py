"""The meter of a server that is watched: its numbers, for Prometheus, correct over all of its processes.

prometheus_client keeps them in files of the board, since it is imported after the board has said where.
"""

import os
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from greenserver.telemetry.metrics import Metrics

_SECONDS: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0)
_DESCRIPTORS_BEATS: Final = 5  # counting them takes milliseconds when there are thousands


class PrometheusMetrics(Metrics):
    """Counts for Prometheus."""

    def __init__(self) -> None:
        registry = CollectorRegistry()  # who asks is answered from the files; this one only holds the names

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"greenserver_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, mode: str) -> Gauge:
            return Gauge(f"greenserver_{name}", text, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]  # one of its modes

        self._connections = counter("connections", "Connections that have ended, by how.", "outcome")
        self._open = gauge("open_connections", "Connections that are being served.", "livesum")
        self._refusals = counter("refusals", "Connections that were turned away, by why.", "reason")
        self._stalls = counter("stalls", "Connections that were cut for being too slow, by at what.", "what")
        self._commands = counter("commands", "Commands that were answered.", "command", "status")
        self._sent = counter("sent_bytes", "Bytes of replies.")
        self._received = counter("received_bytes", "Bytes of commands.")
        self._seconds = Histogram(
            "greenserver_command_seconds",
            "From a command's arrival to the end of its reply.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._lasted = Histogram(
            "greenserver_connection_seconds", "How long connections lasted.", registry=registry, buckets=_SECONDS
        )
        self._descriptors = gauge("open_descriptors", "Open file descriptors.", "livesum")
        self._lag = gauge("loop_lag_seconds", "How late the slowest process's latest heartbeat was.", "livemax")
        self._processes = gauge("serving_processes", "Processes that serve.", "livesum")
        self._processes.set(1)
        self._beats = 0
        self._by_command: dict[tuple[str, int], Counter] = {}

    def connected(self) -> None:
        """Count a client that is being served from now on."""
        self._open.inc()

    def disconnected(self, outcome: str, seconds: float) -> None:
        """Count the end of what `connected` began."""
        self._open.dec()
        self._connections.labels(outcome).inc()
        self._lasted.observe(seconds)

    def refused(self, reason: str) -> None:
        """Count a client that was turned away."""
        self._refusals.labels(reason).inc()

    def stalled(self, what: str) -> None:
        """Count a client that was cut for being too slow."""
        self._stalls.labels(what).inc()

    def command(self, name: str, status: int, sent_bytes: int, seconds: float) -> None:
        """Count a command that was answered."""
        counter = self._by_command.get((name, status))
        if counter is None:
            counter = self._by_command[name, status] = self._commands.labels(name or "unknown", str(int(status)))
        counter.inc()
        self._sent.inc(sent_bytes)
        self._seconds.observe(seconds)

    def received(self, count: int) -> None:
        """Count bytes that came from a client."""
        self._received.inc(count)

    def beat(self, lag_seconds: float) -> None:
        """Take note of how the process is."""
        self._lag.set(lag_seconds)
        if self._beats % _DESCRIPTORS_BEATS == 0:
            self._descriptors.set(len(os.listdir("/proc/self/fd")))  # noqa: PTH208  (names are enough)
        self._beats += 1

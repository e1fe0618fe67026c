"""Metrics for Prometheus, summed over all processes of a server.

prometheus_client keeps them in files of the state directory (its multiprocess mode,
https://prometheus.github.io/client_python/multiprocess/). Import this module only after a `StateDirectory` has set
PROMETHEUS_MULTIPROC_DIR, which prometheus_client reads on import.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from greenserver.io.descriptors import count_open
from greenserver.telemetry.metrics import Metrics

_SECONDS: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0)
_DESCRIPTORS_BEATS: Final = 5  # counting thousands of descriptors takes milliseconds


class PrometheusMetrics(Metrics):
    """Counters, gauges and histograms for Prometheus."""

    def __init__(self) -> None:
        registry = CollectorRegistry()  # only holds the names: scrapes are answered from the files

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"greenserver_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, mode: str) -> Gauge:
            return Gauge(f"greenserver_{name}", text, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]  # a valid mode

        self._connections = counter("connections", "Closed connections, by outcome.", "outcome")
        self._open = gauge("open_connections", "Open connections.", "livesum")
        self._refusals = counter("refusals", "Rejected connections, by reason.", "reason")
        self._stalls = counter("stalls", "Connections closed by a timeout or a minimum rate, by which.", "what")
        self._commands = counter("commands", "Commands answered, by command and status.", "command", "status")
        self._sent = counter("sent_bytes", "Bytes of replies sent.")
        self._received = counter("received_bytes", "Bytes of commands received.")
        self._seconds = Histogram(
            "greenserver_command_seconds",
            "Time from the arrival of a command to the end of its reply.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._lasted = Histogram(
            "greenserver_connection_seconds", "Duration of connections.", registry=registry, buckets=_SECONDS
        )
        self._descriptors = gauge("open_descriptors", "Open file descriptors.", "livesum")
        self._lag = gauge("loop_lag_seconds", "Delay of the latest heartbeat, maximum over all processes.", "livemax")
        self._processes = gauge("serving_processes", "Processes that serve clients.", "livesum")
        self._processes.set(1)
        self._beats = 0
        self._by_command: dict[tuple[str, int], Counter] = {}

    def connected(self) -> None:
        """Count a connection that is now served."""
        self._open.inc()

    def disconnected(self, outcome: str, seconds: float) -> None:
        """Count a connection that `connected` counted as closed."""
        self._open.dec()
        self._connections.labels(outcome).inc()
        self._lasted.observe(seconds)

    def refused(self, reason: str) -> None:
        """Count a rejected connection."""
        self._refusals.labels(reason).inc()

    def stalled(self, what: str) -> None:
        """Count a connection that was closed for being too slow."""
        self._stalls.labels(what).inc()

    def command(self, name: str, status: int, sent_bytes: int, seconds: float) -> None:
        """Count an answered command."""
        counter = self._by_command.get((name, status))
        if counter is None:
            counter = self._by_command[name, status] = self._commands.labels(name or "unknown", str(int(status)))
        counter.inc()
        self._sent.inc(sent_bytes)
        self._seconds.observe(seconds)

    def received(self, count: int) -> None:
        """Count bytes received from a client."""
        self._received.inc(count)

    def beat(self, lag_seconds: float) -> None:
        """Record the loop lag and, every few heartbeats, the number of open descriptors."""
        self._lag.set(lag_seconds)
        if self._beats % _DESCRIPTORS_BEATS == 0:
            self._descriptors.set(count_open())
        self._beats += 1

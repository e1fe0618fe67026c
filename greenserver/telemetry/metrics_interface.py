"""The interface of metrics, with a default implementation that does nothing."""


class Metrics:
    """Receives events from any thread or greenlet, and ignores them.

    Subclasses count them. Methods must be fast and must not raise.
    """

    __slots__ = ()

    def connected(self) -> None:
        """Count a connection that is now served."""

    def disconnected(self, outcome: str, seconds: float) -> None:
        """Count a connection that `connected` counted as closed, with its outcome (a short phrase) and duration."""

    def refused(self, reason: str) -> None:
        """Count a rejected connection: "full", "client", "tls", "proxy" or "resources"."""

    def stalled(self, what: str) -> None:
        """Count a connection that was closed for being too slow: "idle", "line", "write" or "handshake"."""

    def command(self, name: str, status: int, sent_bytes: int, seconds: float) -> None:
        """Count an answered command. `name` is "" for an unknown command."""

    def received(self, count: int) -> None:
        """Count bytes received from a client."""

    def loop_lag(self, lag_seconds: float) -> None:
        """Record, about once a second, how late this call is: how long no client was served."""


SILENT = Metrics()

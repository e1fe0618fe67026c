"""What a server tells of its work, in numbers: an interface whose usual form does nothing."""


class Metrics:
    """Is told what happens, from any thread or greenlet; this one forgets it.

    Whoever counts derives from it. The methods must be quick and must not fail.
    """

    __slots__ = ()

    def connected(self) -> None:
        """Count a client that is being served from now on."""

    def disconnected(self, outcome: str, seconds: float) -> None:
        """Count the end of what `connected` began: its outcome (a short phrase) and how long it was."""

    def refused(self, reason: str) -> None:
        """Count a client that was turned away: "full", "client", "tls", "proxy"."""

    def stalled(self, what: str) -> None:
        """Count a client that was cut for being too slow: "idle", "line", "write", "handshake"."""

    def command(self, name: str, status: int, sent_bytes: int, seconds: float) -> None:
        """Count a command that was answered; an unknown name is given as ""."""

    def received(self, count: int) -> None:
        """Count bytes that came from a client."""

    def beat(self, lag_seconds: float) -> None:
        """Take note, about once a second, of how late this note itself is: how long nobody was served."""


SILENT = Metrics()

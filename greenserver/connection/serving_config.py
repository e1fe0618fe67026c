"""What connections are served with, in one frozen object, and the connections that are served with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from greenserver.config.limits import DEFAULTS, Limits
from greenserver.connection.proxy_protocol import Network
from greenserver.files.store import FileStore
from greenserver.io.wait import ShutdownEvent
from greenserver.net.connection_limiter import ConnectionLimiter
from greenserver.protocol.parser import Dialect
from greenserver.telemetry.access_log import COMMANDS
from greenserver.telemetry.line_limiter import LineLimiter
from greenserver.telemetry.metrics_interface import SILENT, Metrics

if TYPE_CHECKING:
    from ssl import SSLContext


class DrainingError(Exception):
    """A configuration is no longer served."""


class DrainGroup:
    """Connections that are drained together: counted, and asked to end by one call. Any thread may use it."""

    def __init__(self, on_empty: Callable[[], object] | None = None) -> None:
        self.is_draining = False
        """Whether the connections are asked to end."""
        self._on_empty = on_empty
        self._lock = Lock()
        self._count = 0
        self._event: ShutdownEvent | None = None

    def join(self) -> None:
        """Add a connection. Raise DrainingError if the group is draining."""
        with self._lock:
            if self.is_draining:
                raise DrainingError
            self._count += 1

    def leave(self) -> None:
        """Remove a connection. The last one to leave a draining group calls `on_empty`."""
        with self._lock:
            self._count -= 1
            is_over = self.is_draining and not self._count
        if is_over:
            self._end()

    def drain(self) -> None:
        """Ask all connections to close after the reply in progress; do nothing if that has been done."""
        with self._lock:
            is_over = not self.is_draining and not self._count
            self.is_draining = True
            if self._event is not None:
                self._event.set()
        if is_over:
            self._end()

    def event(self) -> ShutdownEvent:
        """Return an event that is set while the group is draining, for a member that blocks in a wait."""
        with self._lock:
            if self._event is None:
                self._event = ShutdownEvent()
                if self.is_draining:
                    self._event.set()
            return self._event

    def _end(self) -> None:
        if self._event is not None:
            self._event.close()
        if self._on_empty is not None:
            self._on_empty()


@dataclass(frozen=True)
class ServingConfig:
    """What a connection is served with. A reload replaces the whole object.

    With `tls`, connections are encrypted. With `proxy_from`, each must begin with a PROXY protocol header, sent by a
    peer in one of these networks (or on a unix socket); the header replaces the client's address.
    `access_log` is one of `access_log.CONTENTS`.
    """

    store: FileStore
    dialect: Dialect
    limits: Limits = DEFAULTS
    limiter: ConnectionLimiter = field(default_factory=ConnectionLimiter)
    metrics: Metrics = SILENT
    access_log: str = COMMANDS
    line_limiter: LineLimiter = field(default_factory=LineLimiter)
    tls: "SSLContext | None" = None
    proxy_from: Sequence[Network] = ()
    group: DrainGroup = field(default_factory=DrainGroup)
    """The connections that are served with it."""

"""The server: listen, serve with an engine, reload, and stop."""

import logging
import os
import socket
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TypedDict

from greenserver import engines
from greenserver.config.addresses import UNIX_PREFIX, describe
from greenserver.config.limits import DEFAULT_PORT, DEFAULTS, Limits
from greenserver.connection.connection import Connection
from greenserver.connection.proxy_protocol import Network
from greenserver.connection.serving_config import DrainGroup, DrainingError, ServingConfig
from greenserver.files.store import FileStore
from greenserver.io.wait import ShutdownEvent
from greenserver.net.accept_queue import LastCall, close_queued, drop_new_connections
from greenserver.net.connection_limiter import ConnectionLimiter
from greenserver.net.listening import close_listener, open_listener
from greenserver.protocol.dialects import DEFAULT_DIALECT, DIALECTS
from greenserver.telemetry.access_log import COMMANDS, CONTENTS
from greenserver.telemetry.line_limiter import LineLimiter
from greenserver.telemetry.log import report
from greenserver.telemetry.metrics_interface import SILENT, Metrics
from greenserver.telemetry.shortage import is_shortage, report_shortage

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Self, Unpack

_log = logging.getLogger(__name__)


class ServingOptions(TypedDict, total=False):
    """What a reload can change beside the directory. An option that is not given has its default."""

    dialect: str
    """One of `DIALECTS`; the default is 2026."""
    hidden: bool
    """Whether to serve dot-files, too; not by default."""
    limits: Limits
    """Bounds clients."""
    tls: "ssl.SSLContext | None"
    """Makes the port accept TLS only."""
    proxy_from: Sequence[Network]
    """Requires a PROXY protocol header, from one of these networks, on every connection."""
    access_log: str
    """What is logged of connections: one of `access_log.CONTENTS`; the default is each command."""


class Server:
    """Serves the files of a directory. A context manager: the server listens while it is entered.

    `address` is a host name, an IPv4 or IPv6 address or ``unix:PATH``; `port` 0 picks a free one.
    Instead, `listener` is a listening socket, which other processes may share.
    `engine` is one of `engines.ENGINES`; `metrics` receives metrics; for more, see `ServingOptions`.

    The constructor raises ValueError for an unknown engine, dialect or access log. Entering raises OSError, with a
    readable message, if the directory cannot be opened or the address cannot be listened on.
    """

    def __init__(  # noqa: PLR0913  (keyword-only settings with defaults)
        self,
        directory: str | os.PathLike[str] = ".",
        *,
        address: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        engine: str = engines.DEFAULT_ENGINE,
        metrics: Metrics = SILENT,
        listener: socket.socket | None = None,
        **options: "Unpack[ServingOptions]",
    ) -> None:
        _require("engine", engine, engines.ENGINES)
        _check(options)
        self.engine = engine
        self.is_shared = listener is not None
        self._directory = directory
        self._options = options
        self._host = address
        self._port = port
        self._metrics = metrics
        self._given_listener = listener

    def __enter__(self) -> "Self":
        self._limiter = ConnectionLimiter(self._metrics)
        self._line_limiter = LineLimiter()
        self._last_call: LastCall | None = None
        self.config = self._open(self._directory, self._options)
        try:
            self._listener = self._given_listener or open_listener(self._host, self._port)
        except OSError:
            self.config.group.drain()
            raise
        self._name = self._listener.getsockname()
        self._run = engines.load(self.engine)  # before privileges are dropped: its files may be unreadable afterwards
        self._stop = ShutdownEvent()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close_listener(self._listener)
        self._stop.close()
        self.config.group.drain()

    @property
    def host(self) -> str:
        """The listening address: an IP address, or unix:PATH."""
        return str(self._name[0]) if isinstance(self._name, tuple) else UNIX_PREFIX + str(self._name)

    @property
    def port(self) -> int:
        """The listening port; 0 for a unix socket."""
        return int(self._name[1]) if isinstance(self._name, tuple) else 0

    @property
    def address(self) -> str:
        """Host and port as text."""
        return describe(self.host, self.port)

    def serve(self) -> None:
        """Serve until `stop` is called and the replies in progress are sent.

        Raise RuntimeError if the engine is gevent and sockets are not monkey-patched.
        """
        self._limiter.measure_capacity()
        self._run(self._listener, self, self._stop, self.config.limits)
        if not self.is_shared and self._listener.fileno() >= 0:
            close_queued(self._listener)  # left by an engine that serves one client at a time
        self._line_limiter.flush()
        report(_log, logging.INFO, "stopped", address=self.address)

    def stop(self) -> None:
        """Ask the engine to stop accepting, and to let the replies in progress finish.

        Any thread or signal handler may call it, also more than once, and when the server has stopped.

        Connections in the accept queue are accepted first: closing the listener would reset them. A shared
        listener is left alone, since other processes keep accepting from it.
        """
        if not self.is_shared and not self._stop.is_set:
            drop_new_connections(self._listener)
        self._stop.set()

    def reload(self, directory: str | os.PathLike[str], **options: "Unpack[ServingOptions]") -> None:
        """Serve new connections with a new configuration, and close the present ones after the reply in progress.

        Raise OSError, with a readable message, if the directory cannot be opened, and ValueError for an unknown
        dialect or access log. After any exception, nothing has changed.
        """
        self.apply(self.prepare(directory, **options))

    def prepare(self, directory: str | os.PathLike[str], **options: "Unpack[ServingOptions]") -> ServingConfig:
        """Return a configuration to `apply`; a caller that does not apply it drains its group.

        Any thread may call it: it changes nothing, and may wait for the disk of the directory. Raise as `reload` does.
        """
        return self._open(directory, options)

    def apply(self, config: ServingConfig) -> None:
        """Serve new connections with a configuration of `prepare`, and close the others as `reload` does."""
        before, self.config = self.config, config
        before.group.drain()
        self._stop.wake()

    def wakeup_fileno(self) -> int:
        """Return a descriptor for `signal.set_wakeup_fd`, for programs that call `stop` in a signal handler."""
        return self._stop.wakeup_fileno()

    def on_wakeup(self, call: Callable[[], object]) -> None:
        """Call a function, which must not raise, in the engine's loop after each `wake` and each signal."""
        self._stop.on_wakeup = call

    def wake(self) -> None:
        """Have the engine's loop take a turn."""
        self._stop.wake()

    def connect(self, sock: socket.socket, client: str, *, may_block: bool = True) -> Connection | None:
        """Make a connection of a client's socket, for the engine; on any failure, close the socket and return None."""
        try:
            return self._connect(sock, client, may_block=may_block)
        except DrainingError:  # the server has stopped
            pass
        except Exception as error:  # noqa: BLE001  (one client less, and no more)
            if is_shortage(error):
                report_shortage("connection", client=client)
            else:
                report(_log, logging.ERROR, "connection failed", client=client, error=error)
        sock.close()
        return None

    def _connect(self, sock: socket.socket, client: str, *, may_block: bool) -> Connection:
        config = self.config
        try:
            return Connection(sock, config, client, may_block=may_block)
        except DrainingError:
            if config is self.config:
                raise
        return self._connect(sock, client, may_block=may_block)  # a reload came in between

    def has_queued(self) -> bool:
        """Return whether to go on accepting after a stop, since the accept queue of this server is not empty."""
        if self.is_shared:
            return False
        if self._last_call is None:
            self._last_call = LastCall(self._listener)
        return not self._last_call.is_over()

    def has_room(self) -> bool:
        """Return whether there is memory for another client; otherwise it waits, unless the server has to stop."""
        return self._stop.is_set or self._limiter.has_room()

    def drain(self) -> None:
        """Ask all connections to close after the reply in progress."""
        self.config.group.drain()

    def _open(self, directory: str | os.PathLike[str], options: ServingOptions) -> ServingConfig:
        """Return the configuration that options ask for. Raise ValueError or OSError, with a readable message."""
        _check(options)
        try:
            store = FileStore(directory, hidden=options.get("hidden", False))
        except OSError as error:
            message = f"cannot serve {os.fspath(directory)}: {error.strerror}"
            raise OSError(message) from error
        try:
            return ServingConfig(
                store,
                DIALECTS[options.get("dialect", DEFAULT_DIALECT)],
                limits=options.get("limits", DEFAULTS),
                limiter=self._limiter,
                metrics=self._metrics,
                access_log=options.get("access_log", COMMANDS),
                line_limiter=self._line_limiter,
                tls=options.get("tls"),
                proxy_from=options.get("proxy_from", ()),
                group=DrainGroup(on_empty=store.close),
            )
        except BaseException:
            store.close()
            raise


def _check(options: ServingOptions) -> None:
    """Raise ValueError for an unknown dialect or access log."""
    _require("dialect", options.get("dialect", DEFAULT_DIALECT), DIALECTS)
    _require("access log", options.get("access_log", COMMANDS), CONTENTS)


def _require(what: str, name: str, known: object) -> None:
    """Raise ValueError for an unknown name."""
    names = list(known)  # type: ignore[call-overload]
    if name not in names:
        message = f"unknown {what} {name!r}; choose from {', '.join(names)}"
        raise ValueError(message)

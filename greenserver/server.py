"""The server: listen, serve with an engine, reload, and stop."""

import gc
import logging
import os
import socket
import weakref
from _thread import start_new_thread
from collections.abc import Sequence
from time import sleep
from types import TracebackType
from typing import TYPE_CHECKING

from greenserver import engines
from greenserver.config.addresses import UNIX_PREFIX, describe
from greenserver.config.limits import DEFAULT_PORT, DEFAULTS, LINGER_QUIET_SECONDS, Limits
from greenserver.connection.connection import Connection
from greenserver.connection.handshake import Network
from greenserver.files.store import FileStore
from greenserver.io.wait import ShutdownEvent
from greenserver.net.drain import close_queued, refuse_new, wait_until_empty
from greenserver.net.limiter import ConnectionLimiter
from greenserver.net.listening import close_listener, open_listener
from greenserver.protocol.dialects import DEFAULT_DIALECT, DIALECTS
from greenserver.telemetry.log import report
from greenserver.telemetry.metrics import SILENT, Metrics

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Self

_log = logging.getLogger(__name__)


class Server:
    """Serves the files of a directory. A context manager: the server listens while it is entered.

    `address` is a host name, an IPv4 or IPv6 address or ``unix:PATH``; `port` 0 picks a free one.
    Instead, `listener` is a listening socket, which other processes may share.
    `engine` is one of `engines.ENGINES`, `dialect` one of `DIALECTS`; `hidden` also serves dot-files.
    `limits` bounds clients; `meter` receives metrics; `tls` makes the port accept TLS only; `proxy_from`
    requires a PROXY protocol header, from one of these networks, on every connection.

    The constructor raises ValueError for an unknown engine or dialect. Entering raises OSError, with a readable
    message, if the directory cannot be opened or the address cannot be listened on.
    """

    def __init__(  # noqa: PLR0913  (keyword-only settings with defaults)
        self,
        directory: str | os.PathLike[str] = ".",
        *,
        address: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        engine: str = engines.DEFAULT_ENGINE,
        dialect: str = DEFAULT_DIALECT,
        hidden: bool = False,
        limits: Limits = DEFAULTS,
        meter: Metrics = SILENT,
        tls: "ssl.SSLContext | None" = None,
        proxy_from: Sequence[Network] = (),
        listener: socket.socket | None = None,
    ) -> None:
        _require("engine", engine, engines.ENGINES)
        _require("dialect", dialect, DIALECTS)
        self.engine = engine
        self.dialect = dialect
        self.is_shared = listener is not None
        self._directory = directory
        self._hidden = hidden
        self._host = address
        self._port = port
        self._limits = limits
        self._meter = meter
        self._tls = tls
        self._proxy_from = proxy_from
        self._given_listener = listener

    def __enter__(self) -> "Self":
        self.store = _open_store(self._directory, hidden=self._hidden)
        try:
            self._listener = self._given_listener or open_listener(self._host, self._port)
        except OSError:
            self.store.close()
            raise
        self._name = self._listener.getsockname()
        self._run = engines.load(self.engine)  # before privileges are dropped: its files may be unreadable afterwards
        self._stop = ShutdownEvent()
        self._conversations: weakref.WeakSet[Connection] = weakref.WeakSet()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close_listener(self._listener)
        self._stop.close()
        self.store.close()

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
        self._report_files()
        self._limiter = ConnectionLimiter(
            self._limits, self._meter
        )  # not earlier: it counts the descriptors of the process
        self._run(self._listener, self._welcome, self._stop, self._limits)
        if not self.is_shared and self._listener.fileno() >= 0:
            close_queued(self._listener)  # left by an engine that serves one client at a time
        report(_log, logging.INFO, "stopped", address=self.address)

    def stop(self) -> None:
        """Stop accepting, and let the replies in progress finish. Safe in any thread or signal handler.

        Connections in the accept queue are accepted first: closing the listener would reset them. A shared
        listener is left alone, since other processes keep accepting from it.
        """
        if self.is_shared:
            self._stop.set()
            return
        refuse_new(self._listener)
        try:
            start_new_thread(self._stop_after_last_call, ())
        except RuntimeError:  # the system cannot start another thread
            self._stop.set()

    def reload(  # noqa: PLR0913  (keyword-only settings)
        self,
        directory: str | os.PathLike[str],
        *,
        dialect: str,
        hidden: bool,
        limits: Limits,
        tls: "ssl.SSLContext | None",
        proxy_from: Sequence[Network],
    ) -> None:
        """Apply new settings to new connections, and close the present ones after the reply in progress.

        Raise OSError, with a readable message, if the directory cannot be opened, and ValueError for an unknown
        dialect. In both cases nothing changes.
        """
        _require("dialect", dialect, DIALECTS)
        self.store = _open_store(directory, hidden=hidden)
        self.dialect = dialect
        self._limits = limits
        self._limiter = ConnectionLimiter(limits, self._meter)
        self._tls = tls
        self._proxy_from = proxy_from
        self._report_files()
        before, self._conversations = self._conversations, weakref.WeakSet()
        try:
            start_new_thread(self._part_with, (before,))
        except RuntimeError:  # the system cannot start another thread
            self._part_with(before)

    def _part_with(self, conversations: "weakref.WeakSet[Connection]") -> None:
        """Drain connections. Their store closes with the last of them."""
        for _ in range(2):  # the second time for clients that do not close their end of the connection
            _stop_each(conversations)
            sleep(LINGER_QUIET_SECONDS)
        while any(conversation.socket.fileno() >= 0 for conversation in tuple(conversations)):
            sleep(LINGER_QUIET_SECONDS)
        gc.collect()  # a connection, and so its store, may be part of a reference cycle

    def _stop_after_last_call(self) -> None:
        wait_until_empty(self._listener)
        self._stop.set()

    def wakeup_fileno(self) -> int:
        """Return a descriptor for `signal.set_wakeup_fd`, for programs that call `stop` in a signal handler."""
        return self._stop.wakeup_fileno()

    def _welcome(self, sock: socket.socket, client: str) -> Connection:
        conversation = Connection(
            sock,
            self.store,
            DIALECTS[self.dialect],
            client=client,
            limits=self._limits,
            meter=self._meter,
            limiter=self._limiter,
            tls=self._tls,
            proxy_from=self._proxy_from,
        )
        self._conversations.add(conversation)
        return conversation

    def _report_files(self) -> None:
        """Warn once if the directory is unreadable, or has files whose names the protocol cannot express."""
        try:
            names = sorted(self.store.unservable_names())
        except OSError as error:
            report(_log, logging.WARNING, "directory cannot be read", reason=error.strerror)
            return
        if names:
            report(
                _log,
                logging.WARNING,
                "files not served: the protocol cannot express their names",
                count=len(names),
                example=names[0],
                allowed="A-Z a-z 0-9 . _ -",
            )


def _stop_each(conversations: "weakref.WeakSet[Connection]") -> None:
    """Stop connections. As a function, it leaves no local variable that keeps the last one alive."""
    for conversation in tuple(conversations):
        conversation.stop()


class _HeldStore(FileStore):
    """A store that closes when its last user is gone: connections may outlive a reload."""

    _descriptor = -1  # until it is opened

    def __del__(self) -> None:
        self.close()


def _open_store(directory: str | os.PathLike[str], *, hidden: bool) -> FileStore:
    try:
        return _HeldStore(directory, hidden=hidden)
    except OSError as error:
        message = f"cannot serve {os.fspath(directory)}: {error.strerror}"
        raise OSError(message) from error


def _require(what: str, name: str, known: object) -> None:
    """Raise ValueError for an unknown name."""
    names = list(known)  # type: ignore[call-overload]
    if name not in names:
        message = f"unknown {what} {name!r}; choose from {', '.join(names)}"
        raise ValueError(message)

"""The server: listens, serves with an engine, stops."""

import logging
import os
import socket
from types import TracebackType
from typing import TYPE_CHECKING

from greenserver import engines, limits
from greenserver.connection import Connection
from greenserver.dialects import DEFAULT_DIALECT, DIALECTS
from greenserver.listening import UNIX_PREFIX, close_listener, describe, open_listener
from greenserver.logs import report
from greenserver.store import FileStore
from greenserver.waiting import Stop

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger(__name__)


class Server:
    """Serves the files of a directory; a context manager that listens from its start to its end.

    `address` is a host name, an IPv4 or IPv6 address or ``unix:PATH``; `port` 0 takes any that is free.
    `engine` is one of `engines.MODULES`, `dialect` one of `DIALECTS`; `hidden` serves dot-files too.

    Entering raises OSError, with a message for people, if the directory or the address cannot be had;
    ValueError if there is no such engine or dialect.
    """

    def __init__(  # noqa: PLR0913  (keyword-only settings, a default each)
        self,
        directory: str | os.PathLike[str] = ".",
        *,
        address: str = "127.0.0.1",
        port: int = limits.DEFAULT_PORT,
        engine: str = engines.DEFAULT_ENGINE,
        dialect: str = DEFAULT_DIALECT,
        hidden: bool = False,
    ) -> None:
        _require("engine", engine, engines.MODULES)
        _require("dialect", dialect, DIALECTS)
        self.engine = engine
        self.dialect = dialect
        self._directory = directory
        self._hidden = hidden
        self._host = address
        self._port = port

    def __enter__(self) -> "Self":
        try:
            self.store = FileStore(self._directory, hidden=self._hidden)
        except OSError as error:
            message = f"cannot serve {os.fspath(self._directory)}: {error.strerror}"
            raise OSError(message) from error
        try:
            self._listener = open_listener(self._host, self._port)
        except OSError:
            self.store.close()
            raise
        self._name = self._listener.getsockname()
        self._stop = Stop()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close_listener(self._listener)
        self._stop.close()
        self.store.close()

    @property
    def host(self) -> str:
        """The address that is listened on: an IP address, or unix:PATH."""
        return str(self._name[0]) if isinstance(self._name, tuple) else UNIX_PREFIX + str(self._name)

    @property
    def port(self) -> int:
        """The port that is listened on; 0 for a unix socket."""
        return int(self._name[1]) if isinstance(self._name, tuple) else 0

    @property
    def address(self) -> str:
        """Host and port, as people write them."""
        return describe(self.host, self.port)

    def serve(self) -> None:
        """Serve until `stop` is called, then until the replies under way are sent.

        Raises RuntimeError if the engine is gevent and the sockets are not monkey-patched.
        """
        self._report_files()
        engines.load(self.engine)(self._listener, self._welcome, self._stop)
        report(_log, logging.INFO, "stopped", address=self.address)

    def stop(self) -> None:
        """Accept no more clients and let the replies under way finish; safe in any thread or signal handler."""
        self._stop.set()

    def wakeup_fileno(self) -> int:
        """Return a descriptor for `signal.set_wakeup_fd`, if a signal's handler calls `stop`."""
        return self._stop.wakeup_fileno()

    def _welcome(self, sock: socket.socket, client: str) -> Connection:
        return Connection(sock, self.store, DIALECTS[self.dialect], client=client)

    def _report_files(self) -> None:
        """Warn once of what a person may wonder about: files that cannot be shown, or no way to see any."""
        try:
            names = sorted(self.store.unservable_names())
        except OSError as error:
            report(_log, logging.WARNING, "the directory cannot be read", reason=error.strerror)
            return
        if names:
            report(
                _log,
                logging.WARNING,
                "files are not served, for the protocol has no way to say their names",
                count=len(names),
                example=names[0],
                allowed="A-Z a-z 0-9 . _ -",
            )


def _require(what: str, name: str, known: object) -> None:
    """Raise ValueError unless a name is known."""
    names = list(known)  # type: ignore[call-overload]
    if name not in names:
        message = f"there is no {what} {name!r}; there is {', '.join(names)}"
        raise ValueError(message)

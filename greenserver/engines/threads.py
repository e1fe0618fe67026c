"""Serve each connection in a daemon thread."""

import weakref
from _thread import start_new_thread  # `Thread.start` waits for ever for a thread that has no memory for its first call
from collections.abc import Callable
from socket import socket
from threading import Condition

from greenserver.config.limits import DEFAULTS, Limits
from greenserver.connection.connection import Connection
from greenserver.engines import ConnectionFactory, run_or_abort
from greenserver.io.wait import BlockingWait, ShutdownEvent
from greenserver.net.listening import accept_until, close_listener


def serve(listener: socket, server: ConnectionFactory, stop: ShutdownEvent, granted: Limits = DEFAULTS) -> None:
    """Serve each connection in its own thread until the shutdown event is set."""
    threads = _Threads()
    for sock, client in accept_until(stop, listener, server.has_queued, server.has_room):
        connection = server.connect(sock, client)
        if connection is not None:
            threads.begin(connection)
    close_listener(listener)
    server.drain()
    run_or_abort(threads.connections, threads.join, granted.grace_seconds)


class _Held:
    """Held by the thread of a connection alone, so that it goes with the thread."""

    __slots__ = ("__weakref__", "connection")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection


class _Threads:
    """The threads, and the connections that they serve."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self._ended = Condition()

    def begin(self, connection: Connection) -> None:
        """Serve a connection in a new thread; reject it if the system cannot start one."""
        try:
            connection.wait = BlockingWait(connection.config.group.event())
            if connection.is_dropped:  # clients can be accepted faster than threads start
                connection.handle()
                return
            self._start(connection)
        except (RuntimeError, MemoryError) as error:
            self.connections.discard(connection)
            connection.reject(str(error) or "no memory for a thread")

    def join(self, seconds: float) -> None:
        """Wait for the threads to end, for at most `seconds`."""
        with self._ended:
            self._ended.wait_for(lambda: not self.connections, seconds)

    def _start(self, connection: Connection) -> None:
        held = _Held(connection)
        end = weakref.finalize(held, self._end, connection)  # for a thread without memory for its first call
        end.atexit = False
        self.connections.add(connection)
        try:
            start_new_thread(_run, (held, end))
        except BaseException:
            end.detach()
            raise

    def _end(self, connection: Connection) -> None:
        connection.abandon()  # which does nothing, unless the thread could not begin
        self.connections.discard(connection)
        with self._ended:
            self._ended.notify()


def _run(held: _Held, end: Callable[[], object]) -> None:
    try:
        held.connection.handle()
    finally:
        end()

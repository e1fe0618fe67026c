"""Serve one connection at a time; other clients wait in the accept queue."""

import socket
from time import monotonic

from greenserver.config.limits import DEFAULTS, Limits
from greenserver.connection.connection import Connection
from greenserver.engines import ConnectionFactory
from greenserver.io.wait import FOREVER, KEEP_WAITING, LATE, READY, ShutdownEvent, Wait, poll
from greenserver.net.accept_queue import LOOK_SECONDS
from greenserver.net.listening import accept_until


def serve(listener: socket.socket, server: ConnectionFactory, stop: ShutdownEvent, granted: Limits = DEFAULTS) -> None:
    """Serve clients one after another until the shutdown event is set."""
    for sock, client in accept_until(stop, listener, server.has_queued, server.has_room):
        connection = server.connect(sock, client)
        if connection is not None:
            connection.wait = _StoppableWait(connection, server, stop, granted.grace_seconds)
            connection.handle()


class _StoppableWait:
    """Waits for the client and for the shutdown event, since this engine has no other thread to watch it."""

    def __init__(
        self, connection: Connection, server: ConnectionFactory, stop: ShutdownEvent, grace_seconds: float
    ) -> None:
        self._connection = connection
        self._server = server
        self._stop = stop
        self._grace_seconds = grace_seconds
        self._last = FOREVER  # end of the grace period, once the connection is asked to end

    def __call__(self, sock: socket.socket, wait: Wait) -> object:
        if wait.work is not None:
            wait.work()
            return READY
        while True:
            seconds = self._seconds_to_wait(wait)
            if seconds is None:
                return READY
            if sock.fileno() in poll(sock.fileno(), wait.events, seconds, None if self._stop.is_set else self._stop):
                outcome = wait.outcome()
                if outcome is not KEEP_WAITING:
                    return outcome
            elif monotonic() >= wait.deadline:
                return LATE

    def _seconds_to_wait(self, wait: Wait) -> float | None:
        """Return how long to wait before the next look at the server; None if the connection has to end."""
        now = monotonic()
        if self._stop.is_set and self._last == FOREVER:
            if self._server.has_queued():
                return min(wait.deadline - now, LOOK_SECONDS)
            self._server.drain()
            self._last = now + self._grace_seconds
        if now >= self._last:
            self._connection.abort()
            return None
        if wait.ends_on_drain and self._connection.config.group.is_draining:
            return None
        return min(wait.deadline, self._last) - now

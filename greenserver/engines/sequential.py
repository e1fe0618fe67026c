"""Serve one connection at a time; other clients wait in the accept queue."""

import socket
from time import monotonic

from greenserver.config.limits import DEFAULTS, LINGER_QUIET_SECONDS, Limits
from greenserver.connection.connection import Connection
from greenserver.engines import ConnectionFactory
from greenserver.io.wait import ShutdownEvent, Wait, poll, wait_blocking
from greenserver.net.listening import accept_until


def serve(listener: socket.socket, welcome: ConnectionFactory, stop: ShutdownEvent, granted: Limits = DEFAULTS) -> None:
    """Serve clients one after another until the shutdown event is set."""

    def converse(conversation: Connection) -> None:
        conversation.wait = _StoppableWait(conversation, stop, granted.grace_seconds)
        conversation.handle()

    for sock, client in accept_until(stop, listener):
        converse(welcome(sock, client))  # a local name would keep the connection alive until the next one


class _StoppableWait:
    """Waits for the client and for the shutdown event, since this engine has no other thread to watch it."""

    def __init__(self, conversation: Connection, stop: ShutdownEvent, grace_seconds: float) -> None:
        self._conversation = conversation
        self._grace_seconds = grace_seconds
        self._stop = stop
        self._last = float("inf")  # end of the grace period, once the shutdown event is set

    def __call__(self, sock: socket.socket, wait: Wait) -> bool:
        if wait.work is not None:
            return wait_blocking(sock, wait)
        while self._is_ready(sock, wait):
            if wait.is_over():
                return True
        return False

    def _is_ready(self, sock: socket.socket, wait: Wait) -> bool:
        if not self._is_told:
            ready = poll(sock.fileno(), wait.events, wait.deadline - monotonic(), self._stop)
            if not self._stop.is_set:
                return bool(ready)
            self._conversation.stop()
            self._last = monotonic() + self._grace_seconds
            if poll(sock.fileno(), wait.events, min(wait.deadline, monotonic() + LINGER_QUIET_SECONDS) - monotonic()):
                return True
            self._conversation.stop()  # the second call: the client did not close
        return bool(poll(sock.fileno(), wait.events, min(wait.deadline, self._last) - monotonic()))

    @property
    def _is_told(self) -> bool:
        return self._last < float("inf")

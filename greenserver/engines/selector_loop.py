"""One loop, one selector: conversations are suspended, and resumed when their sockets are ready."""

import selectors
from collections.abc import Collection
from socket import socket
from time import monotonic
from typing import Final

from greenserver import limits
from greenserver.connection import Connection
from greenserver.engines import Welcome, drain
from greenserver.listening import accept, close_listener
from greenserver.waiting import Steps, Stop

_LISTENER: Final = "listener"
_STOP: Final = "stop"


def serve(listener: socket, welcome: Welcome, stop: Stop) -> None:
    """Serve all clients in this thread until the switch is turned."""
    with selectors.DefaultSelector() as selector:
        selector.register(stop.fileno(), selectors.EVENT_READ, _STOP)
        _Loop(selector, listener, welcome).serve(stop)


class _Suspended:
    """A conversation that waits for its socket, or for its deadline."""

    __slots__ = ("connection", "deadline", "descriptor", "events", "steps")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.descriptor = connection.socket.fileno()
        self.steps: Steps[None] = connection.steps()
        self.events = 0  # not registered
        self.deadline = 0.0


class _Loop:
    def __init__(self, selector: selectors.BaseSelector, listener: socket, welcome: Welcome) -> None:
        self._selector = selector
        self._listener = listener
        self._welcome = welcome
        self._suspended: dict[Connection, _Suspended] = {}
        self._accept_from = 0.0  # when to look at the listener again; only while it is unregistered
        self._is_listening = False
        self._next_sweep = monotonic()

    def serve(self, stop: Stop) -> None:
        while not stop.is_set:
            self._listen()
            self._turn(limits.SWEEP_SECONDS)
        self._selector.unregister(stop.fileno())
        self._ignore_listener()
        close_listener(self._listener)
        drain(self._conversations, self._run)

    @property
    def _conversations(self) -> Collection[Connection]:
        return self._suspended.keys()

    def _run(self, seconds: float) -> None:
        deadline = monotonic() + seconds
        while self._suspended and monotonic() < deadline:
            self._turn(min(seconds, limits.SWEEP_SECONDS))

    def _turn(self, seconds: float) -> None:
        """Resume what is ready, after waiting for at most so long; then what is past its deadline."""
        for key, _ in self._selector.select(seconds):
            if key.data is _LISTENER:
                self._accept()
            elif key.data is not _STOP:
                self._resume(key.data, is_ready=True)
        now = monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + limits.SWEEP_SECONDS
            for suspended in [each for each in self._suspended.values() if each.deadline <= now]:
                self._resume(suspended, is_ready=False)

    def _listen(self) -> None:
        if not self._is_listening and monotonic() >= self._accept_from:
            self._selector.register(self._listener, selectors.EVENT_READ, _LISTENER)
            self._is_listening = True

    def _ignore_listener(self) -> None:
        if self._is_listening:
            self._selector.unregister(self._listener)
            self._is_listening = False

    def _accept(self) -> None:
        try:
            accepted = accept(self._listener)
        except OSError:
            self._ignore_listener()
            self._accept_from = monotonic() + limits.ACCEPT_PAUSE_SECONDS
            return
        if accepted is not None:
            connection = self._welcome(*accepted)
            self._suspended[connection] = suspended = _Suspended(connection)
            self._resume(suspended, is_ready=None)

    def _resume(self, suspended: _Suspended, *, is_ready: bool | None) -> None:
        """Go on with a conversation until its next wait; None begins it."""
        try:
            wait = next(suspended.steps) if is_ready is None else suspended.steps.send(is_ready)
        except StopIteration:
            # Its socket is closed, which took it out of the kernel's set; this forgets the rest.
            if suspended.events:
                self._selector.unregister(suspended.descriptor)
            del self._suspended[suspended.connection]
            return
        suspended.deadline = wait.deadline
        if wait.events != suspended.events:
            change = self._selector.modify if suspended.events else self._selector.register
            change(suspended.descriptor, wait.events, suspended)
            suspended.events = wait.events

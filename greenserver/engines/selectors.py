"""Serve all connections in one thread, with an event loop on one selector."""

import _thread
import contextlib
import heapq
import selectors
from collections import deque
from functools import partial
from itertools import count
from socket import socket
from time import monotonic
from typing import Final

from greenserver.config.limits import ACCEPT_PAUSE_SECONDS, DEFAULTS, ENDING_BURST, SWEEP_SECONDS, Limits
from greenserver.connection.connection import Connection
from greenserver.engines import ConnectionFactory, run_or_abort
from greenserver.files.thread_pool import ThreadPool
from greenserver.io.wait import KEEP_WAITING, LATE, NEVER, NOTHING, READY, ShutdownEvent, Steps, Wait
from greenserver.net.accept_queue import LOOK_SECONDS
from greenserver.net.listening import ACCEPT_ERRORS, accept, close_listener
from greenserver.telemetry.shortage import report_shortage

_LISTENER: Final = "listener"
_FILES: Final = "files"


def serve(listener: socket, server: ConnectionFactory, stop: ShutdownEvent, granted: Limits = DEFAULTS) -> None:
    """Serve all clients in this thread until the shutdown event is set."""
    files = ThreadPool(granted.file_threads, _thread.start_new_thread)
    with selectors.DefaultSelector() as selector:
        selector.register(stop.fileno(), selectors.EVENT_READ, stop)
        selector.register(files.fileno(), selectors.EVENT_READ, _FILES)
        try:
            _Loop(selector, listener, server, files).serve(stop, granted.grace_seconds)
        finally:
            files.close()


class _Suspended:
    """A connection that waits for its socket, for a job, or for a deadline."""

    __slots__ = ("asked", "connection", "descriptor", "events", "steps")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.descriptor = connection.socket.fileno()
        self.steps: Steps[None] = connection.steps()
        self.events = 0  # not registered
        self.asked = NEVER
        """The current wait, whose deadline the sweep checks."""


class _Loop:
    def __init__(
        self, selector: selectors.BaseSelector, listener: socket, server: ConnectionFactory, files: ThreadPool
    ) -> None:
        self._selector = selector
        self._listener = listener
        self._server = server
        self._files = files
        self._suspended: dict[Connection, _Suspended] = {}
        self._ending: deque[_Suspended] = deque()  # to be resumed, as far as they are late or asked to end
        self._pauses: list[tuple[float, int, _Suspended]] = []  # a heap; the number breaks ties between equal deadlines
        self._numbers = count()
        self._accept_from = 0.0  # when to register the listener again, while it is unregistered
        self._is_listening = False
        self._next_sweep = monotonic()

    def serve(self, stop: ShutdownEvent, grace_seconds: float) -> None:
        while not stop.is_set:
            self._listen()
            self._turn(SWEEP_SECONDS if self._is_listening else ACCEPT_PAUSE_SECONDS)
        self._selector.unregister(stop.fileno())
        while self._server.has_queued():
            self._listen()
            self._turn(LOOK_SECONDS)
        self._ignore_listener()
        close_listener(self._listener)
        self._server.drain()
        self._ending.extend(self._suspended.values())
        run_or_abort(self._suspended.keys(), self._run, grace_seconds)

    def _run(self, seconds: float) -> None:
        deadline = monotonic() + seconds
        while self._suspended and monotonic() < deadline:
            self._turn(min(seconds, SWEEP_SECONDS))

    def _turn(self, seconds: float) -> None:
        """Wait for at most `seconds`; resume what is ready, then what has to end or is past its deadline."""
        try:
            self._take_turn(seconds)
        except MemoryError:  # what is left is found again in the next turn
            report_shortage("event loop")

    def _take_turn(self, seconds: float) -> None:
        if self._ending:
            seconds = 0.0
        if self._pauses:
            seconds = min(seconds, max(0.0, self._pauses[0][0] - monotonic()))
        for key, _ in self._selector.select(seconds):
            self._react(key.data)
        self._end_some()
        now = monotonic()
        while self._pauses and self._pauses[0][0] <= now:
            self._resume(heapq.heappop(self._pauses)[2], LATE)
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            self._ending.extend(each for each in self._suspended.values() if each.asked.deadline <= now)

    def _react(self, ready: object) -> None:
        """Go on with what is ready."""
        if isinstance(ready, _Suspended):
            outcome = ready.asked.outcome()
            if outcome is not KEEP_WAITING:
                self._resume(ready, outcome)
        elif isinstance(ready, ShutdownEvent):
            ready.absorb()
            self._ending.extend(self._suspended.values())
        elif ready is _LISTENER:
            self._accept()
        else:
            self._files.resume()

    def _end_some(self) -> None:
        """Resume connections that are late or asked to end; some at a time, so that others are served."""
        resumed, now = 0, monotonic()
        while self._ending and resumed < ENDING_BURST:
            suspended = self._ending.popleft()
            if suspended.asked.ends_on_drain and suspended.connection.config.group.is_draining:
                self._resume(suspended, READY)
            elif suspended.asked.deadline <= now:
                self._resume(suspended, LATE)
            else:
                continue
            resumed += 1

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
            accepted = accept(self._listener, self._server.has_room)
        except ACCEPT_ERRORS:
            self._ignore_listener()
            self._accept_from = monotonic() + ACCEPT_PAUSE_SECONDS
            return
        if accepted is not None:
            connection = self._server.connect(*accepted, may_block=False)
            if connection is not None:
                self._begin(connection)

    def _begin(self, connection: Connection) -> None:
        try:
            self._suspended[connection] = suspended = _Suspended(connection)
        except MemoryError as error:
            connection.fail(error)
        else:
            self._resume(suspended, None)

    def _resume(self, suspended: _Suspended, outcome: object) -> None:
        """Run a connection until its next wait; the outcome of its first one is None."""
        try:
            suspended.asked = wait = suspended.steps.send(outcome)
            if wait.events != suspended.events:
                self._watch(suspended, wait.events)
            if wait.events == NOTHING:
                self._pause(suspended, wait)
        except StopIteration:
            self._forget(suspended)
        except Exception as error:  # noqa: BLE001  (no memory for it in the selector; ends this connection, and no other)
            suspended.connection.fail(error)
            suspended.steps.close()
            self._forget(suspended)

    def _forget(self, suspended: _Suspended) -> None:
        """Drop a connection that has ended."""
        # Closing the socket removed it from the kernel's epoll set; this removes it from the selector's map.
        if suspended.events:
            with contextlib.suppress(KeyError):  # it could not be watched
                self._selector.unregister(suspended.descriptor)
        suspended.asked = NEVER
        self._suspended.pop(suspended.connection, None)

    def _watch(self, suspended: _Suspended, events: int) -> None:
        if events == NOTHING:
            self._selector.unregister(suspended.descriptor)
        elif suspended.events:
            self._selector.modify(suspended.descriptor, events, suspended)
        else:
            self._selector.register(suspended.descriptor, events, suspended)
        suspended.events = events

    def _pause(self, suspended: _Suspended, wait: Wait) -> None:
        """Suspend a connection until its job is done, or until its deadline."""
        suspended.asked = NEVER  # the sweep must not resume it
        if wait.work is not None:
            self._files.do(wait.work, partial(self._resume, suspended, READY))
        else:
            heapq.heappush(self._pauses, (wait.deadline, next(self._numbers), suspended))

"""Serve each connection in a greenlet, with gevent's StreamServer."""

import contextlib
import logging
import socket
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import gevent
import gevent.socket
from gevent import monkey
from gevent.pool import Group
from gevent.server import StreamServer

from greenserver.config.limits import (
    ACCEPT_BURST,
    ACCEPT_PAUSE_SECONDS,
    DEFAULTS,
    ENDING_BURST,
    ENDING_PAUSE_SECONDS,
    SWEEP_SECONDS,
    Limits,
)
from greenserver.engines import ConnectionFactory, run_or_abort, seconds_left
from greenserver.files.thread_pool import ThreadPool
from greenserver.io.wait import KEEP_WAITING, LATE, NEVER, NOTHING, READ, READY, Job, ShutdownEvent, Wait
from greenserver.net.accept_queue import LOOK_SECONDS
from greenserver.net.listening import (
    ACCEPT_ERRORS,
    always,
    close_listener,
    describe_peer,
    is_client_gone,
    report_accepted,
    report_failed_accept,
    require_room,
)
from greenserver.telemetry.log import report
from greenserver.telemetry.shortage import is_shortage, report_shortage

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenserver.connection.connection import Connection

_log = logging.getLogger(__name__)

# A connection's socket is non-blocking and needs no cooperative wrapper: the plain one is smaller and faster.
_PlainSocket: Final = monkey.get_original("socket", "socket")


def serve(listener: socket.socket, server: ConnectionFactory, stop: ShutdownEvent, granted: Limits = DEFAULTS) -> None:
    """Serve each connection in its own greenlet until the shutdown event is set.

    Raise RuntimeError if sockets are not monkey-patched.
    """
    if not monkey.is_module_patched("socket"):
        message = "the gevent engine needs gevent.monkey.patch_all() before anything else is imported"
        raise RuntimeError(message)
    hub: Any = gevent.get_hub()
    hub.print_exception = _log_uncaught  # otherwise it prints tracebacks into the log
    connections: set[Connection] = set()
    greenlets = Group()
    waits = _Waits(granted.file_threads)

    def handle(sock: socket.socket, address: object) -> None:
        plain = _PlainSocket(fileno=sock.fileno())
        sock.detach()
        connection = server.connect(plain, describe_peer(address), may_block=False)
        if connection is None:
            return
        try:
            connections.add(connection)
            with contextlib.closing(_HubWait(connection, waits)) as connection.wait:
                connection.handle()
        except MemoryError as error:
            connection.fail(error)
        finally:
            connections.discard(connection)

    # Not the Group itself: StreamServer would take it for a pool, and ask it for each client whether it is full.
    spawn: Any = greenlets.spawn
    acceptor = _Listener(listener, handle, spawn=spawn)
    acceptor.has_room = server.has_room
    acceptor.start()
    while not stop.is_set:
        _absorb(stop, waits)
    while server.has_queued():
        gevent.sleep(LOOK_SECONDS)
    acceptor.stop_accepting()
    close_listener(listener)
    acceptor.close()
    gevent.sleep(0)  # the greenlets of clients that were just accepted begin
    server.drain()
    waits.end_drained()
    run_or_abort(connections, greenlets.join, granted.grace_seconds)
    waits.close()


def _absorb(stop: ShutdownEvent, waits: "_Waits") -> None:
    """Wait for a wakeup, and resume the connections that are asked to end."""
    try:
        gevent.socket.wait_read(stop.fileno())
        stop.absorb()
        waits.end_drained()
    except MemoryError:
        report_shortage("event loop")


def _log_uncaught(_context: object, _kind: object, error: BaseException | None, _trace: object) -> None:
    if is_shortage(error):
        report_shortage("greenlet")  # which had not yet begun: its client is cut
    else:
        report(_log, logging.ERROR, "uncaught error in a greenlet", error=error)


class _Listener(StreamServer):
    """A StreamServer that logs and pauses when accept fails for lack of descriptors or memory."""

    max_accept = ACCEPT_BURST  # gevent's default of 100 can use up all descriptors before the first client is counted
    min_delay = -1  # no pause of gevent's own when a greenlet cannot be started: without memory it would never end

    has_room: "Callable[[], bool]" = staticmethod(always)
    """Asked before each accept."""

    def do_read(self) -> tuple[gevent.socket.socket, Any] | None:  # type: ignore[override]  # stub: never None
        try:
            require_room(self.has_room)
            accepted = super().do_read()
        except ACCEPT_ERRORS as error:
            if not is_client_gone(error):
                self._pause()
                report_failed_accept(error)
            return None
        report_accepted()
        return accepted

    def start(self) -> None:
        self._pauses = self.loop.timer(ACCEPT_PAUSE_SECONDS, ACCEPT_PAUSE_SECONDS)  # now: later there may be no memory
        super().start()

    def close(self) -> None:
        super().close()
        self._pauses.close()

    def _pause(self) -> None:
        self._pauses.start(self._resume)
        self.stop_accepting()

    def _resume(self) -> None:
        if self.started:
            self.start_accepting()  # or else once more after another pause
        self._pauses.stop()


class _Waits:
    """All waiting greenlets, with one timer for their deadlines and one watcher for finished jobs.

    A timer for each wait would cost more than the wait.
    """

    def __init__(self, file_threads: int) -> None:
        self.hub = gevent.get_hub()
        # libuv stops a watcher when its socket fails, even if there is more to read.
        self.is_watching_on = "libuv" not in type(self.hub.loop).__module__
        self.switch = self.hub.switch
        self.files = ThreadPool(file_threads, monkey.get_original("_thread", "start_new_thread"))
        self.waits: set[_HubWait] = set()
        self._timer = self.hub.loop.timer(SWEEP_SECONDS, SWEEP_SECONDS)
        self._timer.start(self._sweep)
        self._watcher = self.hub.loop.io(self.files.fileno(), READ)
        self._watcher.start(self.files.resume)

    def _sweep(self) -> None:
        now = monotonic()
        if late := [wait for wait in self.waits if wait.asked.deadline <= now]:
            gevent.spawn(self._end, late)

    def end_drained(self) -> None:
        """Resume the connections that are asked to end while they wait."""
        self._end([wait for wait in self.waits if wait.is_drained()])

    def _end(self, waits: "list[_HubWait]") -> None:
        """Resume connections that are late or asked to end; some at a time, so that others are served."""
        for start in range(0, len(waits), ENDING_BURST):
            for wait in waits[start : start + ENDING_BURST]:
                self.hub.loop.run_callback(wait.end)
            gevent.sleep(ENDING_PAUSE_SECONDS)

    def close(self) -> None:
        for watcher in (self._timer, self._watcher):
            watcher.stop()
            watcher.close()
        self.files.close()


class _HubWait:
    """Suspends a greenlet until its socket is ready, with one watcher that keeps running where it can.

    Starting and stopping a watcher for each wait would cost more than the two greenlet switches.
    """

    __slots__ = ("_connection", "_descriptor", "_events", "_waits", "_watcher", "asked", "wake")

    def __init__(self, connection: "Connection", waits: _Waits) -> None:
        self._connection = connection
        self._descriptor = connection.socket.fileno()
        self._events = NOTHING
        self._watcher: Any = None
        self._waits = waits
        self.asked = NEVER
        """The current wait, whose deadline the sweep checks."""
        self.wake: Callable[[object], object] = gevent.getcurrent().switch
        waits.waits.add(self)

    def __call__(self, _sock: socket.socket, wait: Wait) -> object:
        if wait.events != self._events or not self._waits.is_watching_on:
            self._watch(wait.events)
        if wait.events == NOTHING:
            self.asked = NEVER
            return self._do(wait.work) if wait.work is not None else self._pause(wait.deadline)
        self.asked = wait
        return self._waits.switch()

    def is_drained(self) -> bool:
        """Return whether the connection is asked to end, and its current wait allows that."""
        return self.asked.ends_on_drain and self._connection.config.group.is_draining

    def end(self) -> None:
        """Resume the connection if it is past its deadline, or asked to end while its current wait allows that."""
        if self.is_drained():
            self.wake(READY)
        elif self.asked.deadline <= monotonic():
            self.wake(LATE)

    def _do(self, work: Job[object]) -> object:
        self._waits.files.do(work, partial(self.wake, READY))
        return self._waits.switch()

    def _pause(self, deadline: float) -> object:
        gevent.sleep(seconds_left(deadline))
        return LATE

    def _watch(self, events: int) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        self._events = events
        if events != NOTHING:
            self._watcher = self._waits.hub.loop.io(self._descriptor, events)
            self._watcher.start(self._meet)

    def _meet(self) -> None:
        """Run the fast path of a ready socket in the hub; switch to the greenlet only if that is not enough."""
        asked = self.asked
        outcome = READY if asked.fast_path is None else asked.fast_path(asked)
        if outcome is not KEEP_WAITING:
            self.wake(outcome)
        elif not self._waits.is_watching_on:
            self._watch(self._events)

    def close(self) -> None:
        """Close the watcher, and drop the reference to the connection."""
        self._waits.waits.discard(self)
        self.asked = NEVER
        self._watch(NOTHING)

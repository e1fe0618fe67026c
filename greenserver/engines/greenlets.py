"""A greenlet for each client, under gevent's StreamServer, on monkey-patched sockets."""

import socket
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import gevent
import gevent.socket
from gevent import monkey
from gevent.pool import Group
from gevent.server import StreamServer

from greenserver import limits
from greenserver.engines import Welcome, drain
from greenserver.listening import close_listener, describe_peer, is_client_gone, report_no_room
from greenserver.waiting import Stop, Wait

if TYPE_CHECKING:
    from greenserver.connection import Connection

_NEVER: Final = float("inf")

# A conversation never blocks, so it needs no cooperative socket: the plain one is smaller and quicker.
_PlainSocket: Final = monkey.get_original("socket", "socket")


def serve(listener: socket.socket, welcome: Welcome, stop: Stop) -> None:
    """Serve each client in a greenlet of its own until the switch is turned.

    Raises RuntimeError if the sockets are not monkey-patched.
    """
    if not monkey.is_module_patched("socket"):
        message = "the gevent engine needs gevent.monkey.patch_all() before anything else is imported"
        raise RuntimeError(message)
    conversations: dict[Connection, _HubWait] = {}
    greenlets = Group()

    def converse(sock: socket.socket, address: object) -> None:
        conversation = welcome(_PlainSocket(fileno=sock.detach()), describe_peer(address))
        wait = conversations[conversation] = conversation.wait = _HubWait(conversation.socket.fileno())
        try:
            conversation.handle()
        finally:
            wait.close()
            del conversations[conversation]

    def sweep() -> None:
        now = monotonic()
        for wait in tuple(conversations.values()):
            if wait.deadline <= now:
                wait.give_up()

    # Not the Group itself: as a pool it would be asked at each client whether it is full.
    spawn: Any = greenlets.spawn
    server = _Listener(listener, converse, spawn=spawn)
    server.start()
    sweeper = gevent.get_hub().loop.timer(limits.SWEEP_SECONDS, limits.SWEEP_SECONDS)
    sweeper.start(sweep)
    gevent.socket.wait_read(stop.fileno())
    server.stop_accepting()
    close_listener(listener)
    server.close()
    drain(conversations, greenlets.join)
    sweeper.close()


class _Listener(StreamServer):
    """A StreamServer that pauses, and says so, when the system has no room for a client."""

    def do_read(self) -> tuple[gevent.socket.socket, Any] | None:  # type: ignore[override]  # stub: never None
        try:
            return super().do_read()
        except OSError as error:
            if not is_client_gone(error):
                report_no_room(error)
                self.stop_accepting()
                gevent.spawn_later(limits.ACCEPT_PAUSE_SECONDS, self._resume)
            return None

    def _resume(self) -> None:
        if self.started:
            self.start_accepting()


class _HubWait:
    """Lets a greenlet sleep until its socket is ready: one watcher for the whole connection, and no timer.

    Looking for overdue deadlines now and then is cheaper than a timer for each wait.
    """

    __slots__ = ("_descriptor", "_events", "_hub", "_switch", "_watcher", "deadline")

    def __init__(self, descriptor: int) -> None:
        self.deadline = _NEVER
        self._descriptor = descriptor
        self._hub: Any = gevent.get_hub()
        self._switch = gevent.getcurrent().switch
        self._watcher: Any = None
        self._events = 0

    def __call__(self, _sock: socket.socket, wait: Wait) -> bool:
        events, self.deadline = wait
        if events != self._events:
            self.close()
            self._watcher, self._events = self._hub.loop.io(self._descriptor, events), events
        watcher = self._watcher
        watcher.start(self._switch, True)  # noqa: FBT003  (what the switch below returns)
        try:
            return bool(self._hub.switch())
        finally:
            watcher.stop()
            self.deadline = _NEVER

    def give_up(self) -> None:
        """End the wait, unsuccessful."""
        self._switch(False)  # noqa: FBT003  (what the switch above returns)

    def close(self) -> None:
        """Give the watcher back."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher, self._events = None, 0

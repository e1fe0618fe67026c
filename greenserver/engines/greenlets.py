"""A greenlet for each client, under gevent's StreamServer, on monkey-patched sockets."""

import socket
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
from gevent import monkey
from gevent.pool import Group
from gevent.server import StreamServer

from greenserver import limits
from greenserver.engines import Welcome, drain, seconds_left
from greenserver.listening import close_listener, describe_peer, is_client_gone, report_no_room
from greenserver.waiting import Stop, Wait

if TYPE_CHECKING:
    from greenserver.connection import Connection


def serve(listener: socket.socket, welcome: Welcome, stop: Stop) -> None:
    """Serve each client in a greenlet of its own until the switch is turned.

    Raises RuntimeError if the sockets are not monkey-patched.
    """
    if not monkey.is_module_patched("socket"):
        message = "the gevent engine needs gevent.monkey.patch_all() before anything else is imported"
        raise RuntimeError(message)
    conversations: set[Connection] = set()
    greenlets = Group()

    def converse(sock: socket.socket, address: object) -> None:
        conversation = welcome(sock, describe_peer(address))
        conversations.add(conversation)
        wait = conversation.wait = _HubWait(sock)
        try:
            conversation.handle()
        finally:
            wait.close()
            conversations.discard(conversation)

    # Not the Group itself: as a pool it would be asked at each client whether it is full.
    spawn: Any = greenlets.spawn
    server = _Listener(listener, converse, spawn=spawn)
    server.start()
    gevent.socket.wait_read(stop.fileno())
    server.stop_accepting()
    close_listener(listener)
    server.close()
    drain(conversations, greenlets.join)


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
    """Waits in the hub, with watchers that last as long as the connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._descriptor = sock.fileno()
        self._watchers: dict[int, Any] = {}

    def __call__(self, _sock: socket.socket, wait: Wait) -> bool:
        watcher = self._watchers.get(wait.events)
        if watcher is None:
            watcher = self._watchers[wait.events] = gevent.get_hub().loop.io(self._descriptor, wait.events)
        try:
            gevent.socket.wait(watcher, seconds_left(wait.deadline))
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        for watcher in self._watchers.values():
            watcher.close()

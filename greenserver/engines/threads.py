"""Serve each connection in a daemon thread."""

from socket import socket
from threading import Thread
from time import monotonic

from greenserver.config.limits import DEFAULTS, Limits
from greenserver.connection.connection import Connection
from greenserver.engines import ConnectionFactory, drain, seconds_left
from greenserver.io.wait import ShutdownEvent
from greenserver.net.listening import accept_until, close_listener, report_no_room


def serve(listener: socket, welcome: ConnectionFactory, stop: ShutdownEvent, granted: Limits = DEFAULTS) -> None:
    """Serve each connection in its own thread until the shutdown event is set."""
    threads: dict[Connection, Thread] = {}

    def converse(conversation: Connection) -> None:
        try:
            conversation.handle()
        finally:
            del threads[conversation]

    def begin(conversation: Connection, client: str) -> None:
        if not conversation.enter():  # counted here: clients can be accepted faster than their threads start
            conversation.handle()
            return
        threads[conversation] = thread = Thread(target=converse, args=(conversation,), name=client, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system cannot start another thread
            report_no_room(error)
            del threads[conversation]
            conversation.abandon()

    for sock, client in accept_until(stop, listener):
        begin(welcome(sock, client), client)  # a local name would keep the connection alive until the next one

    def join(seconds: float) -> None:
        deadline = monotonic() + seconds
        for thread in tuple(threads.values()):
            thread.join(seconds_left(deadline))

    close_listener(listener)
    drain(threads, join, granted.grace_seconds)

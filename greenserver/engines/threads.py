"""Serve each connection in a daemon thread."""

from socket import socket
from threading import Thread
from time import monotonic

from greenserver.config.limits import DEFAULTS, Limits
from greenserver.connection.connection import Connection
from greenserver.engines import ConnectionFactory, run_or_abort, seconds_left
from greenserver.io.wait import BlockingWait, ShutdownEvent
from greenserver.net.listening import accept_until, close_listener, report_failed_accept


def serve(listener: socket, server: ConnectionFactory, stop: ShutdownEvent, granted: Limits = DEFAULTS) -> None:
    """Serve each connection in its own thread until the shutdown event is set."""
    threads: dict[Connection, Thread] = {}

    def handle(connection: Connection) -> None:
        try:
            connection.handle()
        finally:
            del threads[connection]

    def begin(connection: Connection, client: str) -> None:
        connection.wait = BlockingWait(connection.config.group.event())
        if connection.is_dropped:  # clients can be accepted faster than threads start
            connection.handle()
            return
        threads[connection] = thread = Thread(target=handle, args=(connection,), name=client, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system cannot start another thread
            report_failed_accept(error)
            del threads[connection]
            connection.abandon()

    for sock, client in accept_until(stop, listener, server.has_queued):
        connection = server.connect(sock, client)
        if connection is not None:
            begin(connection, client)

    def join(seconds: float) -> None:
        deadline = monotonic() + seconds
        for thread in tuple(threads.values()):
            thread.join(seconds_left(deadline))

    close_listener(listener)
    server.drain()
    run_or_abort(threads, join, granted.grace_seconds)

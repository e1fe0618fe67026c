"""Share the connections to one server between all threads of a process.

What is idle is closed after a while, as a server may serve one client at a time, or count its clients.
"""

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator
from typing import Final

from greenserver.client.address import Address
from greenserver.client.client import Client
from greenserver.client.options import Options

IDLE_SECONDS: Final = 5.0
"""How long a connection may be idle before it is closed."""


class ConnectionPool:
    """At most `options.connections` connections to one server. Threads wait for one another beyond that."""

    def __init__(self, address: Address, options: Options, idle_seconds: float = IDLE_SECONDS) -> None:
        self.address = address
        self.options = options
        self._idle_seconds = idle_seconds
        self._form = ""  # of slices, once a client has found it out
        self._clients: set[Client] = set()
        self._idle: list[Client] = []
        self._timers: set[threading.Timer] = set()
        self.reset()
        weakref.finalize(self, _abandon, self._clients, self._timers)

    def reset(self) -> None:
        """Forget everything in a process that was forked: the connections are its parent's, and so are the locks."""
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(self.options.connections)
        _abandon(self._clients, self._timers)
        self._idle.clear()

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """Lend a client to one thread. Its connection is kept, unless a reply is missing on it."""
        with self._slots:
            client = self._take()
            try:
                yield client
            finally:
                self._take_back(client)

    def close(self) -> None:
        """Say goodbye on all connections that are idle, and close them."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._clients.difference_update(idle)
            for timer in self._timers:
                timer.cancel()
            self._timers.clear()
        for client in idle:
            client.close()

    def _take(self) -> Client:
        """Return a client that is idle, or else a new one. Abandon those that the server has closed meanwhile."""
        with self._lock:
            while self._idle:
                if (client := self._idle.pop()).is_idle:
                    return client
                self._clients.discard(client)
                client.abandon()
            client = Client(self.address, self.options, form=self._form)
            self._clients.add(client)
            return client

    def _take_back(self, client: Client) -> None:
        with self._lock:
            self._form = client.session.form
            if client.is_idle and client in self._clients:
                self._idle.append(client)
                self._start_timer()
                return
            self._clients.discard(client)
        client.abandon()

    def _start_timer(self) -> None:
        """Have what is idle closed later: what is busy when the time has come is idle for a shorter time."""
        if not self._timers:
            timer = threading.Timer(self._idle_seconds, _close_idle, (weakref.ref(self),))
            timer.daemon = True
            self._timers.add(timer)
            timer.start()


def _close_idle(reference: "weakref.ref[ConnectionPool]") -> None:
    if (pool := reference()) is not None:
        pool.close()


def _abandon(clients: set[Client], timers: set[threading.Timer]) -> None:
    """Close without a word, which never takes time: at the end of the process, too."""
    for timer in timers:
        timer.cancel()
    timers.clear()
    while clients:
        clients.pop().abandon()


# --- One for each server ---------------------------------------------------------------------------

_pools: "weakref.WeakValueDictionary[tuple[Address, Options], ConnectionPool]" = weakref.WeakValueDictionary()
_pools_lock = threading.Lock()


def pool_of(address: Address, options: Options) -> ConnectionPool:
    """Return the pool of this process for a server. It lives as long as somebody holds it."""
    with _pools_lock:
        pool = _pools.get((address, options))
        if pool is None:
            pool = _pools[address, options] = ConnectionPool(address, options)
        return pool


def _reset_pools() -> None:
    global _pools_lock  # noqa: PLW0603  (a thread that is not here any more may hold it)
    _pools_lock = threading.Lock()
    for pool in list(_pools.values()):
        pool.reset()


os.register_at_fork(after_in_child=_reset_pools)

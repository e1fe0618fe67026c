"""Limit the number of connections, in all and per client. The counts outlive a reload of the limits."""

import resource
from enum import Enum
from threading import Lock
from typing import Final

from greenserver.config import limits
from greenserver.io import address_space
from greenserver.io.descriptors import count_open
from greenserver.telemetry.client_names import network
from greenserver.telemetry.metrics_interface import SILENT, Metrics
from greenserver.telemetry.throttle import ThrottledWarning

FULL: Final = "full"
CLIENT: Final = "client"
PROXY: Final = "proxy"
RESOURCES: Final = "resources"


class Admission(Enum):
    """What happens to a connection."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    """The client gets an error reply; the connection stays open until the reply is read."""
    DROPPED = "dropped"
    """The client gets an error reply, and the connection closes at once: too many rejected ones are open already."""


class ConnectionLimiter:
    """Counts the connections of a process: in all, per client, and rejected ones that still linger.

    The maximums come from the limits that each connection is served with. Any thread may call it.
    """

    def __init__(self, metrics: Metrics = SILENT) -> None:
        self._metrics = metrics
        self._lock = Lock()
        self._capacity: int | None = None
        self._is_memory_limited = False
        self._connections = 0
        self._rejected = 0
        self._per_client: dict[str, int] = {}
        self._warnings = {
            FULL: ThrottledWarning(
                "rejecting connections: the server is full", "rejected connections: the server was full"
            ),
            CLIENT: ThrottledWarning(
                "rejecting connections: too many from one address", "rejected connections: too many from one address"
            ),
            PROXY: ThrottledWarning(
                "rejecting connections: not from a trusted proxy", "rejected connections: not from a trusted proxy"
            ),
            RESOURCES: ThrottledWarning(
                "rejecting connections: no thread or memory left", "rejected connections: no thread or memory left"
            ),
        }

    def measure_capacity(self) -> None:
        """Lower the maximums to what RLIMIT_NOFILE allows, and find out whether memory is limited.

        Call it before the first client is accepted.
        """
        self._capacity = descriptor_capacity()
        self._is_memory_limited = address_space.is_limited()

    def has_room(self) -> bool:
        """Return whether there is memory for another connection: always for the only one, so that some are served."""
        return not self._is_memory_limited or not self._connections or address_space.has_headroom()

    def acquire(self, granted: limits.Limits) -> "Slot":
        """Return a slot for a new connection, which says whether it is accepted."""
        max_connections, max_rejected = maximums(granted.max_connections, self._capacity)
        slot = Slot(self, granted.max_connections_per_client)  # before it is counted: there may be no memory for it
        with self._lock:
            if self._connections < max_connections:
                self._connections += 1
                slot.admission = slot.held = Admission.ACCEPTED
            elif self._rejected < max_rejected:
                self._rejected += 1
                slot.admission = slot.held = Admission.REJECTED
        if slot.admission is Admission.ACCEPTED:
            self._warnings[FULL].is_not_seen()
        else:
            self._reject(FULL, max_connections=max_connections)
        return slot

    def acquire_client(self, name: str, most: int) -> bool:
        """Count a connection of a client; return False if it has too many."""
        with self._lock:
            count = self._per_client.get(name, 0)
            is_allowed = count < most
            if is_allowed:
                self._per_client[name] = count + 1
        if is_allowed:
            self._warnings[CLIENT].is_not_seen()
        else:
            self._reject(CLIENT, client=name, max_connections_per_client=most)
        return is_allowed

    def release(self, admission: Admission, name: str) -> None:
        """Release what `acquire` returned and, if the name is not empty, what `acquire_client` counted."""
        with self._lock:
            self._connections -= admission is Admission.ACCEPTED
            self._rejected -= admission is Admission.REJECTED
            if name:
                self._per_client[name] -= 1
                if not self._per_client[name]:
                    del self._per_client[name]

    def count_failed_handshake(self, kind: str, client: str, error: Exception) -> bool:
        """Count a failed handshake. Return whether it is logged: what a misconfigured proxy causes, rate-limited."""
        self._metrics.refused(kind)
        if kind not in self._warnings:
            return False  # a port scanner, for example
        self._warnings[kind].happens(client=client, reason=str(error))
        return True

    def report_no_resources(self, client: str, reason: str) -> None:
        """Count and log a connection that the engine has no thread or memory for."""
        self._reject(RESOURCES, client=client, reason=reason)

    def _reject(self, kind: str, **facts: object) -> None:
        self._metrics.refused(kind)
        self._warnings[kind].happens(**facts)


class Slot:
    """What one connection holds of a limiter."""

    __slots__ = ("_limiter", "_max_per_client", "_name", "admission", "held")

    def __init__(self, limiter: ConnectionLimiter, max_per_client: int) -> None:
        self.admission = Admission.DROPPED
        """Also says whether the limit per client lets the connection in, once `acquire_client` was called."""
        self.held = Admission.DROPPED
        """What the limiter has counted."""
        self._limiter = limiter
        self._max_per_client = max_per_client
        self._name = ""

    def acquire_client(self, client: str) -> None:
        """Apply the limit per client, now that its address is known."""
        if self._max_per_client and self.admission is Admission.ACCEPTED:
            name = network(client)
            if self._limiter.acquire_client(name, self._max_per_client):
                self._name = name
            else:
                self.admission = Admission.REJECTED

    def release(self) -> None:
        """Release the slot; do nothing on a second call."""
        held, name = self.held, self._name
        self.held, self._name = Admission.DROPPED, ""
        self._limiter.release(held, name)


def descriptor_capacity() -> int | None:
    """Return how many connections RLIMIT_NOFILE allows beside the open descriptors; None for any number.

    A connection needs two descriptors: its socket, and the file of its slice.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return None
    return max(1, (allowed - count_open() - limits.RESERVED_DESCRIPTORS) // 2)


def maximums(wanted: int, capacity: int | None) -> tuple[int, int]:
    """Return how many connections, and how many rejected ones, may be open at once."""
    if capacity is None or wanted + limits.MAX_REJECTED // 2 <= capacity:
        return wanted, limits.MAX_REJECTED
    return min(wanted, capacity), limits.FEW_REJECTED

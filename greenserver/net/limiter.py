"""Limit the number of connections, in all and per client."""

import ipaddress
import logging
import os
import resource
from threading import Lock
from typing import Final

from greenserver.config import limits
from greenserver.telemetry.log import report
from greenserver.telemetry.metrics import SILENT, Metrics
from greenserver.telemetry.throttle import ThrottledWarning

_log = logging.getLogger(__name__)

_IPV6_PREFIX: Final = 64  # the smallest network that a provider assigns to one customer

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FULL: Final = "full"
CLIENT: Final = "client"
PROXY: Final = "proxy"


class ConnectionLimiter:
    """Limits the connections open at once: in all, per client, and rejected ones that still linger."""

    def __init__(self, granted: limits.Limits = limits.DEFAULTS, meter: Metrics = SILENT) -> None:
        self.max_connections, self._max_refusals = raise_descriptor_limit(granted.max_connections)
        self._max_per_client = granted.max_connections_per_client
        self._meter = meter
        self._lock = Lock()
        self._connections = 0
        self._refusals = 0
        self._per_client: dict[str, int] = {}
        self._episodes = {
            FULL: ThrottledWarning(
                "rejecting connections: the server is full", "rejected connections: the server was full"
            ),
            CLIENT: ThrottledWarning(
                "rejecting connections: too many from one address", "rejected connections: too many from one address"
            ),
            PROXY: ThrottledWarning(
                "rejecting connections: not from a trusted proxy", "rejected connections: not from a trusted proxy"
            ),
        }

    def enter(self) -> bool:
        """Acquire one of all connections; return False if the server is full."""
        with self._lock:
            is_room = self._connections < self.max_connections
            if is_room:
                self._connections += 1
        if is_room:
            self._episodes[FULL].is_not_seen()
        else:
            self._refuse(FULL, max_connections=self.max_connections)
        return is_room

    def leave(self) -> None:
        """Release what `enter` acquired."""
        with self._lock:
            self._connections -= 1

    def enter_as(self, client: str) -> str | None:
        """Acquire a connection for a client; return what `leave_as` needs, or None if the client has too many."""
        if not self._max_per_client:
            return ""
        name = network(client)
        with self._lock:
            count = self._per_client.get(name, 0)
            is_room = count < self._max_per_client
            if is_room:
                self._per_client[name] = count + 1
        if is_room:
            self._episodes[CLIENT].is_not_seen()
            return name
        self._refuse(CLIENT, client=client, max_connections_per_client=self._max_per_client)
        return None

    def leave_as(self, name: str) -> None:
        """Release what `enter_as` acquired; do nothing for an empty name."""
        if not name:
            return
        with self._lock:
            self._per_client[name] -= 1
            if not self._per_client[name]:
                del self._per_client[name]

    def begin_refusal(self) -> bool:
        """Acquire a rejected connection, which stays open until the client has read the reply.

        Return False if there are too many; after True, `end_refusal` must follow.
        """
        with self._lock:
            is_room = self._refusals < self._max_refusals
            self._refusals += is_room
        return is_room

    def end_refusal(self) -> None:
        """Release what `begin_refusal` acquired."""
        with self._lock:
            self._refusals -= 1

    def reject(self, kind: str, client: str, error: Exception) -> None:
        """Count and log a failed handshake."""
        self._meter.refused(kind)
        if kind in self._episodes:  # a misconfigured proxy, not a port scanner
            self._episodes[kind].happens(client=client, reason=str(error))
        else:
            report(_log, logging.INFO, "connection rejected", client=client, reason=str(error), kind=kind)

    def _refuse(self, reason: str, **facts: object) -> None:
        self._meter.refused(reason)
        self._episodes[reason].happens(**facts)


class Slot:
    """One connection's slot in a limiter. Without a limiter, every connection is accepted."""

    __slots__ = ("_has_begun", "_is_counted", "_is_refusal", "_limiter", "_name", "is_cut_short")

    def __init__(self, limiter: ConnectionLimiter | None) -> None:
        self._limiter = limiter
        self._has_begun = False
        self._is_counted = False
        self._is_refusal = False
        self._name: str | None = None
        self.is_cut_short = False
        """Whether to close at once: rejected, with too many rejected connections open already."""

    def begin(self) -> None:
        """Count the connection, or count it as rejected; do nothing on a second call."""
        if self._limiter is not None and not self._has_begun:
            self._has_begun = True
            self._is_counted = self._limiter.enter()
            self._is_refusal = not self._is_counted and self._limiter.begin_refusal()
            self.is_cut_short = not (self._is_counted or self._is_refusal)

    def is_let_in_as(self, client: str) -> bool:
        """Apply the limit per client, now that its address is known; return whether the connection is accepted."""
        if self._limiter is None:
            self._name = ""
        elif self._is_counted:
            self._name = self._limiter.enter_as(client)
        return self.is_welcome

    @property
    def is_welcome(self) -> bool:
        """Whether the connection is accepted."""
        return self._name is not None

    def reject(self, kind: str, client: str, error: Exception) -> None:
        """Count and log a failed handshake."""
        if self._limiter is not None:
            self._limiter.reject(kind, client, error)

    def end(self) -> None:
        """Release the slot."""
        if self._limiter is None:
            return
        self._limiter.leave_as(self._name or "")
        if self._is_counted:
            self._limiter.leave()
        if self._is_refusal:
            self._limiter.end_refusal()


def raise_descriptor_limit(wanted: int) -> tuple[int, int]:
    """Return how many connections, and how many rejected ones, RLIMIT_NOFILE allows this process.

    A connection needs two descriptors: its socket, and the file of its slice.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return wanted, limits.REFUSALS
    held = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  (only the count of names matters)
    spare = allowed - held - limits.RESERVED_DESCRIPTORS
    room = max(1, spare // 2)
    if wanted + limits.REFUSALS // 2 <= room:
        return wanted, limits.REFUSALS
    return min(wanted, room), limits.FEW_REFUSALS


def address_of(client: str) -> Address | None:
    """Parse the IP address from a client's name in the log; return None for a unix socket."""
    host = client.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


def network(client: str) -> str:
    """Return what counts as one client: an IPv4 address, an IPv6 /64, or all clients of a unix socket."""
    address = address_of(client)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address.packed, _IPV6_PREFIX), strict=False))
    return client if address is None else str(address)

"""Counts the clients that are served, and refuses those that are too many."""

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

_IPV6_PREFIX: Final = 64  # what one customer of a provider gets at least

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FULL: Final = "full"
CLIENT: Final = "client"
PROXY: Final = "proxy"


class ConnectionLimiter:
    """Who is let in: at most so many clients at once, and so many of one address."""

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
        """Let one more client in, or not."""
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
        """Take note that a client that was let in has gone."""
        with self._lock:
            self._connections -= 1

    def enter_as(self, client: str) -> str | None:
        """Let one more client of an address in, and return what `leave_as` needs; None if it must not come in."""
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
        """Take note that a client of an address that was let in has gone."""
        if not name:
            return
        with self._lock:
            self._per_client[name] -= 1
            if not self._per_client[name]:
                del self._per_client[name]

    def begin_refusal(self) -> bool:
        """Tell whether there is room to let a refused client read why; then `end_refusal` must follow."""
        with self._lock:
            is_room = self._refusals < self._max_refusals
            self._refusals += is_room
        return is_room

    def end_refusal(self) -> None:
        """Take note that a refused client has gone."""
        with self._lock:
            self._refusals -= 1

    def reject(self, kind: str, client: str, error: Exception) -> None:
        """Take note of a client that did not arrive as it must."""
        self._meter.refused(kind)
        if kind in self._episodes:  # a proxy that is set up wrongly, not one of the scanners that try every port
            self._episodes[kind].happens(client=client, reason=str(error))
        else:
            report(_log, logging.INFO, "connection rejected", client=client, reason=str(error), kind=kind)

    def _refuse(self, reason: str, **facts: object) -> None:
        self._meter.refused(reason)
        self._episodes[reason].happens(**facts)


class Slot:
    """One client's way through a gate, and out again; without a gate all are welcome."""

    __slots__ = ("_has_begun", "_is_counted", "_is_refusal", "_limiter", "_name", "is_cut_short")

    def __init__(self, limiter: ConnectionLimiter | None) -> None:
        self._limiter = limiter
        self._has_begun = False
        self._is_counted = False
        self._is_refusal = False
        self._name: str | None = None
        self.is_cut_short = False
        """Whether there is not even time to refuse the client properly."""

    def begin(self) -> None:
        """Count the client, if there is room; once is enough."""
        if self._limiter is not None and not self._has_begun:
            self._has_begun = True
            self._is_counted = self._limiter.enter()
            self._is_refusal = not self._is_counted and self._limiter.begin_refusal()
            self.is_cut_short = not (self._is_counted or self._is_refusal)

    def is_let_in_as(self, client: str) -> bool:
        """Tell whether a client is let in, now that it is known who it is."""
        if self._limiter is None:
            self._name = ""
        elif self._is_counted:
            self._name = self._limiter.enter_as(client)
        return self.is_welcome

    @property
    def is_welcome(self) -> bool:
        """Whether the client was let in."""
        return self._name is not None

    def reject(self, kind: str, client: str, error: Exception) -> None:
        """Take note that the client did not arrive as it must."""
        if self._limiter is not None:
            self._limiter.reject(kind, client, error)

    def end(self) -> None:
        """Make room."""
        if self._limiter is None:
            return
        self._limiter.leave_as(self._name or "")
        if self._is_counted:
            self._limiter.leave()
        if self._is_refusal:
            self._limiter.end_refusal()


def raise_descriptor_limit(wanted: int) -> tuple[int, int]:
    """Return how many clients can be served, and how many refused ones held, with this process's descriptors.

    A client needs two: its socket, and the file of its slice.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return wanted, limits.REFUSALS
    held = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  (names are all it takes)
    spare = allowed - held - limits.RESERVED_DESCRIPTORS
    room = max(1, spare // 2)
    if wanted + limits.REFUSALS // 2 <= room:
        return wanted, limits.REFUSALS
    return min(wanted, room), limits.FEW_REFUSALS


def address_of(client: str) -> Address | None:
    """Return the IP address of a client as the log names it; None on a unix socket."""
    host = client.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


def network(client: str) -> str:
    """Return what counts as one client: an IPv4 address, a /64 of IPv6, or all of a unix socket."""
    address = address_of(client)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address.packed, _IPV6_PREFIX), strict=False))
    return client if address is None else str(address)

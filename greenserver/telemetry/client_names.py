"""Read a client's name in the log: its address, and what counts as one client."""

import ipaddress
from typing import Final

_IPV6_PREFIX: Final = 64  # the smallest network that a provider assigns to one customer

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_of(client: str) -> Address | None:
    """Parse the IP address from a client's name in the log; return None for a unix socket."""
    host = client.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


def network(client: str) -> str:
    """Return what counts as one client: an IPv4 address, also behind 6to4, an IPv6 /64, or a unix socket."""
    address = address_of(client)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.sixtofour or address
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address.packed, _IPV6_PREFIX), strict=False))
    return client if address is None else str(address)

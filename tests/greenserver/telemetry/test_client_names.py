"""Addresses are read from the names of clients, and grouped into what counts as one client."""

import pytest

from greenserver.telemetry.client_names import address_of, network


@pytest.mark.parametrize(
    ("client", "name"),
    [
        ("192.0.2.1:19500", "192.0.2.1"),
        ("[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::/64"),
        ("[::ffff:192.0.2.1]:1", "192.0.2.1"),
        ("[fe80::1%eth0]:1", "fe80::/64"),
        ("[2002:c000:201::7]:1", "192.0.2.1"),
        ("unix", "unix"),
    ],
)
def test_groups_addresses_into_clients(client: str, name: str) -> None:
    assert network(client) == name
    assert (address_of(client) is None) == (client == "unix")

"""Addresses are what people type; what cannot be one is an error that says what is."""

import doctest

import pytest

from greenserver.client import address
from greenserver.client.address import Address, parse_address
from greenserver.client.errors import AddressError


def test_the_examples_in_the_documentation_run() -> None:
    assert doctest.testmod(address).failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost", Address("localhost")),
        ("localhost:2000", Address("localhost", 2000)),
        ("[::1]:2000", Address("::1", 2000)),
        ("::1", Address("::1")),
        ("[::1]", Address("::1")),
        ("fe80::1%eth0", Address("fe80::1%eth0")),
        ("hftp://h", Address("h")),
        ("hftp://h/", Address("h")),
        ("HFTP://h:5/a.txt", Address("h", 5, name="a.txt")),
        ("hftps://[::1]:5/a%2Etxt", Address("::1", 5, is_tls=True, name="a.txt")),
        ("unix:/run/hftp.sock", Address(path="/run/hftp.sock")),
        ("unix:relative", Address(path="relative")),
    ],
)
def test_an_address_is_parsed(text: str, expected: Address) -> None:
    assert parse_address(text) == expected
    assert parse_address(str(expected)).port == expected.port


@pytest.mark.parametrize(
    "text",
    [
        *("", ":5", "h:", "h:0", "h:65536", "h:x", "h/f", "http://h", "hftp://", "hftp:///f", "unix:", "unix:\0"),
        *("user@h", "[::1", "::1]:5", "hftp://h?x", "h#f", "a b", "h\n", "hftp://h:-1/f"),
    ],
)
def test_what_is_no_address_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(AddressError) as raised:
        parse_address(text)
    assert str(raised.value).isprintable()

"""Each option type converts valid values, and names the valid ones in its errors."""

import ipaddress
import os

import click
import pytest

from greenserver.config import option_types


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (option_types.WORKERS, "3", 3),
        (option_types.WORKERS, "auto", len(os.sched_getaffinity(0))),
        (option_types.ENDPOINT, "127.0.0.1:9500", ("127.0.0.1", 9500)),
        (option_types.ENDPOINT, "[::1]:0", ("::1", 0)),
        (option_types.NETWORKS, "10.0.0.0/8", ipaddress.ip_network("10.0.0.0/8")),
        (option_types.NETWORKS, "::1", ipaddress.ip_network("::1/128")),
        (option_types.MASK, "027", 0o27),
        (option_types.MASK, 0o77, 0o77),
        (option_types.SECONDS, "0.5", 0.5),
        (option_types.SECONDS, 3, 3.0),
        (option_types.PORT, "0", 0),
        (option_types.PORT, 65535, 65535),
        (option_types.COUNT, "3", 3),
        (option_types.whole_number(1), "7", 7),
        (option_types.byte_count(0), "7", 7),
        (option_types.byte_count(0), 7, 7),
        (option_types.byte_count(0), "64K", 64 << 10),
        (option_types.byte_count(0), "10m", 10 << 20),
        (option_types.byte_count(0), "1G", 1 << 30),
        (option_types.ADDRESS, "::", "::"),
        (option_types.ADDRESS, "[::1]", "[::1]"),
        (option_types.ADDRESS, "fe80::1%eth0", "fe80::1%eth0"),
        (option_types.ADDRESS, "2001:db8::9000", "2001:db8::9000"),
        (option_types.ADDRESS, "unix:a:1", "unix:a:1"),
        (option_types.ADDRESS, "fd://3", "fd://3"),
        (option_types.choice(["a", "b"]), "b", "b"),
    ],
)
def test_converts_text(kind: option_types.OptionType, text: object, value: object) -> None:
    assert kind.converter.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (option_types.WORKERS, "-1", "neither a number of processes nor 'auto'"),
        (option_types.WORKERS, "many", "neither a number of processes nor 'auto'"),
        (option_types.ENDPOINT, "9500", "HOST:PORT, such as"),
        (option_types.ENDPOINT, ":9500", "HOST:PORT, such as"),
        (option_types.ENDPOINT, "a:65536", "HOST:PORT, such as"),
        (option_types.ENDPOINT, "a:\u0661", "HOST:PORT, such as"),
        (option_types.NETWORKS, "10.0.0.1/8", "host bits"),
        (option_types.NETWORKS, "here", "write a network as"),
        (option_types.MASK, "888", "octal number from 000 to 777"),
        (option_types.MASK, "1000", "octal number from 000 to 777"),
        (option_types.SECONDS, "0", "seconds greater than 0"),
        (option_types.SECONDS, "nan", "seconds greater than 0"),
        (option_types.SECONDS, "inf", "seconds greater than 0"),
        (option_types.SECONDS, "soon", "seconds greater than 0"),
        (option_types.PORT, "65536", "not a number from 0 to 65535"),
        (option_types.PORT, "1K", "not a number from 0 to 65535"),
        (option_types.PORT, "\u0661", "not a number from 0 to 65535"),
        (option_types.whole_number(1), "0", "not a number from 1 up"),
        (option_types.byte_count(1), "0K", "not a number from 1 up, such as 65536, 64K"),
        (option_types.byte_count(1), "1.5M", "not a number from 1 up, such as 65536, 64K"),
        (option_types.byte_count(1), "10MB", "not a number from 1 up, such as 65536, 64K"),
        (option_types.byte_count(1), "", "not a number from 1 up, such as 65536, 64K"),
        (option_types.ADDRESS, "localhost:80", "--address localhost --port 80"),
    ],
)
def test_error_names_the_valid_values(kind: option_types.OptionType, text: str, message: str) -> None:
    with pytest.raises(click.BadParameter, match=message):
        kind.converter.convert(text, None, None)


def test_rejects_an_invalid_network() -> None:
    assert option_types.network("::1/128").version == 6
    with pytest.raises(click.BadParameter):
        option_types.network("nowhere")

"""Each kind of setting takes what it should, and says what it wants instead of the rest."""

import ipaddress
import os

import click
import pytest

from greenserver import kinds


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (kinds.WORKERS, "3", 3),
        (kinds.WORKERS, "auto", len(os.sched_getaffinity(0))),
        (kinds.ENDPOINT, "127.0.0.1:9500", ("127.0.0.1", 9500)),
        (kinds.ENDPOINT, "[::1]:0", ("::1", 0)),
        (kinds.NETWORKS, "10.0.0.0/8", ipaddress.ip_network("10.0.0.0/8")),
        (kinds.NETWORKS, "::1", ipaddress.ip_network("::1/128")),
        (kinds.MASK, "027", 0o27),
        (kinds.MASK, 0o77, 0o77),
        (kinds.SECONDS, "0.5", 0.5),
        (kinds.SECONDS, 3, 3.0),
        (kinds.PORT, "0", 0),
        (kinds.choice(["a", "b"]), "b", "b"),
    ],
)
def test_a_text_becomes_a_value(kind: kinds.Kind, text: object, value: object) -> None:
    assert kind.converter.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (kinds.WORKERS, "-1", "neither a number of processes nor 'auto'"),
        (kinds.WORKERS, "many", "neither a number of processes nor 'auto'"),
        (kinds.ENDPOINT, "9500", "HOST:PORT, as in"),
        (kinds.ENDPOINT, ":9500", "HOST:PORT, as in"),
        (kinds.ENDPOINT, "a:65536", "HOST:PORT, as in"),
        (kinds.ENDPOINT, "a:\u0661", "HOST:PORT, as in"),
        (kinds.NETWORKS, "10.0.0.1/8", "host bits"),
        (kinds.NETWORKS, "here", "a network is written as"),
        (kinds.MASK, "888", "octal number from 000 to 777"),
        (kinds.MASK, "1000", "octal number from 000 to 777"),
        (kinds.SECONDS, "0", "seconds above 0"),
        (kinds.SECONDS, "nan", "seconds above 0"),
        (kinds.SECONDS, "inf", "seconds above 0"),
        (kinds.SECONDS, "soon", "seconds above 0"),
        (kinds.PORT, "65536", "not in the range"),
        (kinds.whole_number(1), "0", "not in the range"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_right(kind: kinds.Kind, text: str, says: str) -> None:
    with pytest.raises(click.BadParameter, match=says):
        kind.converter.convert(text, None, None)


def test_a_text_that_is_no_network_is_refused() -> None:
    assert kinds.network("::1/128").version == 6
    with pytest.raises(click.BadParameter):
        kinds.network("nowhere")

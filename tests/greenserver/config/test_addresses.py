"""Addresses are written as people write them."""

import pytest

from greenserver.config.addresses import describe, strip_brackets


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [("127.0.0.1", 1, "127.0.0.1:1"), ("::1", 2, "[::1]:2"), ("unix:/run/x", 0, "unix:/run/x"), ("a.b", 3, "a.b:3")],
)
def test_an_address_is_written_as_people_do(host: str, port: int, text: str) -> None:
    assert describe(host, port) == text


@pytest.mark.parametrize(
    ("written", "meant"), [("[::1]", "::1"), ("::1", "::1"), ("a.b", "a.b"), ("unix:[x]", "unix:[x]"), ("[", "[")]
)
def test_brackets_around_an_address_are_for_people(written: str, meant: str) -> None:
    assert strip_brackets(written) == meant

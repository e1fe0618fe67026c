"""Addresses are formatted and parsed as in URLs."""

import pytest

from greenserver.config.addresses import describe, strip_brackets


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [("127.0.0.1", 1, "127.0.0.1:1"), ("::1", 2, "[::1]:2"), ("unix:/run/x", 0, "unix:/run/x"), ("a.b", 3, "a.b:3")],
)
def test_formats_an_address(host: str, port: int, text: str) -> None:
    assert describe(host, port) == text


@pytest.mark.parametrize(
    ("written", "meant"), [("[::1]", "::1"), ("::1", "::1"), ("a.b", "a.b"), ("unix:[x]", "unix:[x]"), ("[", "[")]
)
def test_strips_brackets_from_an_address(written: str, meant: str) -> None:
    assert strip_brackets(written) == meant

"""Options that cannot be right are refused before anything is connected."""

import pytest

from greenserver.client.errors import AddressError, LocalError
from greenserver.client.options import Options


@pytest.mark.parametrize(
    "options",
    [
        {"dialect": "2020"},
        {"proxy": "http://h:1"},
        {"proxy": "socks5://h"},
        {"proxy": "socks5://h:x"},
        {"proxy_protocol": 3},
        {"timeout_seconds": 0},
        {"retries": -1},
        {"connections": 0},
        {"tls_key": "key.pem"},
    ],
)
def test_options_that_cannot_be_right_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(AddressError):
        Options(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "form"),
    [
        (Options(), ""),
        (Options(dialect="2026"), "raw"),
        (Options(dialect="2026", is_raw_wanted=False), "base64"),
        (Options(dialect="2016", is_raw_wanted=False), "fragments"),
    ],
)
def test_a_dialect_has_a_form(options: Options, form: str) -> None:
    assert options.form == form


def test_certificates_that_cannot_be_read_are_named() -> None:
    with pytest.raises(LocalError, match=r"cannot use nowhere\.pem: No such file"):
        Options(tls_ca="nowhere.pem").tls_context()
    with pytest.raises(LocalError, match=r"cannot use .*test_options\.py"):
        Options(tls_cert=__file__).tls_context()

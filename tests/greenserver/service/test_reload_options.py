"""A reload applies each option, or names it as one that needs a restart."""

import dataclasses
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from greenserver import Server
from greenserver.config.limits import Limits
from greenserver.config.option_types import network
from greenserver.config.settings import OPTIONS, Settings
from greenserver.connection.serving_config import ServingConfig
from greenserver.protocol.dialects import DIALECTS
from greenserver.service.preflight import read_and_check
from greenserver.service.reload import Reload, configure_log, serving_options

pytestmark = pytest.mark.once

LIMITS: Final = tuple(each.name for each in dataclasses.fields(Limits))
TLS: Final = {"tls_cert": "chain.pem", "tls_key": "key.pem"}

NEEDS_RESTART: Final[dict[str, object]] = {
    "address": "127.0.0.2",
    "port": 1,
    "port_file": "port",
    "engine": "selectors",
    "admin": ("127.0.0.1", 1),
    "user": "root",
    "group": "root",
    "umask": 0o77,
}
"""Options that a reload leaves alone, and a new value of each."""

FIXED_IN_ONE_PROCESS: Final = frozenset({"workers", "grace_seconds", "file_threads"})
"""Options that only a server with workers applies at a reload: it replaces the processes."""

RELOADED: Final[dict[str, tuple[dict[str, Any], Callable[[ServingConfig], bool]]]] = {
    "directory": (
        {"directory": "other"},
        lambda config: Path(f"/proc/self/fd/{config.store.descriptor}").readlink().name == "other",
    ),
    "dialect": ({"dialect": "2016"}, lambda config: config.dialect is DIALECTS["2016"]),
    "hidden": ({"hidden": True}, lambda config: config.store.size(".hidden") == 1),
    "access_log": ({"access_log": "downloads"}, lambda config: config.access_log == "downloads"),
    "log_format": ({"log_format": "json"}, lambda _: form_and_level() == ("JsonFormatter", "INFO")),
    "verbose": ({"verbose": 1}, lambda _: form_and_level() == ("TextFormatter", "DEBUG")),
    "quiet": ({"quiet": 2}, lambda _: form_and_level() == ("TextFormatter", "ERROR")),
    "tls_cert": (TLS, lambda config: context(config).verify_mode == ssl.CERT_NONE),
    "tls_key": (TLS, lambda config: context(config).minimum_version == ssl.TLSVersion.TLSv1_2),
    "tls_client_ca": (
        {**TLS, "tls_client_ca": "ca.pem"},
        lambda config: context(config).verify_mode == ssl.CERT_REQUIRED,
    ),
    "proxy_protocol": (
        {"proxy_protocol": True},
        lambda config: list(config.proxy_from) == [network("127.0.0.0/8"), network("::1/128")],
    ),
    "proxy_from": (
        {"proxy_protocol": True, "proxy_from": (network("192.0.2.0/24"),)},
        lambda config: list(config.proxy_from) == [network("192.0.2.0/24")],
    ),
}
"""New settings, and whether a configuration has them."""


def context(config: ServingConfig) -> ssl.SSLContext:
    """Return the TLS context of a configuration."""
    assert config.tls is not None
    return config.tls


def form_and_level() -> tuple[str, str]:
    """Return the formatter and the level of the package's log."""
    package = logging.getLogger("greenserver")
    return type(package.handlers[0].formatter).__name__, logging.getLevelName(package.level)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with what the new settings name."""
    place = tmp_path_factory.mktemp("place")
    for name in ("served", "other"):
        (place / name).mkdir()
        (place / name / ".hidden").write_bytes(b"x")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(place / "chain.pem")
    issued.private_key_pem.write_to_path(place / "key.pem")
    authority.cert_pem.write_to_path(place / "ca.pem")
    return place


@pytest.fixture
def before(place: Path, log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the settings before the reload."""
    monkeypatch.chdir(place)
    settings = Settings(directory="served", engine="threads", port=0)
    configure_log(settings)
    monkeypatch.setattr(log, "propagate", True)  # so that caplog gets what is reported
    return settings


def changed(before: Settings, name: str) -> Settings:
    """Return settings in which one option has changed, with what it needs."""
    if name in LIMITS:
        value = getattr(before.limits, name)
        return dataclasses.replace(before, limits=dataclasses.replace(before.limits, **{name: value + 1}))
    if name == "workers":
        return dataclasses.replace(before, workers=before.workers + 1)
    new = RELOADED[name][0] if name in RELOADED else {name: NEEDS_RESTART[name]}
    return dataclasses.replace(before, **new)


def value(settings: Settings, name: str) -> object:
    """Return the value of an option."""
    return getattr(settings.limits if name in LIMITS else settings, name)


def test_every_option_is_tested_here() -> None:
    assert {*RELOADED, *NEEDS_RESTART, *LIMITS, "workers"} == {option.name for option in OPTIONS}


@pytest.mark.parametrize("name", [option.name for option in OPTIONS])
def test_one_process_applies_an_option_or_names_it(
    before: Settings, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    after = changed(before, name)
    with Server(before.directory, port=0, engine="threads", **serving_options(before)) as server:
        previous, granted = server.config, value(before, name)
        Reload(server, before, lambda: after)._reload()  # noqa: SLF001  (`ask` does so in a thread)
        assert server.config is not previous
        facts = [getattr(each, "facts", {}) for each in caplog.records]
        named = [each["options"] for each in facts if "options" in each]
        assert named == ([name.replace("_", "-")] if name in NEEDS_RESTART or name in FIXED_IN_ONE_PROCESS else [])
        if name in RELOADED:
            assert RELOADED[name][1](server.config)
        elif name in LIMITS and name not in FIXED_IN_ONE_PROCESS:
            assert getattr(server.config.limits, name) == value(after, name) != granted


@pytest.mark.parametrize("name", [option.name for option in OPTIONS])
def test_workers_apply_an_option_or_it_is_named(before: Settings, name: str) -> None:
    before = dataclasses.replace(before, workers=1)
    after = changed(before, name)
    settings, kept, _ = read_and_check(before, lambda: after)
    assert kept == ([name.replace("_", "-")] if name in NEEDS_RESTART else [])
    assert value(settings, name) == value(before if name in NEEDS_RESTART else after, name)

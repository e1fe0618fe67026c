"""Settings come from the command line, the environment and the file, in this order of precedence."""

import dataclasses
import ipaddress
import subprocess
import sys
from pathlib import Path

import pytest

from greenserver import cli, engines
from greenserver.config import settings
from greenserver.config.limits import Limits
from greenserver.config.settings import ConfigurationError, Settings
from greenserver.protocol import dialects
from greenserver.telemetry import access_log, log
from tests.greenserver.serving import ROOT


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "greenserver.toml"


def test_choices_match_the_engines_and_dialects() -> None:
    assert tuple(engines.ENGINES) == settings.ENGINES
    assert tuple(dialects.DIALECTS) == settings.DIALECTS
    assert tuple(log.FORMATTERS) == settings.LOG_FORMATS
    assert tuple(access_log.CONTENTS) == settings.ACCESS_LOGS


def test_table_has_every_setting_and_limit_once() -> None:
    names = [option.name for option in settings.OPTIONS]
    fields = {each.name for each in (*dataclasses.fields(Settings), *dataclasses.fields(Limits))} - {"limits"}
    assert sorted(names) == sorted(fields)


def test_defaults_are_those_of_the_table() -> None:
    assert cli.read([]) == Settings()


def test_command_line_overrides_environment_overrides_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('idle-seconds = 1\nline-seconds = 1\nrate = 1\nengine = "threads"\n')
    monkeypatch.setenv("GREENSERVER_LINE_SECONDS", "2")
    monkeypatch.setenv("GREENSERVER_RATE", "2")
    settings = cli.read(["--config", str(file), "--rate", "3"])
    assert settings.engine == "threads"
    assert (settings.limits.idle_seconds, settings.limits.line_seconds, settings.limits.rate) == (1, 2, 3)
    monkeypatch.setenv("GREENSERVER_CONFIG", str(file))
    assert cli.read([]).limits.idle_seconds == 1


def test_file_sets_every_option_type(file: Path) -> None:
    file.write_text(
        'directory = "/srv"\nport = 7\nhidden = true\nverbose = 2\n'
        'proxy-protocol = true\nproxy-from = ["10.0.0.0/8", "::1"]\n'
        'workers = "auto"\nadmin = "[::1]:9500"\numask = "027"\nidle-seconds = 1.5\nmax-connections = 9\n'
    )
    settings = cli.read(["-c", str(file)])
    assert (settings.directory, settings.port, settings.hidden, settings.verbose) == ("/srv", 7, True, 2)
    assert settings.trusted_proxies == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1"))
    assert settings.workers > 0
    assert (settings.admin, settings.umask) == (("::1", 9500), 0o27)
    assert (settings.limits.idle_seconds, settings.limits.max_connections) == (1.5, 9)


def test_trusts_proxies_only_if_enabled_and_local_by_default() -> None:
    assert Settings().trusted_proxies == ()
    assert [str(each) for each in cli.read(["--proxy-protocol"]).trusted_proxies] == ["127.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "unknown key 'prot'; did you mean 'port'?"),
        ("max_connections = 1", "unknown key 'max_connections'; did you mean 'max-connections'?"),
        ("zzz = 1", "unknown key 'zzz'; the keys are directory,"),
        ("config = 'x'", "unknown key 'config'"),
        ("[server]\nport = 1", "a file has no sections; write the keys of [server] as they are, such as port = 19500"),
        ("limits.rate = 1", "write the keys of [limits] as they are"),
        ("address = '127.0.0.1:9000'", "address: '127.0.0.1:9000' has a port; give it apart"),
        ("rate = '10X'", "rate: '10X' is not a number from 0 up, such as"),
        ("port = '80'", "port must be a whole number, not '80'"),
        ("port = true", "port must be a whole number, not True"),
        ("hidden = 1", "hidden must be true or false, not 1"),
        ("directory = 1", "directory must be a string in quotes, not 1"),
        ("engine = ['gevent']", "engine must be one of"),
        ("engine = 'steam'", "engine: 'steam' is not one of"),
        ("port = 70000", "port: 70000 is not a number from 0 to 65535"),
        ("idle-seconds = 0", "idle-seconds: 0 is not a number of seconds greater than 0"),
        ("max-connections = 0", "max-connections: 0 is not a number from 1 up"),
        ("proxy-from = '10.0.0.0/8'", "proxy-from must be a list of strings"),
        ("proxy-from = [1]", "proxy-from must be a list of strings"),
        ("proxy-from = ['x']", "write a network as"),
        ("port =", "is not TOML"),
        ("tls-cert = 'x'", "--tls-cert and --tls-key must be used together"),
        ("tls-client-ca = 'x'", "--tls-client-ca needs --tls-cert"),
        ("proxy-from = ['::1']", "--proxy-from has no effect without --proxy-protocol"),
        ("port-file = 'x'\naddress = 'unix:y'", "a unix socket has no port"),
    ],
)
def test_reports_a_file_error_in_one_line(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as wrong:
        cli.read(["-c", str(file)])
    assert message in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_reports_an_unreadable_file_in_one_line(file: Path, content: bytes | None) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=str(file)):
        cli.read(["-c", str(file)])


def test_accepts_a_byte_order_mark_and_units_of_bytes(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfrate = '10M'\nline-bytes = 2000\n")
    given = cli.read(["-c", str(file)]).limits
    assert (given.rate, given.line_bytes) == (10 << 20, 2000)


def test_every_limit_in_bytes_accepts_units() -> None:
    given = cli.read(["--line-bytes", "1K", "--line-floor", "2K", "--write-floor", "3K", "--rate", "4K"]).limits
    assert (given.line_bytes, given.line_floor, given.write_floor, given.rate) == (1024, 2048, 3072, 4096)
    texts = {option.name: option.help for option in settings.OPTIONS}
    in_bytes = {name for name, text in texts.items() if "bytes" in text}
    assert in_bytes == settings._IN_BYTES  # noqa: SLF001  (the help says which are)


def test_reads_only_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VERSION", "HELP", "CHECK_CONFIG", "DEPLOY_WHAT", "DEPLOY_HELP", "SERVICE_PORT"):
        monkeypatch.setenv(f"GREENSERVER_{name}", "1")
    for name, value in {"PORT": "80", "WEB_CONCURRENCY": "4", "FORWARDED_ALLOW_IPS": "*", "HOST": "::"}.items():
        monkeypatch.setenv(name, value)
    assert cli.read([]) == Settings()


def test_finds_unknown_variables_with_the_prefix() -> None:
    environment = dict.fromkeys(
        (
            "GREENSERVER_PROT",
            "GREENSERVER_LOGFORMAT",
            "GREENSERVER_VERSION",
            "GREENSERVER_PORT",
            "GREENSERVER_CONFIG",
            "PORT",
        ),
        "1",
    )
    assert settings.unknown_variables(environment) == {
        "GREENSERVER_LOGFORMAT": "GREENSERVER_LOG_FORMAT",
        "GREENSERVER_PROT": "GREENSERVER_PORT",
        "GREENSERVER_VERSION": "",
    }


def test_names_the_environment_variable_of_an_invalid_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENSERVER_PORT", "tcp://10.0.0.1:19500")
    with pytest.raises(ConfigurationError, match="It was set by GREENSERVER_PORT"):
        cli.read([])


def test_reload_keeps_and_names_settings_that_need_a_restart() -> None:
    old = Settings(port=1, directory="a")
    merged, kept = settings.kept_until_restart(old, Settings(port=2, directory="b", engine="threads"))
    assert merged == Settings(port=1, directory="b")
    assert kept == ["port", "engine"]


def check(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "greenserver", "--check-config", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_check_config_accepts_a_valid_configuration(file: Path, tmp_path: Path) -> None:
    file.write_text("workers = 2\n")
    done = check("-c", str(file), "-d", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "greenserver: the configuration is valid\n", "")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["-d", "/nowhere/at/all"], 1, "cannot serve /nowhere/at/all: No such file or directory"),
        (["--user", "no-such-user"], 1, "no such user: 'no-such-user'"),
        (["--tls-cert", "/no/cert", "--tls-key", "/no/key"], 1, "cannot read /no/cert"),
        (["-c", "/no/file"], 2, "cannot read /no/file: No such file or directory"),
        (["--rate", "-1"], 2, "not a number from 0 up"),
    ],
)
def test_check_config_reports_an_error_in_one_line(arguments: list[str], status: int, message: str) -> None:
    done = check(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    (line,) = done.stderr.splitlines()
    assert message in line

"""Every option works, also from the environment; invalid use is one clear line without a traceback."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import greenserver
from greenserver import __version__, cli
from greenserver.config.settings import Settings
from tests.greenserver.conftest import SERVED, Start
from tests.greenserver.oracle import BAD_ARGUMENTS, NO_COMMAND, OK
from tests.greenserver.program import PROGRAM, as_nobody, plain_environment
from tests.greenserver.serving import ROOT, Client, Server


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, action in before.items():
        signal.signal(number, action)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GREENSERVER_")]:
        monkeypatch.delenv(name)


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "greenserver", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def exit_of(*arguments: str) -> object:
    """Run the command line in this process and return its exit status."""
    with pytest.raises(SystemExit) as left:
        cli.main(list(arguments))
    return left.value.code


# --- Bad use -------------------------------------------------------------------------------------

BAD_USE = {
    "missing directory": (["-d", "/nowhere/at/all"], 1, "cannot serve /nowhere/at/all: No such file or directory"),
    "a file for a directory": (["-d", __file__], 1, "Not a directory"),
    "an address of another machine": (["-a", "192.0.2.1"], 1, "cannot listen on 192.0.2.1:0: Cannot assign requested"),
    "an address that is none": (["-a", "a..b"], 1, "cannot listen on a..b:0: "),
    "a name that is unknown": (["-a", "no.such.name.invalid"], 1, "give an address or a name of this machine"),
    "an address of too many characters": (["-a", "x" * 300], 1, "cannot listen on "),
    "a unix socket in no directory": (
        ["-a", "unix:/nowhere/at/all"],
        1,
        "cannot listen on unix:/nowhere/at/all: No such",
    ),
    "a unix socket with a port file": (["-a", "unix:x", "--port-file", "y"], 2, "a unix socket has no port"),
    "a port file in no directory": (
        ["--port-file", "/nowhere/at/all"],
        1,
        "cannot write the port to /nowhere/at/all: No",
    ),
    "a port that is no number": (["-p", "http"], 2, "'http' is not a number from 0 to 65535."),
    "a port past the last": (["-p", "65536"], 2, "'65536' is not a number from 0 to 65535."),
    "a negative port": (["-p", "-1"], 2, "'-1' is not a number from 0 to 65535."),
    "an address with a port": (
        ["-a", "127.0.0.1:9000"],
        2,
        "'127.0.0.1:9000' has a port; give it apart: --address 127.0.0.1 --port 9000.",
    ),
    "an IPv6 address with a port": (["-a", "[::1]:9000"], 2, "give it apart: --address ::1 --port 9000."),
    "a port for an address": (["-a", ":9000"], 2, "give it apart: --port 9000."),
    "an empty address": (["-a", ""], 2, "an address is needed, such as 127.0.0.1"),
    "a unix socket without a path": (["-a", "unix:"], 2, "a unix socket needs a path, such as unix:/run/hftp.sock."),
    "a link-local address without its interface": (["-a", "fe80::1"], 1, "name the interface of a link-local address"),
    "an interface that is none": (["-a", "fe80::1%none"], 1, "cannot listen on [fe80::1%none]:0: "),
    "a rate of no number": (["--rate", "fast"], 2, "'fast' is not a number from 0 up, such as 65536, 64K, 10M or 1G."),
    "an unknown unit": (["--rate", "10T"], 2, "'10T' is not a number from 0 up, such as"),
    "an unknown engine": (["--engine", "steam"], 2, "'steam' is not one of"),
    "an unknown dialect": (["--dialect", "1066"], 2, "'1066' is not one of"),
    "an unknown log format": (["--log-format", "xml"], 2, "'xml' is not one of"),
    "an unknown option": (["--turbo"], 2, "--turbo"),
    "an option without its value": (["--engine"], 2, "--engine"),
    "a directory without its option": (["my files"], 2, "unexpected argument 'my files'; did you mean --directory 'my"),
    "a command that is mistyped": (["deplyo", "systemd"], 2, "unexpected argument 'deplyo'; did you mean deploy?"),
    "a port without its option": (["8000"], 2, "unexpected argument '8000'; did you mean --port 8000?"),
    "a user who is not there": (["--user", "no-such-user"], 1, "no such user: 'no-such-user'; create it with"),
}


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(("arguments", "status", "message"), BAD_USE.values(), ids=BAD_USE)
def test_reports_invalid_use_in_one_line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    usual = [] if "-d" in arguments else ["-d", str(tmp_path)]
    port = [] if "-p" in arguments else ["-p", "0"]
    assert exit_of(*usual, *port, *arguments) == status
    printed = capfd.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("greenserver: ")
    assert message in line


def test_reports_a_port_in_use_in_one_line(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("-d", str(directory), "-p", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"greenserver: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "stop the program that listens there (ss -ltnp shows which), or choose another port\n"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("ENGINE", "steam"), ("PORT", "http"), ("DIALECT", "1066"), ("VERBOSE", "very"), ("HIDDEN", "perhaps")],
)
def test_reports_an_invalid_environment_variable_in_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"GREENSERVER_{name}", value)
    assert exit_of() == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert repr(value) in line
    assert f"It was set by GREENSERVER_{name}." in line


def test_reports_a_privileged_port_with_a_remedy() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text(encoding="ascii")) <= 80:
        pytest.skip("every user may listen on port 80 here")
    done = subprocess.run(
        [*as_nobody(), PROGRAM, "-d", "/", "-p", "80"],
        cwd="/",
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "greenserver: cannot listen on 127.0.0.1:80: Permission denied; "
        "ports below 1024 are for root: start as root with --user NAME, or choose a higher port\n"
    )


def test_invalid_use_of_the_program_has_no_traceback() -> None:
    done = run("--engine", "steam")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_abort_exits_silently_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(*_: object, **__: object) -> None:
        raise click.Abort

    monkeypatch.setattr(cli.serve, "main", give_up)
    assert exit_of() == 1


# --- Options -------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_every_option(capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert exit_of(option) == 0
    help_text = capsys.readouterr().out
    for each in cli.serve.params:
        assert max(each.opts) in help_text
    assert "GREENSERVER_PORT" in help_text


def test_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of("--version") == 0
    assert capsys.readouterr().out == f"greenserver {__version__}\n"


def test_first_line_shows_address_directory_and_example_and_port_file_has_the_port(
    start: Start, directory: Path, engine: str
) -> None:
    server = start(directory, "--engine", engine)
    (line,) = server.stdout.read_text().splitlines()
    assert line == (
        f"greenserver {__version__} listens on 127.0.0.1:{server.port} and serves {directory}; "
        rf"try: printf 'get_file_listing\r\nquit\r\n' | nc 127.0.0.1 {server.port}"
    )
    assert server.stop() == 0
    assert server.log().splitlines()[-1].endswith(f"INFO    stopped address=127.0.0.1:{server.port}")


def test_defaults_to_the_current_directory_and_gevent(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"abc")
    with subprocess.Popen(
        [sys.executable, "-m", "greenserver", "-p", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline().decode()
            assert f" serves {tmp_path}; " in line
            port = int(line.rstrip().rpartition(" ")[2])
            with Client(socket.create_connection(("127.0.0.1", port), 20)) as client:
                client.send(b"get_file_listing\r\nhelp\r\nquit\r\n")
                assert client.rest().startswith(OK + b"here\r\n\r\n" + OK)
        finally:
            process.terminate()
            assert process.wait(20) == 0


def test_environment_sets_every_option(start: Start, tmp_path: Path, directory: Path) -> None:
    environment = {
        "GREENSERVER_ENGINE": "selectors",
        "GREENSERVER_DIALECT": "2019",
        "GREENSERVER_HIDDEN": "1",
        "GREENSERVER_LOG_FORMAT": "json",
        "GREENSERVER_VERBOSE": "1",
        "GREENSERVER_ADDRESS": "127.0.0.2",
    }
    server = start(directory, environment=environment)
    with Client(socket.create_connection(("127.0.0.2", server.port), 20)) as client:
        client.send(b"help\r\nget_slice one 0 1 raw\r\nget_metadata .hidden\r\nquit\r\n")
        assert client.rest() == NO_COMMAND + BAD_ARGUMENTS + OK + b"6\r\n" + OK
    assert server.stop() == 0
    assert {json.loads(line)["event"] for line in server.log().splitlines()} >= {"connected", "command", "stopped"}
    done = run(GREENSERVER_DIRECTORY="/nowhere", GREENSERVER_PORT="0", GREENSERVER_PORT_FILE=str(tmp_path / "no"))
    assert "cannot serve /nowhere" in done.stderr


def test_command_line_overrides_the_environment(start: Start, directory: Path) -> None:
    server = start(directory, "--dialect", "2018", environment={"GREENSERVER_DIALECT": "2016"})
    assert server.ask(b"get_slice one 0 1\r\n") == OK + b"1"


@pytest.mark.parametrize(
    ("options", "logs_commands"), [((), True), (("-v",), True), (("-q",), False), (("-qq",), False)]
)
def test_quiet_lowers_the_log_level(
    start: Start, directory: Path, options: tuple[str, ...], logs_commands: bool
) -> None:
    server = start(directory, "--engine", "sequential", *options)
    server.ask(b"quit\r\n")
    assert server.stop() == 0
    assert ("command" in server.log()) == logs_commands
    assert ("WARNING" in server.log()) == (options != ("-qq",))


def test_serves_ipv6(start: Start, directory: Path) -> None:
    server = start(directory, "--engine", "selectors", "--address", "::1")
    with Client(socket.create_connection(("::1", server.port), 20)) as client:
        client.send(b"get_metadata one\r\nquit\r\n")
        assert client.rest() == OK + b"1\r\n" + OK
    assert f"listens on [::1]:{server.port} and" in server.stdout.read_text()
    assert f"nc ::1 {server.port}" in server.stdout.read_text()
    assert "client=[::1]:" in server.log()


def test_example_for_a_wildcard_address_uses_the_loopback_address(directory: Path) -> None:
    with greenserver.Server(directory, address="0.0.0.0", port=0) as server:
        assert cli.introduction(server.host, server.port, Settings()).endswith(f"nc 127.0.0.1 {server.port}")


def test_restarts_on_the_same_port(start: Start, directory: Path) -> None:
    first = start(directory, "--engine", "threads")
    with first.connect() as client:
        client.send(b"get_metadata one\r\n")
        assert client.line() == OK
        assert first.stop() == 0
    second: Server = start(directory, "--engine", "threads", "--port", str(first.port))
    assert second.port == first.port
    assert set(second.ask(b"get_file_listing\r\n").decode().split("\r\n")) >= set(SERVED)

"""The life of a server that the suite starts: ready, restarted, and gone with all its offspring in any case."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conformance.dialling import Address, AddressError, parse_address
from conformance.target import Start, Target, TargetError
from tests import INTERPRETER

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
SERVER = f"{INTERPRETER} -m tests.conformance.correct_server -p {{port}} -d {{dir}}"
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[2], "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
import socket
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""
PATIENCE_SECONDS = 20.0


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(process: int) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(process)


def read_number(path: Path) -> int:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (path.exists() and path.read_text(encoding="ascii")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(path.read_text(encoding="ascii"))


def test_a_server_is_ready_when_it_is_entered_and_can_be_started_again(tmp_path: Path) -> None:
    with Target(None, Start(SERVER, str(ROOT)), directory=tmp_path) as target:
        target.dial(5.0).close()
        assert target.is_running
        target.restart()
        target.dial(5.0).close()
        assert target.starts == 2
    assert not target.is_running


def test_the_port_is_none_that_the_system_gives_to_connections(tmp_path: Path) -> None:
    first_given = 32_768  # Linux's; other systems begin higher
    with Target(None, Start(SERVER, str(ROOT)), directory=tmp_path) as target:
        assert 1024 <= target.address.port < first_given


def test_daemons_that_left_the_group_are_ended_too(tmp_path: Path) -> None:
    script, number = tmp_path / "daemon.py", tmp_path / "number"
    script.write_text(DAEMON, encoding="ascii")
    with Target(None, Start(f"{INTERPRETER} {script} {{port}} {number}"), directory=tmp_path):
        daemon = read_number(number)
        assert is_alive(daemon)
    assert wait_until_gone(daemon)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_suite_that_is_killed_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    script, pid_file = tmp_path / "daemon.py", tmp_path / "number"
    script.write_text(DAEMON, encoding="ascii")
    suite = subprocess.Popen(
        [
            *(sys.executable, "-m", "conformance", "run"),
            *("--serve", f"{INTERPRETER} {script} {{port}} {pid_file}", "--timeout-scale", "20"),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    daemon = read_number(pid_file)
    suite.send_signal(number)
    suite.wait(PATIENCE_SECONDS)
    assert wait_until_gone(daemon)


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("/no/such/server {port}", "cannot run /no/such/server"),
        (f"{INTERPRETER} -c pass", "ended before it accepted a connection"),
        (f"{INTERPRETER} -c 'print(1)", "No closing quotation"),
        ("", "empty command"),
    ],
)
def test_a_server_that_does_not_start_is_told_in_one_line(tmp_path: Path, command: str, complaint: str) -> None:
    with pytest.raises(TargetError, match=complaint) as caught, Target(None, Start(command), directory=tmp_path):
        pass
    assert "\n" not in str(caught.value)


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Target(None, Start(SERVER, str(ROOT)), directory=tmp_path) as target:
        target.restart()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost", Address("localhost", 19500)),
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        ("[::1]:80", Address("::1", 80)),
        ("::1", Address("::1", 19500)),
        ("unix:/a b", Address(path="/a b")),
    ],
)
def test_addresses_are_read_in_all_their_forms(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["", ":80", "a:b", "a:0", "a:65536", "[::1", "[::1]80", "unix:", "http://a", "a b"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)

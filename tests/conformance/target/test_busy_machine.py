"""Timeouts of real servers, one of them on a processor that is busy with other processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from conformance.failures import Failure, Kind
from conformance.fixtures.base import Fixtures
from conformance.model.context import RunContext, ScenarioContext
from conformance.target.machine_clock import SLOWEST
from conformance.target.managed_server import ManagedServer, Start
from conformance.target.remote_fixtures import RemoteFixtures
from tests import INTERPRETER

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        not Path("/proc/self/schedstat").exists(), reason="the system does not say how long threads wait"
    ),
]

SERVER = """
import os, socket, sys

def delay():
    with open("/proc/self/schedstat") as file:
        return int(file.read().split()[1]) / 1e9

os.sched_setaffinity(0, [int(sys.argv[2])])
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = listener.accept()
    with client, client.makefile("rb") as lines:
        for line in lines:
            if line == b"quit\\r\\n":
                break
            until = delay() + float(sys.argv[3])  # the reply is late, because the processor does other things
            while delay() < until:
                pass
            client.sendall(b"200 NO SUCH COMMAND\\r\\n")
"""
SILENT = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = listener.accept()
    while client.recv(100) != b"quit\\r\\n":
        pass
    client.close()
"""
TIMEOUT_SECONDS = 0.7
DELAY_SECONDS = 1.2
BURNERS = 5
FIXTURES: Fixtures = RemoteFixtures({}, knows_all=False)


@contextmanager
def busy(processor: int) -> Iterator[None]:
    """Keep a processor busy, with processes that get the same share of it as a server."""
    burn = f"import os\nos.sched_setaffinity(0, [{processor}])\nwhile True: pass"
    burners = [subprocess.Popen([sys.executable, "-c", burn], start_new_session=True) for _ in range(BURNERS)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@contextmanager
def asked(script: str, directory: Path, *words: str) -> Iterator[ScenarioContext]:
    """Start a server, and yield how a scenario sees it."""
    file = directory / "server.py"
    file.write_text(script, encoding="ascii")
    start = Start(" ".join([INTERPRETER, str(file), "{port}", *words]))
    with ManagedServer(None, start, directory=directory) as server:
        context = ScenarioContext(
            RunContext(server.dial, FIXTURES, "2026", TIMEOUT_SECONDS, clock=server.clock), is_crowded=False
        )
        yield context
        context.close()


def test_accepts_a_reply_of_a_starved_server(tmp_path: Path) -> None:
    processor = min(os.sched_getaffinity(0))
    with asked(SERVER, tmp_path, str(processor), str(DELAY_SECONDS)) as context:
        client = context.connect()
        with busy(processor):
            client.send_line(b"frobnicate")
            began = monotonic()
            assert client.status(200).code == 200
            assert monotonic() - began >= DELAY_SECONDS > TIMEOUT_SECONDS


def test_silent_server_fails(tmp_path: Path) -> None:
    with asked(SILENT, tmp_path) as context:
        client = context.connect()
        client.send_line(b"frobnicate")
        began, before = monotonic(), context.clock()
        with pytest.raises(Failure) as caught:
            client.status(200)
        assert context.clock() - before >= TIMEOUT_SECONDS
        assert monotonic() - began < 10 * TIMEOUT_SECONDS / SLOWEST
    assert caught.value.kind is Kind.TIMEOUT

"""A second SIGTERM ends the server at once, also as process 1 of a container."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.greenserver.conftest import LARGE
from tests.greenserver.launching import find_program
from tests.greenserver.serving import ROOT, TIMEOUT_SECONDS, Client, wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]

SIGNALLED = 128  # as the shell says it


@contextlib.contextmanager
def contained(directory: Path, port_file: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server as process 1 of a container; the process that is given ends as it does."""
    namespaces = ("--user", "--map-root-user", "--pid", "--fork", "--kill-child")
    unshare = [find_program("unshare"), *namespaces]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system allows no namespaces")
    where = ("-d", str(directory), "-p", "0", "--port-file", str(port_file))
    process = subprocess.Popen(
        [*unshare, sys.executable, "-m", "greenserver", *where, "-q", *options], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def first_process(container: "subprocess.Popen[bytes]") -> int:
    """Return the process that is the first of the container, as its id is outside."""
    path = Path(f"/proc/{container.pid}/task/{container.pid}/children")
    return int(path.read_text(encoding="ascii").split()[0])


@pytest.mark.parametrize("options", [("--engine", "gevent"), ("--engine", "threads"), ("--workers", "1")])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_second_sigterm_ends_process_1_at_once(
    directory: Path, tmp_path: Path, options: tuple[str, ...], number: int
) -> None:
    port_file = tmp_path / "port"
    with contained(directory, port_file, *options) as container:
        wait_until(port_file.exists, "it listens")
        there = "127.0.0.1", int(port_file.read_text())
        with Client(socket.create_connection(there, TIMEOUT_SECONDS)) as client:
            client.send(b"get_slice large.bin 0 %d raw\r\n" % len(LARGE) * 50)  # never read: a reply under way
            assert client.exactly(10)
            os.kill(first_process(container), number)
            time.sleep(0.5)
            assert container.poll() is None
            os.kill(first_process(container), number)
            assert container.wait(TIMEOUT_SECONDS) == SIGNALLED + number

"""The servers that fail to start, or serve their own directory, do so as described."""

import base64
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conformance.forked_server import TIMEOUT_SECONDS, read

pytestmark = pytest.mark.once

STARTS = Path(__file__).parents[1] / "broken_servers" / "starts"


def test_server_that_ignores_its_option_serves_its_own_directory(tmp_path: Path) -> None:
    (tmp_path / "wanted.txt").write_bytes(b"wanted")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = ("127.0.0.1", listener.getsockname()[1])
    command = [sys.executable, str(STARTS / "own_folder" / "server.py"), "-p", str(address[1]), "-d", str(tmp_path)]
    with subprocess.Popen(command, cwd=tmp_path) as process:
        try:
            commands = b"get_metadata wanted.txt\r\nget_slice notes.txt 0 14\r\nquit\r\n"
            with connect(address) as sock:
                sock.sendall(commands)
                notes = base64.b64encode(b"the only notes")
                assert read(sock, TIMEOUT_SECONDS) == b"202 FILE NOT FOUND\r\n0 OK\r\n%b\r\n0 OK\r\n" % notes
        finally:
            process.kill()


def connect(address: tuple[str, int]) -> socket.socket:
    """Return a connection to a server that is about to listen."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    sock = socket.socket()
    while sock.connect_ex(address):
        sock.close()
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.02)
        sock = socket.socket()
    return sock


def test_server_without_its_module_exits_with_an_import_error(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(STARTS / "missing_module.py")], cwd=tmp_path, capture_output=True, check=False, text=True
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'course_protocol_helpers'"


def test_unbuilt_server_is_not_built() -> None:
    assert sorted(path.name for path in (STARTS / "unbuilt").iterdir()) == ["Makefile", "server.c"]

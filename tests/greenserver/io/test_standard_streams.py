"""The server works and prints what it can, whatever its standard streams and its locale are."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.greenserver.program import PROGRAM, plain_environment, running
from tests.greenserver.serving import TIMEOUT_SECONDS

pytestmark = pytest.mark.once

STREAMS = ("2>&-", ">&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full")
QUESTIONS = b"get_metadata one\r\nget_metadata none\r\nquit\r\n"
ANSWERS = b"0 OK\r\n1\r\n202 FILE NOT FOUND\r\n0 OK\r\n"


def ask(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as client, client.makefile("rb") as replies:
        client.sendall(QUESTIONS)
        return replies.read()


@pytest.mark.parametrize("streams", STREAMS)
def test_serves_with_closed_or_full_streams(streams: str, directory: Path, tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", f'exec "$@" {streams}', "sh", PROGRAM]
    with running(tmp_path, "-v", "-d", str(directory), command=command) as server:
        assert [ask(server.port) for _ in range(3)] == [ANSWERS] * 3
        for number in range(3):
            assert not str(Path(f"/proc/{server.process.pid}/fd/{number}").readlink()).startswith(
                ("socket:", "anon_inode:")
            )


def test_workers_open_no_socket_in_place_of_a_stream(directory: Path, tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", PROGRAM]
    options = ("-d", str(directory), "--workers", "1", "--admin", "127.0.0.1:0")
    with running(tmp_path, *options, command=command) as server:
        assert ask(server.port) == ANSWERS
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        for process in (str(server.process.pid), *children):
            assert str(Path(f"/proc/{process}/fd/2").readlink()) == os.devnull


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["deploy", "systemd"], ["--check-config"]])
def test_failed_output_is_one_line_and_an_exit_status(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    with open("/dev/full", "wb") as full:  # noqa: PTH123  (a device)
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=tmp_path,
            env=plain_environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"greenserver: cannot print: No space left on device\n")


LOCALES = {
    "C": {"LC_ALL": "C"},
    "POSIX": {"LC_ALL": "POSIX"},
    "C.UTF-8": {"LC_ALL": "C.UTF-8"},
    "C, without UTF-8": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "strict": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8:strict"},
    "ASCII": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii:strict"},
}


@pytest.mark.parametrize("locale", LOCALES.values(), ids=LOCALES)
def test_serves_any_path_bytes_in_every_locale(locale: dict[str, str], tmp_path: Path) -> None:
    served = os.fsencode(tmp_path) + b"/b\xffd gr\xc3\xb6\xc3\x9fe\n\x1b[31m"
    os.mkdir(served)  # noqa: PTH102  (bytes that are no text)
    for name in (b"one", b"\xfe\xff", b"\xc3\xb6", b"a\nb"):
        with open(served + b"/" + name, "wb") as file:  # noqa: PTH123  (as above)
            file.write(b"1")
    with running(tmp_path / "here", environment=locale, cwd=served) as server:
        assert ask(server.port) == ANSWERS
        (line,) = server.stdout.read_bytes().splitlines()
        assert b"\x1b" not in line
        assert b"listens on" in line
    assert "the protocol cannot express their names count=3" in server.log
    options = ("--engine", "threads", "--workers", "1", "-d", os.fsdecode(served))
    with running(tmp_path / "named", *options, environment=locale) as server:
        assert ask(server.port) == ANSWERS

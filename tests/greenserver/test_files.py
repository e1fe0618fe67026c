"""Files that change, disappear, or are unreadable, on every engine."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.greenserver.conftest import Start
from tests.greenserver.oracle import FAILED, NO_FILE, OK, PAST_END
from tests.greenserver.serving import Server, closing_servers, environment_without_coverage, no_leaks, wait_until

MIB = 1 << 20
ENFORCED_PERMISSIONS = {"TEST_PERMISSIONS": "1"}


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """Return an empty directory, for a server that one test starts."""
    path = tmp_path / "fresh"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Return a function that returns the server of an empty directory of an engine, started on first use."""
    with closing_servers(Server) as start:

        @cache
        def server_for(engine: str) -> Server:
            scratch = tmp_path_factory.mktemp(engine)
            directory = scratch / "own"
            directory.mkdir()
            options = ("--engine", engine, "--log-format", "json")
            server = start(directory, scratch / "server", *options, environment=ENFORCED_PERMISSIONS)
            server.ask(b"get_file_listing\r\n")  # allocate now what stays allocated after the first connection
            return server

        yield server_for


@pytest.fixture
def own_server(own_servers: Callable[[str], Server], engine: str) -> Iterator[Server]:
    """Return a server of each engine in turn, and check that the test leaks nothing in it."""
    server = own_servers(engine)
    os.truncate(server.stderr, 0)
    with no_leaks(server):
        yield server
    for entry in server.directory.iterdir():
        if entry.is_dir():
            entry.rmdir()
        else:
            entry.unlink()


@pytest.fixture
def own(own_server: Server) -> Path:
    """Return that server's directory: empty, and the test's until it ends."""
    return own_server.directory


def test_an_empty_directory_has_an_empty_listing(own_server: Server) -> None:
    assert own_server.ask(b"get_file_listing\r\n") == OK + b"\r\n"


def test_changed_files_are_served_as_they_are_now(own_server: Server, own: Path) -> None:
    file = own / "file"
    for data in (b"", b"abc", b"a" * 100, b"ab"):
        file.write_bytes(data)
        assert own_server.ask(b"get_metadata file\r\n") == OK + b"%d\r\n" % len(data)
        assert own_server.ask(b"get_slice file %d 0\r\n" % len(data)) == OK + b"\r\n"
        assert own_server.ask(b"get_slice file %d 1\r\n" % len(data)) == PAST_END
        assert own_server.ask(b"get_file_listing\r\n") == OK + b"file\r\n\r\n"
    file.unlink()
    file.mkdir()
    assert own_server.ask(b"get_metadata file\r\nget_file_listing\r\n") == NO_FILE + OK + b"\r\n"


def test_an_unreadable_file_or_directory_is_an_internal_error(own_server: Server, own: Path) -> None:
    (own / "locked").write_bytes(b"secret")
    (own / "open").write_bytes(b"1")
    (own / "locked").chmod(0)
    assert own_server.ask(b"get_metadata locked\r\nget_metadata open\r\n") == FAILED
    assert own_server.ask(b"get_slice locked 0 1\r\nget_metadata open\r\n") == FAILED
    assert own_server.ask(b"get_file_listing\r\n") == OK + b"open\r\n\r\n"
    assert "secret" not in own_server.log()
    own.chmod(0)
    try:
        for command in (b"get_file_listing", b"get_metadata open", b"get_slice open 0 1"):
            assert own_server.ask(command + b"\r\nget_metadata open\r\n") == FAILED
    finally:
        own.chmod(0o755)
    assert own_server.ask(b"get_metadata open\r\n") == OK + b"1\r\n"
    assert "Permission denied" in own_server.log()
    assert "Traceback" not in own_server.log(), "it is no fault of the program"


def test_an_unreadable_directory_is_logged_at_the_start(start: Start, fresh: Path, engine: str) -> None:
    fresh.chmod(0o300)
    try:
        server = start(fresh, "--engine", engine, environment=ENFORCED_PERMISSIONS)
        assert server.ask(b"get_file_listing\r\n") == FAILED
    finally:
        fresh.chmod(0o755)
    assert "directory cannot be read" in server.log()
    assert server.ask(b"get_file_listing\r\n") == OK + b"\r\n"


def test_a_file_truncated_while_it_is_sent_closes_the_connection(own_server: Server, own: Path) -> None:
    size = 64 * MIB
    for form in (b"", b" raw"):
        (own / "file").touch()
        os.truncate(own / "file", size)
        with own_server.connect() as client:
            client.send(b"get_slice file 0 %d%b\r\nget_metadata file\r\n" % (size, form))
            assert client.line() == OK
            os.truncate(own / "file", 10)
            got = client.rest()
        assert len(got) < size
        assert OK not in got
    wait_until(lambda: own_server.log().count('"reply aborted"') == 2, "both aborted replies are logged")


def test_a_symlink_that_replaces_a_file_is_never_followed(own_server: Server, own: Path) -> None:
    secret = own.parent / "outside"
    secret.write_bytes(b"SECRET")
    (own / "file").write_bytes(b"public")
    # A separate process swaps them as fast as it can: a thread would wait for the GIL.
    swap = f"""
import os
os.chdir({str(own)!r})
print(flush=True)
for number in range(300):
    os.symlink("../outside", ".new")
    os.replace(".new", "file")
    with open(".new", "wb") as new:
        new.write(b"public")
    os.replace(".new", "file")
"""
    statuses: set[bytes] = set()
    with subprocess.Popen(
        [sys.executable, "-c", swap], env=environment_without_coverage(), stdout=subprocess.PIPE
    ) as swapping:
        assert swapping.stdout is not None
        swapping.stdout.readline()
        with own_server.connect() as client:
            while swapping.poll() is None or not statuses:
                client.send(b"get_slice file 0 6 raw\r\n")
                status = client.line()
                statuses.add(status)
                if status == OK:
                    assert client.exactly(len(b"Content-Length: 6\r\n\r\npublic")) == b"Content-Length: 6\r\n\r\npublic"
    assert statuses <= {OK, NO_FILE}
    assert own_server.ask(b"get_metadata file\r\n") == OK + b"6\r\n"


def test_a_fifo_that_replaces_a_file_does_not_block(own_server: Server, own: Path) -> None:
    (own / "other").write_bytes(b"1")
    for _ in range(20):
        os.mkfifo(own / ".new")
        (own / ".new").replace(own / "file")
        assert own_server.ask(b"get_slice file 0 0\r\nget_metadata other\r\n") == NO_FILE + OK + b"1\r\n"
        (own / "file").unlink()


def test_a_large_directory_is_listed_completely(own_server: Server, own: Path) -> None:
    names = {f"file-{number:05}".encode() for number in range(1500)}
    for name in names:
        (own / name.decode()).touch()
    reply = own_server.ask(b"get_file_listing\r\n")
    listed = reply.removeprefix(OK).removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert len(listed) == len(names)
    assert set(listed) == names


def test_hidden_files_are_served_if_enabled(start: Start, fresh: Path, engine: str) -> None:
    (fresh / ".profile").write_bytes(b"abc")
    server = start(fresh, "--engine", engine, "--hidden")
    sent = b"get_file_listing\r\nget_metadata .profile\r\nget_metadata ..\r\nget_metadata .\r\n"
    assert server.ask(sent) == OK + b".profile\r\n\r\n" + OK + b"3\r\n" + NO_FILE * 2


def test_unservable_names_are_counted_in_one_warning(start: Start, directory: Path, engine: str) -> None:
    server = start(directory, "--engine", engine)
    server.ask(b"get_file_listing\r\n" * 3)
    (warning,) = [line for line in server.log().splitlines() if "WARNING" in line]
    assert "count=2" in warning
    assert 'example="my file.txt"' in warning


def test_large_slices_and_long_lines_take_little_memory(start: Start, fresh: Path, engine: str) -> None:
    size = 48 * MIB
    (fresh / "sparse").touch()
    os.truncate(fresh / "sparse", size)
    server = start(fresh, "--engine", engine, "--dialect", "2018", "--quiet")
    server.ask(b"get_slice sparse 0 1000000\r\n")
    before = server.peak_kib()
    with server.connect() as client:
        client.send(b"get_slice sparse 0 %d\r\n" % size)
        assert client.line() == OK
        assert client.skip(size) == size
        sending = threading.Thread(target=client.send, args=(b"get_metadata " + b"n" * (24 * MIB),))
        sending.start()
        assert client.rest() == b"101 BAD REQUEST\r\n"
        sending.join()
    assert server.peak_kib() - before < 8 * 1024
    assert server.peak_kib() < 60 * 1024


def test_slow_readers_take_little_memory(start: Start, fresh: Path, engine: str) -> None:
    size = 1024 * MIB
    (fresh / "sparse").touch()
    os.truncate(fresh / "sparse", size)
    server = start(fresh, "--engine", engine, "--quiet")
    before = server.peak_kib()
    clients = [server.connect() for _ in range(20)]
    try:
        for client in clients:
            client.send(b"get_slice sparse 0 %d\r\n" % size)
        for client in clients[: 1 if engine == "sequential" else 20]:
            assert client.exactly(100_000).startswith(OK)
        assert server.peak_kib() - before < 20 * 1024
    finally:
        for client in clients:
            client.socket.close()

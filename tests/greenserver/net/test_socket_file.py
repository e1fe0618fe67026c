"""A server removes the socket file that it created, and no other, whatever user it became."""

import contextlib
import fcntl
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenserver.net import socket_file
from greenserver.net.listening import close_listener, open_listener
from tests.greenserver.program import running
from tests.greenserver.serving import TIMEOUT_SECONDS, wait_until

NOT_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
FORMS = {
    "gevent": [],
    "threads": ["--engine", "threads"],
    "selectors": ["--engine", "selectors"],
    "sequential": ["--engine", "sequential"],
    "workers": ["--workers", "1"],
}


def ask(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT_SECONDS)
        client.connect(str(path))
        client.sendall(b"get_metadata one\r\nquit\r\n")
        with client.makefile("rb") as replies:
            return replies.read()


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a directory that every user can reach, and only root can write to."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        (Path(path) / "one").write_bytes(b"1")
        yield Path(path)


# --- Open ----------------------------------------------------------------------------------------


def test_does_not_wait_for_a_server_with_a_full_queue(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(0)
        with contextlib.suppress(BlockingIOError):
            for _ in range(10):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
                client.connect(str(path))
        with pytest.raises(OSError, match="Address already in use; stop the server that listens there"):
            open_listener(f"unix:{path}", 0)
        assert path.is_socket()


def test_exactly_one_of_several_concurrent_starts_listens(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listeners: list[socket.socket] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait(TIMEOUT_SECONDS)
        with contextlib.suppress(OSError):
            listeners.append(socket_file.open_socket(path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_SECONDS)
    (listener,) = listeners
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        accepted, _ = listener.accept()
        accepted.close()
    close_listener(listener)
    assert not path.exists()


def test_waits_for_a_locked_directory_up_to_a_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_file, "_LOCK_SECONDS", 0.05)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        close_listener(open_listener(f"unix:{tmp_path}/socket", 0))
    finally:
        os.close(descriptor)


@pytest.mark.once
@pytest.mark.parametrize("form", [[], ["--workers", "1"]], ids=["one process", "workers"])
def test_applies_the_umask_to_the_socket_file(form: list[str], directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with running(tmp_path / "server", "-a", f"unix:{path}", "-d", str(directory), "--umask", "027", *form):
        assert path.stat().st_mode & 0o777 == 0o750


# --- Remove --------------------------------------------------------------------------------------


def test_keeps_a_file_that_was_moved_or_created_by_others(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    first = open_listener(f"unix:{path}", 0)
    path.rename(tmp_path / "moved")
    second = open_listener(f"unix:{path}", 0)
    close_listener(first)
    assert path.is_socket()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    close_listener(second)
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(path))
        close_listener(foreign)
    assert path.is_socket()


@pytest.mark.once  # newer interpreters warn of a fork beside the threads of a test run
def test_child_process_does_not_remove_the_file(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listener = open_listener(f"unix:{path}", 0)
    child = os.fork()
    if not child:
        close_listener(listener)
        os._exit(0)
    os.waitpid(child, 0)
    assert path.is_socket()
    close_listener(listener)
    assert not path.exists()


@pytest.mark.once
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_draining_server_keeps_the_file_of_its_successor(form: list[str], directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    options = ("-a", f"unix:{path}", "-d", str(directory))
    with contextlib.ExitStack() as first:
        before = first.enter_context(running(tmp_path / "first", *options, *form))
        path.rename(tmp_path / "moved")
        with running(tmp_path / "second", *options, "--engine", "threads"):
            with socket.socket(socket.AF_UNIX) as busy:  # the first one drains until this client has its reply
                busy.settimeout(TIMEOUT_SECONDS)
                busy.connect(str(tmp_path / "moved"))
                busy.sendall(b"get_metadata one\r\n")
                assert busy.recv(1)
                before.process.send_signal(signal.SIGTERM)
                assert ask(path) == b"0 OK\r\n1\r\n0 OK\r\n"
            before.process.wait(TIMEOUT_SECONDS)
            assert ask(path) == b"0 OK\r\n1\r\n0 OK\r\n"
    assert not path.exists()


@pytest.mark.once
@NOT_ROOT
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_removes_the_file_after_a_change_of_user(form: list[str], public: Path, tmp_path: Path) -> None:
    path = public / "socket"
    options = ("-a", f"unix:{path}", "-d", str(public), "--user", "65534", "--umask", "000", *form)
    with running(tmp_path / "server", *options):
        assert ask(path) == b"0 OK\r\n1\r\n0 OK\r\n"
    assert not path.exists()


@pytest.mark.once
@NOT_ROOT
@pytest.mark.parametrize("how", ["closed", "killed", "successor"])
def test_removes_the_file_for_an_unprivileged_process(how: str, public: Path) -> None:
    path = public / "socket"
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            listener = open_listener(f"unix:{path}", 0)
            socket_file.keep_removable()
            os.setresuid(65534, 65534, 65534)
            if how == "closed":
                close_listener(listener)
            os.write(writer, b"!")
            signal.pause()
        os._exit(1)
    os.close(writer)
    assert os.read(reader, 1)
    os.close(reader)
    if how == "closed":
        assert not path.exists()
    if how == "successor":
        path.unlink()
        path.touch()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if how == "successor":
        assert path.exists()
    else:
        wait_until(lambda: not path.exists(), "the file is removed")

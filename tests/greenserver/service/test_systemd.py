"""A listener from systemd or by its descriptor is served; anything else is rejected in one line."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from greenserver.service import systemd
from greenserver.service.systemd import inherited_listener, notify
from tests.greenserver.serving import ROOT, TIMEOUT_SECONDS

pytestmark = [pytest.mark.once, pytest.mark.measured]

HANDED_OVER = {
    "by its number": 'exec "$0" -m greenserver -q --address fd://3 "$@"',
    "by systemd": 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" -m greenserver -q "$@"',
}


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]], ids=["one process", "workers"])
@pytest.mark.parametrize("how", HANDED_OVER)
def test_serves_an_inherited_listener_and_leaves_it_open(how: str, workers: list[str], directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            ["/bin/sh", "-c", HANDED_OVER[how], sys.executable, "--directory", str(directory), *workers],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=(3,) if listener.fileno() == 3 else (),
            preexec_fn=lambda: os.dup2(listener.fileno(), 3, inheritable=True) if listener.fileno() != 3 else None,  # noqa: PLW1509  (one thread)
            close_fds=False,
        )
        assert process.stdout is not None
        with process.stdout:
            assert f"listens on 127.0.0.1:{listener.getsockname()[1]} " in process.stdout.readline()
            with socket.create_connection(listener.getsockname(), TIMEOUT_SECONDS) as client:
                client.sendall(b"get_metadata one\r\n")
                assert client.recv(1)
        process.terminate()
        assert process.wait(TIMEOUT_SECONDS) == 0
        with socket.create_connection(listener.getsockname(), TIMEOUT_SECONDS) as client:
            client.sendall(b"the queue still takes clients, for the next one who serves")


def test_finds_no_listener_without_variables() -> None:
    assert inherited_listener("127.0.0.1", {}) is None
    assert inherited_listener("127.0.0.1", {"LISTEN_PID": "1", "LISTEN_FDS": "1"}) is None
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0", "LISTEN_FDNAMES": "x"}
    assert inherited_listener("127.0.0.1", environment) is None
    assert environment == {}


def test_rejects_more_than_one_socket() -> None:
    with pytest.raises(OSError, match="passed 2 sockets; use a single ListenStream="):
        inherited_listener("127.0.0.1", {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"})


@pytest.mark.parametrize("number", ["x", "", "-1", "\u0661"])
def test_rejects_an_invalid_number(number: str) -> None:
    with pytest.raises(OSError, match="is not fd://N"):
        inherited_listener(f"fd://{number}", {})


def test_rejects_a_socket_that_does_not_listen(tmp_path: Path) -> None:
    with socket.socket() as silent, pytest.raises(OSError, match="must be a listening stream socket"):
        inherited_listener(f"fd://{silent.fileno()}", {})
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams, pytest.raises(OSError, match="stream socket"):
        inherited_listener(f"fd://{datagrams.fileno()}", {})
    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError, match="must be an open socket"):
        inherited_listener(f"fd://{file.fileno()}", {})


def test_notifies_systemd_of_each_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notify("READY=1")  # nobody asked
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.settimeout(TIMEOUT_SECONDS)
        ear.bind(str(tmp_path / "ear"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "ear"))
        notify("READY=1")
        assert ear.recv(100) == b"READY=1"
    notify("READY=1")  # nobody listens any more


def test_times_out_on_a_manager_that_does_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "_NOTIFY_SECONDS", 0.05)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "ear"))
    with contextlib.ExitStack() as stack:
        ear = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        ear.bind(str(tmp_path / "ear"))
        full = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        full.connect(str(tmp_path / "ear"))
        full.setblocking(False)  # noqa: FBT003  (the standard library takes it by position)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100_000):
                full.send(b"x")
        notifying = threading.Thread(target=notify, args=("READY=1",), daemon=True)
        notifying.start()
        notifying.join(TIMEOUT_SECONDS)
        assert not notifying.is_alive()

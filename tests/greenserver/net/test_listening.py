"""Addresses become listeners or one clear error; clients are accepted until the shutdown event is set."""

import errno
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from greenserver.config import limits
from greenserver.io.wait import ShutdownEvent
from greenserver.net import listening
from greenserver.net.listening import (
    accept,
    accept_until,
    close_listener,
    describe_peer,
    is_client_gone,
    open_listener,
)
from greenserver.telemetry.throttle import ThrottledWarning
from tests.greenserver.program import PROGRAM, running


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "0.0.0.0", "127.1.2.3"])
def test_port_0_listens_on_a_free_port_and_accepts(address: str) -> None:
    with open_listener(address, 0) as listener:
        assert accept(listener) is None
        port = listener.getsockname()[1]
        host = listener.getsockname()[0].replace("0.0.0.0", "127.0.0.1")
        with socket.create_connection((host, port), 20) as client:
            accepted = accept(listener)
            assert accepted is not None
            with accepted[0]:
                assert accepted[1] == describe_peer(client.getsockname())


def test_accepts_an_ipv6_address_in_brackets() -> None:
    with open_listener("[::1]", 0) as listener:
        assert listener.getsockname()[0] == "::1"


def test_ipv6_wildcard_also_accepts_ipv4() -> None:
    with open_listener("::", 0) as listener:
        port = listener.getsockname()[1]
        for host in ("::1", "127.0.0.1"):
            with socket.create_connection((host, port), 20):
                accepted = accept(listener)
                assert accepted is not None
                with accepted[0]:
                    assert accepted[1].startswith("[")


def test_serves_a_unix_socket_and_removes_its_file(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listener = open_listener(f"unix:{path}", 0)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        accepted = accept(listener)
        assert accepted is not None
        with accepted[0]:
            assert accepted[1] == "unix"
    close_listener(listener)
    assert not path.exists()
    close_listener(listener)  # once more


def test_replaces_a_stale_socket_file(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listener = open_listener(f"unix:{path}", 0)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    path.unlink()
    close_listener(listener)  # although its file has gone


def test_keeps_a_unix_socket_that_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listener = open_listener(f"unix:{path}", 0)
    with pytest.raises(OSError, match=r"cannot listen on unix:.*: Address already in use"):
        open_listener(f"unix:{path}", 0)
    assert path.is_socket()
    close_listener(listener)


def test_does_not_replace_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(OSError, match="Address already in use"):
        open_listener(f"unix:{tmp_path}/file", 0)
    assert (tmp_path / "file").read_text() == "precious"


def test_reports_a_port_in_use() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(
            OSError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: Address already in use; stop the program"
        ):
            open_listener("127.0.0.1", port)


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("192.0.2.1", 0),
        ("a..b", 0),
        ("x" * 70, 0),
        ("127.0.0.1", 70000),
        ("unix:/nowhere/at/all", 0),
        ("unix:" + "x" * 200, 0),
    ],
)
def test_reports_an_invalid_address_in_one_line(address: str, port: int) -> None:
    with pytest.raises(OSError, match=r"^cannot listen on [^\n]+: [^\n]+$"):
        open_listener(address, port)


def test_formats_peer_addresses() -> None:
    assert describe_peer(("fe80::2", 5, 0, socket.if_nametoindex("lo"))) == "[fe80::2%lo]:5"
    assert describe_peer(("fe80::2", 5, 0, 2**31 - 1)) == "[fe80::2%2147483647]:5"
    assert describe_peer(("::1", 5, 0, 0)) == "[::1]:5"
    assert describe_peer("") == "unix"


IN_A_NETWORK_OF_ITS_OWN = (
    *("unshare", "--net", "sh", "-c"),
    'ip link set lo up && ip -6 address add fe80::1/64 dev lo nodad && exec "$@"',
    "sh",
)


@pytest.mark.once
def test_link_local_address_includes_its_interface(directory: Path, tmp_path: Path) -> None:
    done = subprocess.run([*IN_A_NETWORK_OF_ITS_OWN, "true"], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"no network namespace, or no program ip: {done.stderr}")
    options = ("-d", str(directory), "--address", "fe80::1%lo", "--admin", "[fe80::1%lo]:0")
    with running(tmp_path, *options, command=[*IN_A_NETWORK_OF_ITS_OWN, PROGRAM]) as server:
        (line,) = server.stdout.read_text().splitlines()
        assert f" listens on [fe80::1%lo]:{server.port} " in line
        assert line.endswith(f"nc fe80::1%lo {server.port}")
        assert "admin endpoint listening address=[fe80::1%lo]:" in server.log
        asking = (
            "import socket, sys; client = socket.create_connection(('fe80::1%lo', int(sys.argv[1])), 20);"
            r"client.sendall(b'get_metadata one\r\nquit\r\n'); print(client.makefile('rb').read())"
        )
        inside = ["nsenter", "--target", str(server.process.pid), "--net", sys.executable, "-c", asking]
        done = subprocess.run([*inside, str(server.port)], capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == repr(b"0 OK%1%0 OK%".replace(b"%", bytes((13, 10)))) + "\n", done.stderr
        assert "client=[fe80::1%lo]:" in server.log


class FailingListener:
    """A listener whose accept fails, so that no descriptor has to be used up."""

    def __init__(self, listener: socket.socket, *failures: int) -> None:
        self.fileno = listener.fileno
        self._listener = listener
        self._failures = list(failures)

    def accept(self) -> tuple[socket.socket, object]:
        if self._failures:
            number = self._failures.pop(0)
            raise OSError(number, errno.errorcode[number])
        return self._listener.accept()


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EAGAIN, errno.EPROTO])
def test_ignores_a_client_that_aborted_before_accept(number: int) -> None:
    with open_listener("127.0.0.1", 0) as listener:
        assert accept(FailingListener(listener, number)) is None  # type: ignore[arg-type]
    assert is_client_gone(OSError(number, ""))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
def test_logs_a_lack_of_descriptors_once_and_recovers(
    stop: ShutdownEvent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    monkeypatch.setattr(limits, "ACCEPT_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(listening, "_failing", ThrottledWarning("accept failed; retrying", "there was none"))
    with open_listener("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname(), 20):
        failing = FailingListener(listener, number, errno.ECONNABORTED)
        clients = accept_until(stop, failing, lambda: False)  # type: ignore[arg-type]
        with next(clients)[0]:
            stop.set()
        assert list(clients) == []
    assert [record.message for record in caplog.records] == ["accept failed; retrying"]


def test_accepts_nobody_after_shutdown(stop: ShutdownEvent) -> None:
    stop.set()
    with open_listener("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname(), 20):
        assert list(accept_until(stop, listener, lambda: False)) == []


def test_accepts_queued_clients_after_a_stop(stop: ShutdownEvent) -> None:
    stop.set()
    looks = iter([True, True, False])
    with open_listener("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname(), 20):
        ((accepted, _),) = accept_until(stop, listener, lambda: next(looks))
        accepted.close()


def test_keeps_accepting_after_an_idle_period(stop: ShutdownEvent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "IDLE_SECONDS", 0.01)
    polls = []

    class Counting(FailingListener):
        def __init__(self, listener: socket.socket) -> None:
            super().__init__(listener)
            self.fileno = self._count

        def _count(self) -> int:
            polls.append(1)
            if len(polls) > 6:
                stop.set()
            return self._listener.fileno()

    with open_listener("127.0.0.1", 0) as listener:
        assert list(accept_until(stop, Counting(listener), lambda: False)) == []  # type: ignore[arg-type]
    assert len(polls) > 6

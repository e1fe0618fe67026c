"""Listening sockets and their processes are inspected without connecting."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from conformance.client.address import Address
from conformance.client.network_namespace import OpenSocket
from conformance.target import process_tree, sockets
from conformance.target.process_tree import ProcessTree
from conformance.target.sockets import can_bind, free_port, is_local, is_open, listeners, tcp_listeners

pytestmark = pytest.mark.once

DEADLINE_SECONDS = 20.0
SPINNING_SECONDS = 0.3  # of 0.5, which the system counts in ticks of 0.01, rounded down for each process
DAEMON_LISTENS = """
import os, socket, sys, threading, time
def start():  # the children of all threads count
    if os.fork() == 0:
        if os.fork() == 0:
            listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=7)
            end = time.process_time() + 0.5
            while time.process_time() < end:
                pass
            time.sleep(600)
        time.sleep(600)
threading.Thread(target=start).start()
time.sleep(600)
"""


@pytest.fixture(params=["netlink", "/proc"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where sockets are read from: netlink, or /proc where that is refused."""
    if request.param == "/proc":

        def refuse(_request: bytes, _open_socket: OpenSocket) -> Iterator[bytes]:
            raise PermissionError

        monkeypatch.setattr(sockets, "_dump", refuse)
    return str(request.param)


def listen(stack: ExitStack, host: str, backlog: int = 5) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    is_dual = host.startswith("::ffff:")  # as Java binds
    listener = stack.enter_context(
        socket.create_server((host, 0), family=family, backlog=backlog, dualstack_ipv6=is_dual)
    )
    return int(listener.getsockname()[1])


def end(root: subprocess.Popen[bytes]) -> None:
    """End a process and all below it."""
    root.send_signal(signal.SIGSTOP)  # it starts nothing more
    for process in [root.pid, *ProcessTree(root.pid).processes()]:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    root.wait()


def eventually(happens: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not happens() and time.monotonic() < deadline:
        time.sleep(0.02)
    return happens()


@pytest.mark.parametrize(
    ("host", "shown", "reached", "missed"),
    [
        ("127.0.0.1", "127.0.0.1", ["127.0.0.1", "localhost"], ["::1", "127.0.0.2"]),
        ("0.0.0.0", "0.0.0.0", ["127.0.0.1", "127.0.0.2", "localhost"], ["::1"]),
        ("::1", "::1", ["::1"], ["127.0.0.1"]),
        ("::ffff:127.0.0.1", "127.0.0.1", ["127.0.0.1", "localhost"], ["::1"]),
    ],
)
def test_listener_accepts_connections_to_its_host(
    source: str, host: str, shown: str, reached: list[str], missed: list[str]
) -> None:
    with ExitStack() as stack:
        port = listen(stack, host)
        (found,) = tcp_listeners(port)
        assert (found.host, found.port, found.queue_length) == (shown, port, 0)
        assert found.backlog == (5 if source == "netlink" else None)
        assert [host for host in [*reached, *missed] if listeners(Address(host, port))] == reached


@pytest.mark.parametrize(("only_v6", "reached"), [(0, ["127.0.0.1", "::1"]), (1, ["::1"])])
def test_ipv6_wildcard_accepts_ipv4_unless_v6only(only_v6: int, reached: list[str]) -> None:
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6)
        listener.bind(("::", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert [host for host in ("127.0.0.1", "::1") if listeners(Address(host, port))] == reached


@pytest.mark.parametrize(
    ("host", "is_seen"), [("127.0.0.1", True), ("0.0.0.0", True), ("::1", True), ("::ffff:127.0.0.1", False)]
)
def test_one_request_tells_whether_a_socket_still_listens(source: str, host: str, is_seen: bool) -> None:
    with ExitStack() as stack:
        port = listen(stack, host)
        (found,) = tcp_listeners(port)
        assert is_open(found) == (is_seen and source == "netlink")
    with socket.create_server(("127.0.0.1", port)):
        assert not is_open(found)  # another one at the same port


@pytest.mark.usefixtures("source")
def test_counts_the_accept_queue() -> None:
    with ExitStack() as stack:
        address = Address("127.0.0.1", listen(stack, "127.0.0.1"))
        for expected in range(1, 4):
            stack.enter_context(socket.create_connection((address.host, address.port)))
            (found,) = listeners(address)
            assert found.queue_length == expected


def test_finds_a_unix_socket_by_absolute_and_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind("so cket")
        listener.listen(7)
        client.connect("so cket")
        (found,) = listeners(Address(path=str(tmp_path / "so cket")))
        assert (found.path, found.backlog, found.queue_length) == ("so cket", 7, 1)
        assert not listeners(Address(path=str(tmp_path / "other")))


def test_finds_a_unix_socket_without_netlink(source: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "so cket"))
        assert not listeners(Address(path=str(tmp_path / "so cket")))
        listener.listen(7)
        (found,) = listeners(Address(path=str(tmp_path / "so cket")))
        assert found.backlog == (7 if source == "netlink" else None)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("192.0.2.1", False), ("name.invalid", False)],
)
def test_address_is_local_if_it_can_be_bound(host: str, expected: bool) -> None:
    assert is_local(Address(host, 80)) == expected


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::", "127.0.0.2"])
def test_port_in_use_on_any_host_is_not_free(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        taken = listen(stack, host)
        ports = iter([taken, free_port()])
        monkeypatch.setattr(secrets, "choice", lambda _ports: next(ports))
        assert free_port() != taken


def test_port_in_time_wait_needs_reuseaddr() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.accept()
            accepted.shutdown(socket.SHUT_WR)  # the side that closes first keeps the port
            assert client.recv(1) == b""
            client.close()
            assert accepted.recv(1) == b""
            accepted.close()
    assert not can_bind(port, frozenset({"127.0.0.1"}))
    socket.create_server(("127.0.0.1", port)).close()  # which sets SO_REUSEADDR


@pytest.mark.parametrize("has_children_files", [True, False])
def test_finds_descendants_with_their_sockets_and_time(
    has_children_files: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_tree, "_has_children_files", lambda: has_children_files)
    address = Address("127.0.0.1", free_port())
    # The shell is the root, which does not count itself.
    command = ["sh", "-c", '"$@" & wait', "sh", sys.executable, "-c", DAEMON_LISTENS, str(address.port)]
    root = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    tree = ProcessTree(root.pid)
    try:
        assert eventually(lambda: bool(tree.listeners(address)))
        (owned,) = tree.listeners(address)
        assert owned.is_owner_known
        assert owned.is_open
        assert owned.listener.backlog == 7
        assert len(tree.processes()) == 3
        assert not tree.other_listeners(address)
        assert [other.port for other in tree.other_listeners(Address("127.0.0.1", 1))] == [address.port]
        assert eventually(lambda: (tree.cpu_seconds() or 0) > SPINNING_SECONDS)
    finally:
        end(root)
    assert eventually(lambda: not owned.is_open)


def name_of(process: int) -> str:
    """Return the name of a process; empty if it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{process}/comm").read_text(encoding="utf-8").strip()
    return ""


def test_counts_the_time_of_ended_children() -> None:
    spin = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    root = subprocess.Popen(["sh", "-c", '"$@"; sleep 600', "sh", sys.executable, "-c", spin])
    tree = ProcessTree(root.pid)
    try:
        assert eventually(lambda: (tree.cpu_seconds() or 0) > SPINNING_SECONDS)
        assert eventually(lambda: [name_of(process) for process in tree.processes()] == ["sleep"])
        assert (tree.cpu_seconds() or 0) > SPINNING_SECONDS
    finally:
        end(root)


def test_new_listener_counts_as_the_servers_if_descriptors_are_unreadable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ExitStack() as stack:
        port = listen(stack, "127.0.0.1")
        address = Address("127.0.0.1", port)
        root = subprocess.Popen(["sh", "-c", "sleep 600 & wait"])
        tree = ProcessTree(root.pid)
        try:
            assert eventually(lambda: bool(tree.processes()))
            assert not tree.listeners(address)
            monkeypatch.setattr(process_tree, "descriptors_of", lambda _process: None)
            (found,) = tree.listeners(address)
            assert not found.is_owner_known
            assert not found.is_open
            assert not tree.listeners(address, frozenset({found.listener.inode}))
            assert not tree.other_listeners(Address("127.0.0.1", 1))
        finally:
            end(root)


def test_ended_process_has_no_sockets() -> None:
    root = subprocess.Popen(["true"])
    root.wait()
    tree = ProcessTree(root.pid)
    assert (tree.processes(), tree.cpu_seconds()) == ([], None)


def test_describes_the_owner_of_a_socket() -> None:
    with ExitStack() as stack:
        (found,) = tcp_listeners(listen(stack, "127.0.0.1"))
        assert process_tree.owner_of(found).endswith(f"process {os.getpid()}")
    assert process_tree.owner_of(found) == ""

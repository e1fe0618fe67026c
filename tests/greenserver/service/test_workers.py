"""Several processes serve as one: crashed workers are replaced, old ones drain, and signals mean the same."""

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.cycles.__main__ import state_of
from tests.greenserver.conftest import LARGE, Start
from tests.greenserver.serving import TIMEOUT_SECONDS, Client, Server, run_script, wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]

SIZE_OF_ONE = b"0 OK\r\n1\r\n"

SIGNAL_BEFORE_READY = """
import os, signal, socket, sys

from greenserver.config.settings import Settings
from greenserver.service.worker_watchdog import fork
from greenserver.service.worker import Worker

with socket.create_server(("127.0.0.1", 0)) as listener:
    parent = os.getpid()
    child, pipe = fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os.kill(os.getpid(), signal.SIGTERM)
    print("held", flush=True)
    signal.alarm(30)  # a worker that does not obey is ended by it
    worker = Worker(Settings(directory=sys.argv[1]), listener, None, supervisor=parent, beats=pipe)
    try:
        worker.run()
    finally:
        print("ended", flush=True)
"""


def workers_of(server: Server) -> list[int]:
    """Return the processes that serve, oldest first, without those that have ended."""
    path = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return sorted(int(child) for child in path.read_text(encoding="ascii").split())


def wait_for_workers(server: Server, count: int, *, other_than: list[int] | None = None) -> list[int]:
    """Wait until so many serve, none of them of a list."""
    unwanted = set(other_than or ())
    wait_until(
        lambda: (
            len(workers_of(server)) == count
            and not unwanted & set(workers_of(server))
            and all(state_of(worker) in "SR" for worker in workers_of(server))
        ),
        f"{count} workers",
    )
    server.ask(b"quit\r\n")
    return workers_of(server)


@pytest.fixture(params=["gevent"])
def served(request: pytest.FixtureRequest, start: Start, directory: Path) -> Server:
    """Return a server with two workers."""
    server: Server = start(directory, "--workers", "2", "--engine", request.param)
    wait_for_workers(server, 2)
    return server


def test_every_engine_serves_in_workers(start: Start, directory: Path, engine: str) -> None:
    server = start(directory, "--workers", "2", "--engine", engine)
    for _ in range(4):
        assert server.ask(b"get_metadata one\r\nquit\r\n") == SIZE_OF_ONE + b"0 OK\r\n"
    assert server.stop() == 0
    assert "Traceback" not in server.log()


def test_replaces_a_killed_worker_without_a_zombie(served: Server) -> None:
    for _ in range(3):
        victim = workers_of(served)[0]
        os.kill(victim, signal.SIGKILL)
        wait_for_workers(served, 2, other_than=[victim])
        assert served.ask(b"get_metadata one\r\n") == SIZE_OF_ONE
    assert "signal=SIGKILL" in served.log()


def test_signals_add_and_remove_workers(served: Server) -> None:
    served.process.send_signal(signal.SIGTTIN)
    three = wait_for_workers(served, 3)
    served.process.send_signal(signal.SIGTTOU)
    assert set(wait_for_workers(served, 2)) < set(three)
    served.process.send_signal(signal.SIGTTOU)
    wait_for_workers(served, 1)
    served.process.send_signal(signal.SIGTTOU)  # one stays
    for ignored in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
        served.process.send_signal(ignored)
    time.sleep(0.2)
    wait_for_workers(served, 1)


def test_replaces_a_worker_that_gets_sigterm(served: Server) -> None:
    first = workers_of(served)[0]
    os.kill(first, signal.SIGTERM)
    wait_for_workers(served, 2, other_than=[first])


def test_stop_finishes_replies_and_closes_idle_connections(served: Server) -> None:
    request = b"get_slice large.bin 0 %d raw\r\n" % len(LARGE)
    with served.connect() as busy, served.connect() as idle:
        busy.send(request * 20)  # more than the buffers between hold
        assert busy.exactly(100)
        idle.send(b"get_metadata one\r\n")
        assert idle.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE
        served.process.send_signal(signal.SIGTERM)
        assert idle.rest() == b""
        head = b"0 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE)
        rest = busy.rest()
        assert (len(rest) + 100) % (len(head) + len(LARGE)) == 0, "whole replies only"
        assert rest.endswith(LARGE[-1000:])
    assert served.process.wait(TIMEOUT_SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_sigterm_ends_all_processes_at_once(served: Server, number: int) -> None:
    workers = workers_of(served)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(served.connect())
            client.send(b"get_slice large.bin 0 %d raw\r\n" % len(LARGE) * 50)  # never read: a reply under way
            assert client.exactly(10)
        served.process.send_signal(number)
        time.sleep(0.5)
        assert served.process.poll() is None
        served.process.send_signal(number)
        assert served.process.wait(TIMEOUT_SECONDS) == -number
    wait_until(lambda: all(state_of(worker) == "X" for worker in workers), "no worker is left")


def test_workers_end_with_a_killed_supervisor_and_free_the_address(start: Start, tmp_path: Path, engine: str) -> None:
    served = tmp_path / "served"
    served.mkdir()
    with (served / "big").open("wb") as file:
        file.truncate(1 << 30)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        admin = f"127.0.0.1:{listener.getsockname()[1]}"
    server = start(served, "--workers", "2", "--engine", engine, "--admin", admin)
    workers = wait_for_workers(server, 3)
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(server.connect())
            client.send(b"get_slice big 0 %d raw\r\n" % (1 << 30))  # never read: a reply in progress
            assert client.exactly(10)
        server.process.kill()
        server.process.wait()
        for port in (server.port, int(admin.rpartition(":")[2])):
            wait_until(lambda port=port: is_free(port), "all end to listen, long before their clients are gone")  # type: ignore[misc]
        successor = start(served, "--workers", "1", "--port", str(server.port), "--admin", admin)
        assert successor.ask(b"get_metadata big\r\n") == b"0 OK\r\n%d\r\n" % (1 << 30)
    wait_until(lambda: all(state_of(worker) in "XZ" for worker in workers), "no worker is left")
    assert server.log().count("supervisor is gone") == 2


def is_free(port: int) -> bool:
    """Return whether a server could listen on a port."""
    with socket.socket() as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind(("127.0.0.1", port))
            trying.listen()
        except OSError:
            return False
        return True


def test_signal_during_startup_stops_the_server(start: Start, directory: Path) -> None:
    assert start(directory, "--workers", "2").stop() == 0


def test_worker_handles_a_signal_that_arrived_before_it_was_ready(directory: Path) -> None:
    ended = run_script(SIGNAL_BEFORE_READY, str(directory))
    assert (ended.returncode, ended.stdout) == (0, "held\nended\n"), ended.stderr


def test_ctrl_c_in_a_terminal_drains_the_whole_group(start: Start, directory: Path) -> None:
    server = start(directory, "--workers", "2", prepare=os.setsid)
    wait_for_workers(server, 2)
    with server.connect() as client:
        client.send(b"get_metadata one\r\n")
        assert client.exactly(len(SIZE_OF_ONE)) == SIZE_OF_ONE
        os.killpg(server.process.pid, signal.SIGINT)
        assert client.rest() == b""
    assert server.process.wait(TIMEOUT_SECONDS) == 0
    assert "was sent SIGINT" not in server.log(), "a worker leaves it to the supervisor"


def test_reload_replaces_all_workers(start: Start, directory: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'directory = "{directory}"\nworkers = 2\n')
    server = start(directory, "-c", str(config), is_directory_option=False)
    old = wait_for_workers(server, 2)
    config.write_text(f'directory = "{directory}"\nworkers = 3\nhidden = true\n')
    server.process.send_signal(signal.SIGHUP)
    new = wait_for_workers(server, 3, other_than=old)
    assert server.ask(b"get_metadata .hidden\r\n") == b"0 OK\r\n6\r\n"
    for bad, message in (
        ("prot = 1\n", "unknown key 'prot'"),
        ('directory = "/nowhere/at/all"\n', "cannot serve /nowhere/at/all"),
        ('tls-cert = "/no/cert"\ntls-key = "/no/key"\n', "cannot read /no/cert"),
    ):
        config.write_text(bad)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda message=message: message in server.log(), message)  # type: ignore[misc]  # a default of the loop's
        wait_until(lambda: workers_of(server) == new, "those that serve stay")
    config.write_text(f'directory = "{directory}"\nengine = "threads"\n')
    server.process.send_signal(signal.SIGHUP)
    wait_for_workers(server, 3, other_than=new)
    wait_until(lambda: 'options="engine workers"' in server.log(), "what needs a restart is named")
    assert server.stop() == 0


def test_supervisor_leaks_no_descriptors(served: Server) -> None:
    before = served.counts()["descriptors"]
    for _ in range(3):
        old = workers_of(served)
        served.process.send_signal(signal.SIGHUP)
        wait_for_workers(served, 2, other_than=old)
    wait_until(lambda: served.counts()["descriptors"] <= before, "the supervisor gives back what it held")


def test_unix_socket_survives_a_reload_and_is_removed_at_the_end(start: Start, directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = start(directory, "--workers", "2", "--address", f"unix:{path}")

    def ask() -> bytes:
        unix = socket.socket(socket.AF_UNIX)
        unix.settimeout(TIMEOUT_SECONDS)
        unix.connect(str(path))
        with Client(unix) as client:
            client.send(b"get_metadata one\r\nquit\r\n")
            return client.rest()

    assert ask() == SIZE_OF_ONE + b"0 OK\r\n"
    old = workers_of(server)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(workers_of(server)) == 2 and not set(old) & set(workers_of(server)), "new workers")
    assert ask() == SIZE_OF_ONE + b"0 OK\r\n"
    assert server.stop() == 0
    assert not path.exists()


@pytest.fixture
def nobody() -> tuple[str, int]:
    """Return a user that this test may become: nobody for root, else oneself."""
    import pwd  # noqa: PLC0415  (only here)

    entry = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return entry.pw_name, entry.pw_uid


def test_only_workers_become_another_user(start: Start, directory: Path, nobody: tuple[str, int]) -> None:
    for parent in directory.parents:
        if os.access(parent, os.W_OK) and parent.stat().st_uid == os.geteuid() and "pytest" in parent.name:
            parent.chmod(0o755)
    server = start(directory, "--workers", "2", "--user", nobody[0], "--umask", "077")
    assert server.ask(b"get_metadata one\r\n") == SIZE_OF_ONE
    wait_until(
        lambda: {Path(f"/proc/{worker}").stat().st_uid for worker in workers_of(server)} == {nobody[1]}, "another user"
    )
    assert Path(f"/proc/{server.process.pid}").stat().st_uid == os.geteuid()
    assert server.stop() == 0

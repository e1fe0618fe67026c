"""A managed server is started, restarted, and ended with all of its processes."""

import gc
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from conformance.client.address import Address, AddressError, dial, parse_address
from conformance.target import remains
from conformance.target.listener_watch import ListenerWatch
from conformance.target.managed_server import Launch, ManagedServer, Process, ServerStartError, Start, launch
from conformance.target.sockets import free_port
from tests import INTERPRETER

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[3]
SERVER = f"{INTERPRETER} -m tests.conformance.correct_server -p {{port}} -d {{dir}}"
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[2], "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
import socket
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""
KILLER = """
import ctypes, signal
while not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
time.sleep(0.1)
ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)  # PR_SET_PDEATHSIG
os.kill(os.getppid(), signal.SIGKILL)
"""
DEAF_TO_THE_END = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = listener.accept()
    print("accepted", flush=True)
    while True:  # one client after the other, each until it sends quit
        line = client.recv(100)
        if line:
            client.sendall(b"0 OK\\r\\n")
        if line == b"quit\\r\\n":
            break
        time.sleep(0.01)
    client.close()
"""
LISTENS = """
import socket, sys, time
time.sleep(float(sys.argv[2]))
listener = socket.socket()
listener.bind((sys.argv[3], int(sys.argv[1])))  # without SO_REUSEADDR
listener.listen(5)
time.sleep(600)
"""
STOPS_LISTENING = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    listener.accept()[0].recv(1)
time.sleep(600)
"""
OUTRUN = """
import os, socket, sys, time
port, tries = int(sys.argv[1]), int(sys.argv[2])
with open("starts", "a+") as starts:
    starts.write(f"{port}\\n")
    starts.seek(0)
    count = len(starts.readlines())
if count <= tries:  # another program was faster
    print("OSError: [Errno 98] Address already in use")
    sys.exit(1)
listener = socket.create_server(("127.0.0.1", port))
time.sleep(600)
"""
TIMEOUT_SECONDS = 20.0


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(process: int) -> bool:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(process)


def read_number(path: Path) -> int:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (path.exists() and path.read_text(encoding="ascii")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(path.read_text(encoding="ascii"))


def test_server_is_ready_on_entry_and_can_be_restarted(tmp_path: Path) -> None:
    with ManagedServer(None, Start(SERVER, str(ROOT)), directory=tmp_path) as target:
        target.dial(5.0).close()
        assert target.is_running
        target.restart()
        target.dial(5.0).close()
        assert target.starts == 2
    assert not target.is_running


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[..., Start]:
    """Return how a script is started: it gets the port, and then other words."""

    def start(script: str, *words: str, timeout_scale: float = 1.0, launch: Launch = launch) -> Start:
        file = tmp_path / "server.py"
        file.write_text(script, encoding="ascii")
        return Start(" ".join([INTERPRETER, str(file), "{port}", *words]), "", timeout_scale, launch)

    return start


def ask(target: ManagedServer) -> bytes:
    with target.dial(5.0) as sock:
        sock.sendall(b"help\r\n")
        return sock.recv(100)


def test_opens_no_connection_of_its_own(tmp_path: Path, scripted: Callable[..., Start]) -> None:
    with ManagedServer(None, scripted(DEAF_TO_THE_END), directory=tmp_path) as target:
        assert target.is_listening
        assert target.queue_length() == 0
        time.sleep(0.1)
        assert target.output() == ""
        assert ask(target) == b"0 OK\r\n"
        target.restart()
        assert ask(target) == b"0 OK\r\n"
        assert target.output() == "accepted\n" * 2


def test_first_connection_waits_if_sockets_are_not_visible(
    tmp_path: Path, scripted: Callable[..., Start], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conformance.target.listener_watch.is_supported", lambda: False)
    late = "import time\ntime.sleep(1.5)" + DEAF_TO_THE_END
    with ManagedServer(None, scripted(late), directory=tmp_path) as target:
        assert target.is_listening  # as far as is known
        with pytest.raises(ConnectionRefusedError):
            dial(target.address, 1.0)
        assert (target.backlog, target.queue_length(), target.cpu_seconds()) == (None, None, None)
        assert ask(target) == b"0 OK\r\n"
        assert target.output() == "accepted\n"


def test_does_not_wait_for_a_server_that_has_exited(
    tmp_path: Path, scripted: Callable[..., Start], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conformance.target.listener_watch.is_supported", lambda: False)
    with ManagedServer(None, scripted("import time\ntime.sleep(1.5)"), directory=tmp_path) as target:
        started = time.monotonic()
        with pytest.raises(ConnectionRefusedError):
            target.dial(1.0)
        assert time.monotonic() - started < TIMEOUT_SECONDS / 2
        assert not target.is_listening


def test_accepts_a_server_that_another_process_runs(tmp_path: Path, scripted: Callable[..., Start]) -> None:
    address = Address("127.0.0.1", free_port())
    elsewhere = scripted(LISTENS, "0", "127.0.0.1").command.replace("{port}", str(address.port))

    def launch_elsewhere(words: Sequence[str], cwd: str, suite: int, output: int) -> Process:
        guard = launch(words, cwd, suite, output)
        process = stack.enter_context(subprocess.Popen(shlex.split(elsewhere)))
        stack.callback(process.kill)
        return guard

    start = Start("sleep 600", launch=launch_elsewhere)
    with ExitStack() as stack, ManagedServer(address, start, directory=tmp_path) as target:
        assert target.is_listening
        assert target.backlog is None
        target.dial(1.0).close()


def test_chooses_another_port_if_another_program_has_taken_it_meanwhile(tmp_path: Path) -> None:
    start = Start(f"{INTERPRETER} -c {shlex.quote(OUTRUN)} {{port}} 2", cwd=str(tmp_path))
    with ManagedServer(None, start, directory=tmp_path) as server:
        ports = (tmp_path / "starts").read_text().split()
        assert ports[-1] == str(server.address.port)
        assert len(set(ports)) == len(ports) == 3
        server.dial(TIMEOUT_SECONDS).close()


def test_gives_up_if_every_port_seems_to_be_taken(tmp_path: Path) -> None:
    start = Start(f"{INTERPRETER} -c {shlex.quote(OUTRUN)} {{port}} 1000", cwd=str(tmp_path))
    with (
        pytest.raises(ServerStartError, match="Address already in use"),
        ManagedServer(None, start, directory=tmp_path),
    ):
        pass
    assert len((tmp_path / "starts").read_text().split()) == 5


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_rejects_a_port_in_use_before_the_start(tmp_path: Path, host: str) -> None:
    with socket.create_server((host, 0), reuse_port=True) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
        start = Start(f"touch {tmp_path}/started", timeout_scale=0.1)
        taken = rf"{address} is in use by .*process {os.getpid()}: stop it, or choose another port"
        with pytest.raises(ServerStartError, match=taken), ManagedServer(address, start, directory=tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


def test_ignores_an_older_process_that_starts_to_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.target.managed_server.START_SECONDS", 4.0)
    address = Address("127.0.0.1", free_port())
    late = threading.Timer(0.3, lambda: stack.enter_context(socket.create_server(("127.0.0.1", address.port))))
    time.sleep(0.02)  # the kernel counts in hundredths of a second
    where = rf"does not listen on {address}, where .*process {os.getpid()} listens; it printed nothing"
    with ExitStack() as stack:
        late.start()
        with (
            pytest.raises(ServerStartError, match=where),
            ManagedServer(address, Start("sleep 60"), directory=tmp_path),
        ):
            pass
        late.join()


@pytest.fixture
def long_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers have more time to start than a test may take."""
    monkeypatch.setattr("conformance.target.managed_server.START_SECONDS", 100 * TIMEOUT_SECONDS)


@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.usefixtures("long_start")
def test_reports_a_server_that_ignores_its_port(tmp_path: Path, scripted: Callable[..., Start]) -> None:
    command = scripted(LISTENS).command.replace("{port}", f"{free_port()} 0 127.0.0.1 {{port}}")
    start = Start(command, timeout_scale=0.1)
    expected = r"does not listen on 127.0.0.1:\d+; it listens on 127.0.0.1:\d+ instead: does it ignore \{port\}\?"
    with pytest.raises(ServerStartError, match=expected), ManagedServer(None, start, directory=tmp_path):
        pass


@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.usefixtures("long_start")
def test_reports_a_server_on_another_host(tmp_path: Path, scripted: Callable[..., Start]) -> None:
    address = Address("127.0.0.1", free_port())
    start = scripted(LISTENS, "0", "127.0.0.2", timeout_scale=0.1)
    expected = rf"it listens on 127.0.0.2:{address.port} instead: give 127.0.0.2:{address.port} as the address"
    with pytest.raises(ServerStartError, match=expected), ManagedServer(address, start, directory=tmp_path):
        pass


def test_reports_the_output_of_a_server_that_never_listens(tmp_path: Path, scripted: Callable[..., Start]) -> None:
    start = scripted("import time\nprint('listening soon', flush=True)\ntime.sleep(600)", timeout_scale=0.1)
    complaint = r"does not listen on 127.0.0.1:\d+; it printed: listening soon"
    with pytest.raises(ServerStartError, match=complaint), ManagedServer(None, start, directory=tmp_path):
        pass


def test_shows_backlog_and_accept_queue(tmp_path: Path, scripted: Callable[..., Start]) -> None:
    start = scripted(LISTENS, "0", "127.0.0.1")
    with ExitStack() as stack, ManagedServer(None, start, directory=tmp_path) as target:
        assert (target.backlog, target.queue_length()) == (5, 0)
        for _ in range(3):
            stack.enter_context(target.dial(1.0))
        assert (target.backlog, target.queue_length()) == (5, 3)
        there = ManagedServer(target.address, directory=tmp_path)  # a server that runs already
        assert (there.backlog, there.queue_length(), there.cpu_seconds()) == (5, 3, None)
        assert there.is_listening
    assert not there.is_listening


def test_detects_a_server_that_stops_listening(tmp_path: Path, scripted: Callable[..., Start]) -> None:
    with ManagedServer(None, scripted(STOPS_LISTENING), directory=tmp_path) as target:
        assert target.queue_length() == 0
        target.dial(1.0).close()
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while target.is_listening:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert target.is_running
        assert target.queue_length() is None


def test_finds_the_processes_of_a_server_that_runs_already(tmp_path: Path) -> None:
    with ManagedServer(None, Start(SERVER, str(ROOT)), directory=tmp_path) as target:
        processes = ListenerWatch(target.address).processes()
        assert processes
        for process in processes:
            assert "correct_server" in Path(f"/proc/{process}/cmdline").read_text(encoding="ascii")
    assert ListenerWatch(target.address).processes() == []


def test_shows_processor_time_without_traffic(tmp_path: Path, scripted: Callable[..., Start]) -> None:
    spins = DEAF_TO_THE_END.replace("time.sleep(0.01)", "pass")
    with ManagedServer(None, scripted(spins), directory=tmp_path) as target:
        ask(target)
        before = target.cpu_seconds()
        assert before is not None
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while (target.cpu_seconds() or 0) < before + 0.2:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("address", "proxy", "expected"),
    [
        (Address("localhost", 80), "", True),
        (Address("192.0.2.1", 80), "", False),
        (Address("127.0.0.1", 80), "socks5h://127.0.0.1:9050", False),
        (Address(path="/run/server"), "", True),
    ],
)
def test_address_behind_a_proxy_is_not_local(tmp_path: Path, address: Address, proxy: str, expected: bool) -> None:
    target = ManagedServer(address, directory=tmp_path, proxy=proxy)
    assert target.is_local == expected
    assert target.is_listening == (not expected or target.backlog is None)


class PortHolder:
    """Takes a port before a server of a given number starts, and gives it back after a while."""

    def __init__(self, port: int, number: int) -> None:
        self.port = port
        self.number = number
        self.starts = 0

    def launch(self, words: Sequence[str], cwd: str, suite: int, output: int) -> Process:
        self.starts += 1
        if self.starts == self.number:
            holder = socket.socket()
            holder.bind(("127.0.0.1", self.port))  # as a socket in TIME_WAIT has it: it does not listen
            threading.Timer(1.0, holder.close).start()
        return launch(words, cwd, suite, output)


def test_restart_waits_for_a_fixed_port(tmp_path: Path, scripted: Callable[..., Start]) -> None:
    address = Address("127.0.0.1", free_port())
    holder = PortHolder(address.port, 2)
    start = scripted(LISTENS, "0", "127.0.0.1", launch=holder.launch)
    with ManagedServer(address, start, directory=tmp_path) as target:
        target.restart()
        assert target.is_listening
        assert target.starts == 3


def test_first_start_does_not_wait_for_its_port(tmp_path: Path, scripted: Callable[..., Start]) -> None:
    address = Address("127.0.0.1", free_port())
    holder = PortHolder(address.port, 1)
    start = scripted(LISTENS, "0", "127.0.0.1", launch=holder.launch)
    complaint = f"{address} is taken, although nothing listens there: .*SO_REUSEADDR.*Address already in use"
    with pytest.raises(ServerStartError, match=complaint), ManagedServer(address, start, directory=tmp_path):
        pass
    assert holder.starts == 1


def test_chosen_port_is_outside_the_ephemeral_range(tmp_path: Path) -> None:
    first_given = 32_768  # Linux's; other systems begin higher
    with ManagedServer(None, Start(SERVER, str(ROOT)), directory=tmp_path) as target:
        assert 1024 <= target.address.port < first_given


def test_ends_daemons_in_other_process_groups(tmp_path: Path) -> None:
    script, number = tmp_path / "daemon.py", tmp_path / "number"
    script.write_text(DAEMON, encoding="ascii")
    with ManagedServer(None, Start(f"{INTERPRETER} {script} {{port}} {number}"), directory=tmp_path):
        daemon = read_number(number)
        assert is_alive(daemon)
    assert wait_until_gone(daemon)


@pytest.mark.parametrize("means", ["by their cgroup", "by a mark in their environment"])
def test_ends_a_server_that_kills_its_guard(means: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if means == "by a mark in their environment":
        monkeypatch.setattr(remains, "own_cgroup", lambda: None)
    elif remains.own_cgroup() is None:
        pytest.skip("this user may not make a cgroup here")
    script, number = tmp_path / "killer.py", tmp_path / "number"
    script.write_text(DAEMON.replace("import socket", f"{KILLER}import socket"), encoding="ascii")
    target = ManagedServer(None, Start(f"{INTERPRETER} {script} {{port}} {number}"), directory=tmp_path)
    with pytest.raises(ServerStartError), target:
        pass
    assert wait_until_gone(read_number(number))
    assert [note.partition(" (")[0] for note in target.notes] == ["the server killed its guard; what it left was ended"]
    assert means in target.notes[0]
    assert list(Path("/sys/fs/cgroup").glob(f"**/hftp-conformance-{os.getpid()}-*")) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_suite_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    script, pid_file = tmp_path / "daemon.py", tmp_path / "number"
    script.write_text(DAEMON, encoding="ascii")
    suite = subprocess.Popen(
        [
            *(sys.executable, "-m", "conformance", "run"),
            *("--serve", f"{INTERPRETER} {script} {{port}} {pid_file}", "--timeout-scale", "20"),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    daemon = read_number(pid_file)
    suite.send_signal(number)
    suite.wait(TIMEOUT_SECONDS)
    assert wait_until_gone(daemon)


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("/no/such/server {port}", "cannot run /no/such/server"),
        (f"{INTERPRETER} -c pass", "ended before it accepted a connection"),
        (f"{INTERPRETER} -c 'print(1)", "No closing quotation"),
        ("", "empty command"),
    ],
)
def test_reports_a_failed_start_in_one_line(tmp_path: Path, command: str, complaint: str) -> None:
    with (
        pytest.raises(ServerStartError, match=complaint) as caught,
        ManagedServer(None, Start(command), directory=tmp_path),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_leaks_no_descriptors(tmp_path: Path) -> None:
    gc.collect()  # descriptors that tests before have left
    before = len(os.listdir("/proc/self/fd"))
    with ManagedServer(None, Start(SERVER, str(ROOT)), directory=tmp_path) as target:
        target.restart()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost", Address("localhost", 19500)),
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        ("[::1]:80", Address("::1", 80)),
        ("::1", Address("::1", 19500)),
        ("unix:/a b", Address(path="/a b")),
    ],
)
def test_parses_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["", ":80", "a:b", "a:0", "a:65536", "[::1", "[::1]80", "unix:", "http://a", "a b"])
def test_rejects_an_invalid_address(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)

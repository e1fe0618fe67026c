"""A sandbox stops real programs that reach for what they do not need, and leaves nothing behind."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.client.address import Address, dial
from conformance.client.receive_queue import CLOSED, peer
from conformance.target.sandbox import landlock
from conformance.target.sandbox import sandbox as sandbox_module
from conformance.target.sandbox.confined_guard import LANDLOCK, NAMESPACES
from conformance.target.sandbox.limits import Limits
from conformance.target.sandbox.sandbox import AUTO, Sandbox, SandboxError, choose, why_python_cannot_run
from conformance.target.sockets import listeners
from tests.broken_servers.hostile.intruders import LIMITED, PORT, PROCESS

ROOT = Path(__file__).parents[4]
LIMITS = Limits(memory_bytes=256 << 20, written_bytes=64 << 20, processes=100)
TIMEOUT_SECONDS = 60.0
Attack = Callable[..., tuple[str, list[str]]]

pytestmark = pytest.mark.once


def confined(mode: str, folder: Path, served: Path, limits: Limits = LIMITS, readable: tuple[str, ...] = ()) -> Sandbox:
    """Return a sandbox; skip the test where the system has none of this kind."""
    try:
        found = choose(mode, str(folder), str(served), limits, readable)
    except SandboxError as error:
        pytest.skip(str(error))
    if reason := why_python_cannot_run(found):
        pytest.skip(reason)
    assert found is not None
    return found


def said(sandbox: Sandbox, *words: str, port: int = 9) -> tuple[str, list[str]]:
    """Run a command in a sandbox until it exits or the guard tells of it, and return what it printed, and the notes."""
    source, sink = os.pipe()
    suite, pipe = os.pipe()
    process = sandbox.launch(words, suite, sink, port)
    os.close(suite)
    os.close(sink)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not process.notes and process.poll() is None and time.monotonic() < deadline:
        process.facts()
        time.sleep(0.02)
    os.close(pipe)
    process.wait(TIMEOUT_SECONDS)
    with os.fdopen(source, encoding="utf-8") as output:
        return output.read(), process.notes


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """Directories: that of the server, what it serves, and what is dear to somebody else."""
    found = {name: tmp_path / name for name in ("own", "served", "home")}
    for path in found.values():
        path.mkdir()
        path.chmod(0o777)  # so that nothing but the sandbox is in the way
        (path / "file").write_text(path.name, encoding="ascii")
    return found


@pytest.fixture(params=[NAMESPACES, LANDLOCK])
def mode(request: pytest.FixtureRequest) -> str:
    """Each kind of sandbox."""
    return str(request.param)


@pytest.fixture
def attack(mode: str, places: dict[str, Path]) -> Attack:
    """Return what tries one intruder in a sandbox, and returns what it printed, and what the guard told of it."""

    def attacked(name: str, *environment: str) -> tuple[str, list[str]]:
        sandbox = confined(mode, places["own"], places["served"], readable=(str(ROOT),))
        variables = [f"PYTHONPATH={ROOT}", f"{LIMITED}=1", f"HFTP_VICTIM={places['home']}", *environment]
        intruder = ["-m", "tests.broken_servers.hostile.intruders", name, str(places["served"])]
        return said(sandbox, "env", *variables, sys.executable, "-S", *intruder)

    return attacked


@pytest.fixture(autouse=True)
def _leaves_nothing(places: dict[str, Path]) -> Iterator[None]:
    """Assert that no process is left whose command names the directories of the test."""
    yield
    name = os.fsencode(places["served"])
    assert [path for path in Path("/proc").glob("[0-9]*/cmdline") if name in _content(path)] == []


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_reads_nothing_else(attack: Attack) -> None:
    assert attack("read-dear") == ("done\n", [])


def test_writes_nothing_else(attack: Attack, places: dict[str, Path]) -> None:
    assert attack("write-dear") == ("done\n", [])
    assert [len(list(path.iterdir())) for path in places.values()] == [1, 1, 1]


def test_cannot_make_anything_writable(attack: Attack, places: dict[str, Path]) -> None:
    assert attack("remount") == ("done\n", [])
    assert [len(list(path.iterdir())) for path in places.values()] == [1, 1, 1]


def test_log_in_its_own_folder_is_gone_afterwards(attack: Attack, mode: str, places: dict[str, Path]) -> None:
    printed, _ = attack("write-log")
    assert printed == {NAMESPACES: "logged started\ndone\n", LANDLOCK: "no log: Permission denied\ndone\n"}[mode]
    assert list(places["own"].iterdir()) == [places["own"] / "file"]


def test_kills_nobody_else(attack: Attack, mode: str) -> None:
    if mode == LANDLOCK and landlock.version() < landlock.SCOPE_VERSION:
        pytest.skip(f"Landlock {landlock.version()} limits no signals; version {landlock.SCOPE_VERSION} does")
    with subprocess.Popen(["sleep", "60"]) as other:
        printed, notes = attack("kill-others", f"{PROCESS}={other.pid}")
        assert other.poll() is None
        other.kill()
    assert f"cannot kill {other.pid}" in printed
    assert printed.endswith("done\n")  # what it sends to process 1, its parent, is ignored
    assert notes == []


def test_connects_to_nobody(attack: Attack, mode: str) -> None:
    if mode == LANDLOCK and landlock.version() < landlock.NETWORK_VERSION:
        pytest.skip(f"Landlock {landlock.version()} limits no network; version {landlock.NETWORK_VERSION} does")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        printed, _ = attack("connect-to-host", f"{PORT}={listener.getsockname()[1]}")
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert printed.count("cannot connect") == 2, printed


@pytest.mark.parametrize("bomb", ["fork-bomb", "thread-bomb"])
def test_limits_processes(attack: Attack, bomb: str) -> None:
    printed, notes = attack(bomb)
    assert "reached" not in printed
    assert any("100 processes and threads" in note or "MiB of memory" in note for note in notes)


@pytest.mark.parametrize("bomb", ["memory-bomb", "memory-bombs"])
def test_limits_memory(attack: Attack, bomb: str) -> None:
    printed, notes = attack(bomb)
    assert printed == ""
    assert notes == ["the server used more than 256 MiB of memory, and was ended"]


def test_limits_files(attack: Attack, mode: str) -> None:
    printed, notes = attack("fill-disk")
    if mode == LANDLOCK:
        assert (printed, notes) == ("wrote 0 MiB\ndone\n", [])
    else:
        assert notes == ["the server wrote 64 MiB of files, which is all that it may"]


GREETS = """
import socket
listener = socket.create_server(("127.0.0.1", 4321))
client, _ = listener.accept()
client.sendall(b"hello")
client.recv(1)
listener.accept()
"""


def test_network_is_reached_through_the_guard(places: dict[str, Path]) -> None:
    sandbox = confined(NAMESPACES, places["own"], places["served"])
    suite, pipe = os.pipe()
    with open(os.devnull, "wb") as null:  # noqa: PTH123  (a device)
        process = sandbox.launch([sys.executable, "-c", GREETS], suite, null.fileno(), 4321)
    os.close(suite)
    address = Address("127.0.0.1", 4321)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (found := listeners(address, process.pid, process.open_socket)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [str(row) for row in found] == ["127.0.0.1:4321"]
    assert listeners(address) == []
    with dial(address, 5.0, open_socket=process.open_socket) as client:
        assert client.recv(5) == b"hello"
        client.sendall(b"xyz")
        assert (peer(client) or CLOSED).is_open
    os.close(pipe)
    process.wait(TIMEOUT_SECONDS)
    with pytest.raises(ConnectionRefusedError):
        dial(address, 5.0, open_socket=process.open_socket)


def test_environment_has_no_secrets(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "secret")
    monkeypatch.setenv("LC_TIME", "C")
    printed, _ = said(confined(NAMESPACES, places["own"], places["served"]), "env")
    assert "secret" not in printed
    assert "LC_TIME=C\n" in printed
    assert f"PATH={os.environ['PATH']}\n" in printed


def test_server_runs_without_privileges(places: dict[str, Path], mode: str) -> None:
    printed, _ = said(confined(mode, places["own"], places["served"], readable=("/proc",)), "cat", "/proc/self/status")
    facts = dict(line.split(":\t", 1) for line in printed.splitlines() if ":\t" in line)
    bounding = [] if mode == LANDLOCK and os.geteuid() else ["CapBnd"]  # which only privileges can lower
    assert {facts[name] for name in ("CapEff", "CapPrm", "CapAmb", *bounding)} == {"0" * 16}
    assert facts["NoNewPrivs"] == "1"
    if mode == NAMESPACES:
        assert "0" not in facts["Uid"].split()


def test_home_is_no_folder_of_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "homes" / "me"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for folder in (home, home.parent):
        with pytest.raises(SandboxError, match=r"would see all of .*/homes/me: give it a folder of its own \(--cwd\)"):
            choose(AUTO, str(folder), "", LIMITS)


def test_without_any_sandbox_says_why_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(sandbox_module, "_GUARD", "/nonexistent")
    with pytest.raises(SandboxError) as caught:
        choose(AUTO, str(tmp_path), "", LIMITS)
    message = str(caught.value)
    assert message.startswith("--sandbox auto is not possible here (namespaces: ")
    assert "landlock: the kernel has no Landlock (Linux 5.13), or it is switched off" in message
    assert "\n" not in message


def test_takes_landlock_where_there_are_no_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not landlock.version():
        pytest.skip("the kernel has no Landlock")
    monkeypatch.setattr(sandbox_module, "_GUARD", "/nonexistent")
    found = choose(AUTO, str(tmp_path), "", LIMITS)
    assert found is not None
    assert found.mode == LANDLOCK
    assert str(found).startswith(f"Landlock {landlock.version()}: it reads its folder")


@pytest.mark.skipif(os.geteuid() != 0, reason="only a suite of root starts servers as another user")
def test_says_if_another_user_may_not_read_the_served_files(places: dict[str, Path]) -> None:
    confined(NAMESPACES, places["own"], places["served"])
    places["served"].chmod(0o700)
    with pytest.raises(SandboxError, match=r"who may not read .*/served: set `umask 022`"):
        choose(NAMESPACES, str(places["own"]), str(places["served"]), LIMITS)

"""The command line judges servers at every kind of address, replays recordings, and ends on Ctrl-C."""

import shlex
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from conformance.target.sockets import free_port
from tests import INTERPRETER
from tests.conformance.test_cli import CORRECT, ROOT, conformance, events

pytestmark = pytest.mark.once

FEW = ("-t", "framing.lf-only", "-t", "slices.whole*", "-t", "listings.empty*", "--size", "100K")
TIMEOUT_SECONDS = 30.0


class Socks(socketserver.StreamRequestHandler):
    """A minimal SOCKS5 proxy that resolves all names to the loopback address, and records them."""

    names: list[bytes]

    def handle(self) -> None:
        self.rfile.read(self.rfile.read(2)[1])
        self.wfile.write(b"\5\0")
        *_, kind = self.rfile.read(4)
        name = self.rfile.read(self.rfile.read(1)[0] if kind == 3 else 4)
        self.names.append(name)
        port = int.from_bytes(self.rfile.read(2), "big")
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as onward:
            self.wfile.write(b"\5\0\0\1\0\0\0\0\0\0")
            back = threading.Thread(target=self.carry, args=(onward, self.connection))
            back.start()
            self.carry(self.connection, onward)
            back.join(TIMEOUT_SECONDS)

    @staticmethod
    def carry(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            target.close()


@contextmanager
def proxy() -> Iterator[tuple[str, list[bytes]]]:
    """Provide the URL of a proxy, and the names that it resolved."""
    names: list[bytes] = []
    handler = type("Remembering", (Socks,), {"names": names})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"socks5h://127.0.0.1:{server.server_address[1]}", names
        server.shutdown()
        thread.join(TIMEOUT_SECONDS)


@pytest.mark.parametrize(("shown", "listened"), [("[::1]", "::1"), ("localhost", "127.0.0.1")])
def test_judges_by_ipv6_address_and_host_name(shown: str, listened: str) -> None:
    address = f"{shown}:{free_port()}"
    done = conformance("run", address, "--serve", f"{CORRECT} -a {listened}", "--cwd", str(ROOT), *FEW, "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{address}: dialect 2026 (it knows help), files local" in done.stdout


def test_judges_at_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = f"{INTERPRETER} -m greenserver -q -a unix:{path} -d {{dir}}"
    done = conformance("run", f"unix:{path}", "--serve", server, "--cwd", str(ROOT), *FEW)
    assert done.returncode == 0, done.stdout + done.stderr


def test_judges_through_a_proxy_that_resolves_the_name() -> None:
    port = free_port()
    with (
        proxy() as (url, names),
        subprocess.Popen([*shlex.split(CORRECT)[:3], "-p", str(port), "-d", "tests"], cwd=ROOT) as server,
    ):
        try:
            for _ in range(200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            done = conformance("run", f"hidden.onion:{port}", "--proxy", url, "-t", "framing.lf-only")
        finally:
            server.kill()
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(names) == {b"hidden.onion"}
    assert f"--proxy {url}" not in done.stderr


def test_judges_a_server_with_fixed_port_and_directory(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    port = free_port()
    wired = f"{INTERPRETER} {shlex.quote(str(ROOT))}/tests/conformance/correct_server.py -p {port} -d data"
    place = ("--cwd", str(tmp_path), "--fixtures", f"{tmp_path}/data")
    done = conformance("run", f"127.0.0.1:{port}", "--serve", wired, *place, *FEW, "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "files local" in done.stdout
    assert list((tmp_path / "data").iterdir()) == []


def test_replays_a_recording_to_a_running_server(tmp_path: Path) -> None:
    port, recording = free_port(), tmp_path / "run.ndjson"
    files = [f"--junit={tmp_path}/run.xml", f"--html={tmp_path}/run.html", f"--ndjson={recording}"]
    serve = ["--serve", CORRECT, "--cwd", str(ROOT), "--size", "100K"]
    assert conformance("run", *serve, "-t", "framing.lf-only", "-t", "framing.pipelining", *files).returncode == 0
    assert len(list(ET.parse(tmp_path / "run.xml").iter("testcase"))) == 2
    assert "framing.lf-only" in (tmp_path / "run.html").read_text(encoding="utf-8")
    with subprocess.Popen([*shlex.split(CORRECT)[:3], "-p", str(port), "-d", str(tmp_path)], cwd=ROOT) as server:
        try:
            for _ in range(200):
                done = conformance("replay", str(recording), "framing.lf-only", f"127.0.0.1:{port}")
                if "refused" not in done.stdout:
                    break
        finally:
            server.kill()
    assert done.returncode == 0
    assert r"C: quit\n" in done.stdout
    assert "S: 100" in done.stdout
    assert "S: <close>" in done.stdout


@pytest.mark.long
def test_blames_only_the_scenarios_that_end_the_server(tmp_path: Path) -> None:
    recording = tmp_path / "run.ndjson"
    crashing = f"{INTERPRETER} -m tests.broken_servers decode-kills-the-process -p {{port}} -d {{dir}}"
    alone = tmp_path / "alone.ndjson"
    for path, jobs in ((recording, "8"), (alone, "1")):
        words = ("-t", "framing", "-j", jobs, "--size", "100K", "--ndjson", str(path))
        assert conformance("run", "--serve", crashing, "--cwd", str(ROOT), *words).returncode == 1
    verdicts = [
        {event["scenario"]: event["verdict"] for event in events(path) if event["type"] == "result"}
        for path in (recording, alone)
    ]
    assert verdicts[0] == verdicts[1]
    assert "fail" in verdicts[0].values()


@pytest.mark.parametrize(
    ("server", "jobs", "number", "results"),
    [
        ("tests.broken_servers.hostile drip", 1, signal.SIGINT, 0),
        ("tests.conformance.correct_server", 1, signal.SIGTERM, 5),
        ("tests.conformance.correct_server", 4, signal.SIGINT, 5),
    ],
)
def test_interrupted_run_says_so_and_leaves_no_process(
    tmp_path: Path, server: str, jobs: int, number: signal.Signals, results: int
) -> None:
    recording, pid_file, script = tmp_path / "run.ndjson", tmp_path / "pid", tmp_path / "server.sh"
    script.write_text(f"echo $$ > {pid_file}\nexec {INTERPRETER} -m {server} $*\n", encoding="utf-8")
    command = [sys.executable, "-m", "conformance", "run", "--serve", f"sh {script} -p {{port}} -d {{dir}}"]
    with subprocess.Popen(
        [*command, "--cwd", str(ROOT), "--ndjson", str(recording), "-j", str(jobs)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell has what it starts in the background ignore it, the tests and all that they start included.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  (before any thread of the child)
    ) as running:
        await_(lambda: pid_file.exists() and bool(pid_file.read_text("ascii").strip()))
        await_(lambda: not results or recording.exists())
        await_(lambda: not results or recording.read_text("utf-8").count('"type": "result"') >= results)
        running.send_signal(number)
        out, err = running.communicate(timeout=TIMEOUT_SECONDS)
    assert running.returncode == 3, (out, err)
    assert b"interrupted" in out + err
    assert b"Traceback" not in err
    await_(lambda: not Path("/proc", pid_file.read_text("ascii").strip()).exists())


def await_(is_so: Callable[[], bool]) -> None:
    for _ in range(2000):
        if is_so():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to pass")

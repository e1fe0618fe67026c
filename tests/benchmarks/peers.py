"""The servers under comparison: how each is started and ended, and its protocol."""

import contextlib
import getpass
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.client import HOST, ROOT

START_SECONDS = 20.0

NGINX_CONFIGURATION = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {scratch}/nginx.pid;
error_log {scratch}/error.log;
{user}
events {{ worker_connections 20000; }}
http {{
    access_log off;
    sendfile {sendfile};
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path {scratch}; proxy_temp_path {scratch}; fastcgi_temp_path {scratch};
    uwsgi_temp_path {scratch}; scgi_temp_path {scratch};
    server {{ listen {host}:{port} backlog=1024; root {directory}; }}
}}
"""


class Missing(Exception):  # noqa: N818  (it does not fail the run)
    """A peer cannot run; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A server to compare: its name in the tables, its protocol, its command line, and its requirements."""

    name: str
    protocol: str
    command: Callable[[Path, Path, int], list[str]]
    """Returns the command line, given the directory to serve, a scratch directory and the port."""
    requirement: Callable[[], str] = str
    """Returns what is missing; an empty string if the peer can run."""


class Running:
    """The process of a peer, and its descendants."""

    def __init__(self, peer: Peer, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.peer = peer
        self.process = process
        self.port = port
        self._log = log

    def processes(self) -> list[int]:
        """Return the ids of the peer's process and of its descendants."""
        found, new = [], [self.process.pid]
        while new:
            found += new
            new = [child for parent in new for child in _children(parent)]
        return found

    def cpu_seconds(self) -> float:
        """Return the CPU time that the peer has used so far, to the nanosecond."""
        total = 0.0
        for process in self.processes():
            with contextlib.suppress(OSError):
                total += time.clock_gettime(~process << 3 | 2)  # clock_getcpuclockid(3), which Python lacks
        return total

    def resident_bytes(self) -> int:
        """Return the resident memory of the peer's processes."""
        return sum(_resident(process) for process in self.processes())

    def pin(self, cores: Collection[int]) -> None:
        """Pin all threads of the peer to these cores."""
        for process in self.processes():
            for thread in _threads(process):
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(thread.name), cores)

    def wait_until_ready(self) -> None:
        """Wait until the peer accepts connections; raise Missing if it does not."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1.0):
                return
            time.sleep(0.01)
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        message = f"did not start: {lines[-1] if lines else 'no output'}"
        raise Missing(message)

    def close(self) -> None:
        """Kill the peer's processes: it leads its own session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start(peer: Peer, directory: Path, scratch: Path, *, port: int | None = None) -> Running:
    """Start a peer, without waiting for it; raise Missing if a requirement is not met."""
    lack = peer.requirement()
    if lack:
        raise Missing(lack)
    scratch.mkdir(parents=True, exist_ok=True)
    port = free_port() if port is None else port
    log = scratch / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            peer.command(directory, scratch, port),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Running(peer, process, port, log)


@contextlib.contextmanager
def started(peer: Peer, directory: Path, scratch: Path) -> Iterator[Running]:
    """Run a peer that is ready when the block begins, and ended with the block."""
    running = start(peer, directory, scratch)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.close()


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _threads(process: int) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(Path(f"/proc/{process}/task").iterdir())
    return []


def _children(process: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [
            int(child)
            for thread in _threads(process)
            for child in (thread / "children").read_text(encoding="ascii").split()
        ]
    return []


def _resident(process: int) -> int:
    with contextlib.suppress(OSError):
        pages = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0


# --- The table -----------------------------------------------------------------------------------


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _nginx_with(sendfile: str) -> Callable[[Path, Path, int], list[str]]:
    def command(directory: Path, scratch: Path, port: int) -> list[str]:
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""  # other users may not read the directory
        configuration = scratch / "nginx.conf"
        text = NGINX_CONFIGURATION.format(
            scratch=scratch, sendfile=sendfile, host=HOST, port=port, directory=directory, user=user
        )
        configuration.write_text(text, encoding="utf-8")
        return [str(_nginx()), "-e", f"{scratch}/error.log", "-p", str(scratch), "-c", str(configuration)]

    return command


def _reference_server(name: str) -> Callable[[Path, Path, int], list[str]]:
    return lambda directory, _, port: [
        *(sys.executable, "-m", "tests.benchmarks.reference_servers"),
        *(name, str(directory), str(port)),
    ]


def _greenserver(*options: str) -> Callable[[Path, Path, int], list[str]]:
    return lambda directory, _, port: [
        *(sys.executable, "-m", "greenserver", "--quiet"),
        *("--directory", str(directory), "--port", str(port), *options),
    ]


def _needs(module: str) -> Callable[[], str]:
    return lambda: "" if importlib.util.find_spec(module) else f"{module} is not installed"


def _needs_nginx() -> str:
    return "" if _nginx() else "nginx is not installed"


def _needs_workers() -> str:
    command = [sys.executable, "-m", "greenserver", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    return "" if "--workers" in shown.stdout else "this greenserver has no --workers"


NGINX_SENDFILE = "nginx, sendfile on"
NGINX_COPY = "nginx, sendfile off"
TEXTBOOK = "textbook, threads"
STREAMS = "textbook, asyncio streams"
UVLOOP = "textbook, uvloop streams"
PROTOCOL = "tuned uvloop Protocol"
HTTP_SERVER = "http.server"
FTP_SERVER = "pyftpdlib"
GEVENT = "greenserver, gevent"
THREADS = "greenserver, threads"
SELECTORS = "greenserver, selectors"
SEQUENTIAL = "greenserver, sequential"
TWO_WORKERS = "greenserver, 2 workers"

PEERS = {
    peer.name: peer
    for peer in (
        Peer(NGINX_SENDFILE, "http", _nginx_with("on"), _needs_nginx),
        Peer(NGINX_COPY, "http", _nginx_with("off"), _needs_nginx),
        Peer(HTTP_SERVER, "http", _reference_server("http")),
        Peer(FTP_SERVER, "ftp", _reference_server("ftp"), _needs("pyftpdlib")),
        Peer(TEXTBOOK, "hftp", _reference_server("threads")),
        Peer(STREAMS, "hftp", _reference_server("asyncio")),
        Peer(UVLOOP, "hftp", _reference_server("uvloop"), _needs("uvloop")),
        Peer(PROTOCOL, "hftp", _reference_server("protocol"), _needs("uvloop")),
        Peer(GEVENT, "hftp", _greenserver("--engine", "gevent")),
        Peer(THREADS, "hftp", _greenserver("--engine", "threads")),
        Peer(SELECTORS, "hftp", _greenserver("--engine", "selectors")),
        Peer(SEQUENTIAL, "hftp", _greenserver("--engine", "sequential")),
        Peer(TWO_WORKERS, "hftp", _greenserver("--engine", "gevent", "--workers", "2"), _needs_workers),
    )
}

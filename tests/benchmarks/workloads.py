"""The workloads: each is one row of the table, with the function that measures one round of it for one peer."""

import contextlib
import ftplib
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests import INTERPRETER
from tests.benchmarks import loads, peers
from tests.benchmarks.client import BUFFER_BYTES, HOST, ROOT, STALL_SECONDS, Load, drive, outcome, running
from tests.benchmarks.files import Files
from tests.benchmarks.peers import Missing, Running

GB: Final = 1e9
BULK_READERS: Final = 8
PIPELINING_CLIENTS: Final = 50
DEPTH: Final = 100
CONFORMANCE_SECONDS: Final = 60.0

ONE_CORE: Final = "one core"
ALL_CORES: Final = "all cores"

Figures = dict[str, float]
"""The measurements of one round, by name."""


@dataclass
class Bench:
    """What every round needs: files, the client, and the amounts of load."""

    scratch: Path
    files: Files
    client: list[str]
    seconds: float
    """The duration of a load of small commands."""
    idle_connections: int
    stalled_readers: int
    listed_files: int
    cores: frozenset[int]
    loads: dict[tuple[str, str, int], Load] = field(default_factory=dict)

    def load(self, running: Running, kind: str, *, depth: int = 1, connections: int = 1) -> Load:
        """Return a load, verified once with this peer."""
        key = (running.peer.name, kind, depth)
        if key not in self.loads:
            self.loads[key] = loads.load_for(running.peer.protocol, kind, self.files, running.port, depth=depth)
        return loads.spread(self.loads[key], connections)

    def own_scratch(self, running: Running) -> Path:
        """Return a new scratch directory, for a server that is started for one round."""
        path = self.scratch / f"own-{time.monotonic_ns()}-{running.port}"
        path.mkdir()
        return path


Round = Callable[[Bench, Running], Figures]


@dataclass(frozen=True)
class Workload:
    """A row: its name, the function of a round, the peers and the placements."""

    name: str
    title: str
    round: Round
    peers: Sequence[str]
    shown: Sequence[str]
    """The figures of the table, the most important one first."""
    placements: Sequence[str] = (ONE_CORE, ALL_CORES)
    rounds: int | None = None
    """The maximum number of rounds, if one takes long."""


# --- Rounds --------------------------------------------------------------------------------------


def bulk(kind: str) -> Round:
    """Return a round that fetches the large file once, over one connection."""

    def measure(bench: Bench, running: Running) -> Figures:
        if running.peer.protocol == "ftp":
            return _ftp_bulk(bench, running)
        load = bench.load(running, kind)
        before = running.cpu_seconds()
        measured = drive(bench.client, running.port, load, seconds=STALL_SECONDS, batches=1)
        server = running.cpu_seconds() - before
        gigabytes = measured.batches * bench.files.large_bytes / GB
        return {
            "GB/s": gigabytes / measured.seconds,
            "CPU s/GB": server / gigabytes,
            "client CPU s/GB": measured.cpu_seconds / gigabytes,
        }

    return measure


def _ftp_bulk(bench: Bench, running: Running) -> Figures:
    """Fetch the large file by FTP, in this process, including the setup of the data connection."""
    buffer = memoryview(bytearray(BUFFER_BYTES))
    received = 0
    with ftplib.FTP(timeout=STALL_SECONDS) as session:
        session.connect(HOST, running.port)
        session.login()
        session.voidcmd("TYPE I")
        before, client, start = running.cpu_seconds(), time.process_time(), time.monotonic()
        with session.transfercmd(f"RETR {bench.files.raw.name}") as channel:
            while got := channel.recv_into(buffer):
                received += got
        elapsed, client = time.monotonic() - start, time.process_time() - client
        server = running.cpu_seconds() - before
        session.voidresp()
    if received != bench.files.large_bytes:
        message = f"{received} bytes instead of {bench.files.large_bytes}"
        raise loads.WrongReplyError(message)
    gigabytes = received / GB
    return {"GB/s": gigabytes / elapsed, "CPU s/GB": server / gigabytes, "client CPU s/GB": client / gigabytes}


def small(connections: int, depth: int = 1) -> Round:
    """Return a round of small commands, pipelined `depth` deep on each connection."""

    def measure(bench: Bench, running: Running) -> Figures:
        load = loads.warmed(bench.load(running, loads.METADATA, depth=depth, connections=connections))
        with running_client(bench, running, load, seconds=bench.seconds) as process:
            before = running.cpu_seconds()  # the connections are open and warm now
            measured = outcome(process)
        server = running.cpu_seconds() - before
        commands = measured.batches * depth
        if not commands:
            message = "no reply in the time of a round"
            raise loads.WrongReplyError(message)
        return {
            "commands/s": commands / measured.seconds,
            "p99 ms": measured.p99_us / 1000,
            "CPU us": server / commands * 1e6,
            "client CPU us": measured.cpu_seconds / commands * 1e6,
        }

    return measure


def _probe_beside(bench: Bench, server: Running, background: Load) -> Figures:
    """Measure small commands, one after the other, under a background load."""
    probe = bench.load(server, loads.METADATA)
    with running_client(bench, server, background) as busy:
        time.sleep(0.1)
        measured = drive(bench.client, server.port, probe, seconds=2 * bench.seconds)
        others = outcome(busy, stop=True)
    # A probe that is never answered has no p99: the duration of the round is its lower bound.
    p99 = measured.p99_us / 1000 if measured.batches else 2000 * bench.seconds
    return {"p99 ms": p99, "others MB/s": others.bytes / others.seconds / 1e6}


def beside_bulk(bench: Bench, running: Running) -> Figures:
    """Measure a small command beside readers of the large file."""
    kind = loads.BASE64
    return _probe_beside(bench, running, bench.load(running, kind, connections=BULK_READERS))


def beside_pipelining(bench: Bench, running: Running) -> Figures:
    """Measure a small command beside clients that pipeline."""
    background = bench.load(running, loads.METADATA, depth=DEPTH, connections=PIPELINING_CLIENTS)
    return _probe_beside(bench, running, background)


def beside_listing(bench: Bench, running: Running) -> Figures:
    """Measure a small command while a directory of many files is listed repeatedly."""
    names = [f"file-{number:06}" for number in range(bench.listed_files)]
    if not bench.files.many_files.exists():
        bench.files.make_many_files(bench.listed_files)
    with peers.started(running.peer, bench.files.many_files, bench.own_scratch(running)) as server:
        background = loads.listing_load(names, server.port)
        reply = b"0 OK\r\n0\r\n"
        probe = Load(b"get_metadata file-000000\r\n", len(reply))
        with running_client(bench, server, background) as busy:
            time.sleep(0.1)
            measured = drive(bench.client, server.port, probe, seconds=2 * bench.seconds)
            others = outcome(busy, stop=True)
    return {"p99 ms": measured.p99_us / 1000, "listing ms": others.p50_us / 1000}


def running_client(
    bench: Bench, server: Running, load: Load, *, seconds: float | None = None
) -> "contextlib.AbstractContextManager[subprocess.Popen[str]]":
    """Run a client in the background, for so many seconds or until it is stopped."""
    most = STALL_SECONDS + bench.seconds
    return running(bench.client, server.port, load, seconds=most if seconds is None else seconds)


def idle(bench: Bench, running: Running) -> Figures:
    """Measure the memory of idle connections, and the delay of one more request."""
    available = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200
    if available < bench.idle_connections:
        message = f"only {available} descriptors are allowed"
        raise Missing(message)
    with peers.started(running.peer, bench.files.directory, bench.own_scratch(running)) as server:
        _ask_for_metadata(bench, server)
        before = server.resident_bytes()
        with contextlib.ExitStack() as stack:
            for _ in range(bench.idle_connections):
                stack.enter_context(socket.create_connection((HOST, server.port), STALL_SECONDS))
            start = time.monotonic()
            _ask_for_metadata(bench, server)
            answered = time.monotonic() - start
            grown = _settled(server.resident_bytes) - before
    return {
        "KiB each": grown / 1024 / bench.idle_connections,
        "connections": bench.idle_connections,
        "answer ms": 1000 * answered,
    }


def stalled(bench: Bench, running: Running) -> Figures:
    """Measure the memory of clients that request the large file and read nothing of it."""
    load = bench.load(running, loads.BASE64)
    with peers.started(running.peer, bench.files.directory, bench.own_scratch(running)) as server:
        _ask_for_metadata(bench, server)
        before, kernel_before = server.resident_bytes(), _kernel_tcp_bytes()
        with contextlib.ExitStack() as stack:
            for _ in range(bench.stalled_readers):
                reader = stack.enter_context(socket.create_connection((HOST, server.port), STALL_SECONDS))
                reader.sendall(load.requests)
            grown = _settled(server.resident_bytes) - before
            kernel = _settled(_kernel_tcp_bytes) - kernel_before
            _ask_for_metadata(bench, server)  # check that other clients are still served
    return {"MiB": grown / 2**20, "kernel MiB": kernel / 2**20}


def start(bench: Bench, running: Running) -> Figures:
    """Measure the time from the start of a server's process to its first reply."""
    port = peers.free_port()
    request = bench.load(running, loads.METADATA).requests
    started_at = time.monotonic()
    server = peers.start(running.peer, bench.files.directory, bench.own_scratch(running), port=port)
    try:
        while time.monotonic() < started_at + peers.START_SECONDS:
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), STALL_SECONDS) as channel:
                channel.sendall(request)
                if channel.recv(1):
                    return {"ms": 1000 * (time.monotonic() - started_at), "CPU ms": 1000 * server.cpu_seconds()}
            time.sleep(0.0005)
    finally:
        server.close()
    message = "no reply after its start"
    raise Missing(message)


def run_conformance(_bench: Bench, running: Running) -> Figures:
    """Measure the duration of a parallel run of the conformance suite."""
    serve = f"{INTERPRETER} -m greenserver --quiet -p {{port}} -d {{dir}}"
    command = [sys.executable, "-m", "conformance", "run", "--serve", serve, "-j", "4", "--seed", "2008"]
    started_at = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=CONFORMANCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        message = f"not done in {CONFORMANCE_SECONDS:.0f} s"
        raise Missing(message) from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        message = f"the suite ended with {done.returncode} against {running.peer.name}: {last}"
        raise Missing(message)
    return {"s": time.monotonic() - started_at}


def _ask_for_metadata(bench: Bench, server: Running) -> None:
    """Run one command, which allocates what stays allocated after the first connection."""
    load = bench.load(server, loads.METADATA)
    with socket.create_connection((HOST, server.port), STALL_SECONDS) as channel:
        channel.sendall(load.requests)
        missing = load.reply_bytes
        while missing > 0:
            got = len(channel.recv(missing))
            if not got:
                message = "closed instead of a reply"
                raise loads.WrongReplyError(message)
            missing -= got


def _settled(measured: Callable[[], int]) -> int:
    """Return a figure once it has stopped growing, or after 10 s."""
    last, since = measured(), time.monotonic()
    deadline = since + 10
    while time.monotonic() < deadline and time.monotonic() - since < 0.5:
        time.sleep(0.05)
        value = measured()
        if value > last * 1.005:
            last, since = value, time.monotonic()
    return measured()


def _kernel_tcp_bytes() -> int:
    """Return the memory in all TCP buffers of this machine."""
    text = Path("/proc/net/sockstat").read_text(encoding="ascii")
    found = re.search(r"^TCP:.* mem (\d+)", text, re.MULTILINE)
    return int(found[1]) * os.sysconf("SC_PAGE_SIZE") if found else 0


# --- The table -----------------------------------------------------------------------------------

_NGINX = (peers.NGINX_SENDFILE, peers.NGINX_COPY)
_GREENSERVER = (peers.GEVENT, peers.THREADS, peers.SELECTORS, peers.SEQUENTIAL, peers.TWO_WORKERS)
_PARALLEL = (peers.GEVENT, peers.THREADS, peers.SELECTORS, peers.TWO_WORKERS)
_TEXTBOOK = (peers.TEXTBOOK, peers.STREAMS, peers.UVLOOP)
_ALL_SMALL = (*_NGINX, peers.HTTP_SERVER, peers.FTP_SERVER, *_TEXTBOOK, peers.PROTOCOL)
_BULK_FIGURES = ("GB/s", "CPU s/GB", "client CPU s/GB")
_SMALL_FIGURES = ("commands/s", "p99 ms", "CPU us", "client CPU us")

WORKLOADS: Final = {
    workload.name: workload
    for workload in (
        Workload(
            "base64",
            "a base64 slice, one connection, decoded bytes",
            bulk(loads.BASE64),
            (*_NGINX, peers.HTTP_SERVER, *_TEXTBOOK, *_GREENSERVER),
            _BULK_FIGURES,
        ),
        Workload(
            "raw",
            "a raw slice, one connection",
            bulk(loads.RAW),
            (*_NGINX, peers.HTTP_SERVER, peers.FTP_SERVER, *_TEXTBOOK, *_GREENSERVER),
            _BULK_FIGURES,
        ),
        Workload("metadata", "get_metadata, one connection", small(1), (*_ALL_SMALL, *_GREENSERVER), _SMALL_FIGURES),
        Workload("metadata-50", "get_metadata, 50 connections", small(50), (*_ALL_SMALL, *_PARALLEL), _SMALL_FIGURES),
        Workload(
            "metadata-500", "get_metadata, 500 connections", small(500), (*_ALL_SMALL, *_PARALLEL), _SMALL_FIGURES
        ),
        Workload(
            "pipelined",
            "get_metadata, one connection, pipelined 100 deep",
            small(1, DEPTH),
            (*_NGINX, *_TEXTBOOK, peers.PROTOCOL, *_GREENSERVER),
            _SMALL_FIGURES,
        ),
        Workload(
            "beside-bulk",
            "a small command beside 8 bulk readers",
            beside_bulk,
            (peers.NGINX_COPY, peers.TEXTBOOK, *_PARALLEL),
            ("p99 ms", "others MB/s"),
            (ALL_CORES,),
        ),
        Workload(
            "beside-pipelining",
            "a small command beside 50 clients that pipeline",
            beside_pipelining,
            (peers.NGINX_COPY, peers.STREAMS, peers.PROTOCOL, *_PARALLEL),
            ("p99 ms", "others MB/s"),
            (ALL_CORES,),
        ),
        Workload(
            "listing",
            "a small command beside listings of many files",
            beside_listing,
            (peers.TEXTBOOK, peers.STREAMS, *_PARALLEL),
            ("p99 ms", "listing ms"),
            (ALL_CORES,),
            rounds=3,
        ),
        Workload(
            "idle",
            "an idle connection's resident memory",
            idle,
            (peers.NGINX_COPY, peers.STREAMS, peers.GEVENT, peers.SELECTORS),
            ("KiB each", "connections", "answer ms"),
            (ALL_CORES,),
            rounds=1,
        ),
        Workload(
            "stalled",
            "readers that stop reading, growth of memory",
            stalled,
            (peers.NGINX_COPY, *_PARALLEL),
            ("MiB", "kernel MiB"),
            (ALL_CORES,),
            rounds=3,
        ),
        Workload(
            "start",
            "from the start to the first reply",
            start,
            (peers.NGINX_COPY, peers.HTTP_SERVER, *_TEXTBOOK, *_GREENSERVER),
            ("ms", "CPU ms"),
            (ALL_CORES,),
        ),
        Workload(
            "conformance",
            "the conformance suite, in parallel",
            run_conformance,
            (peers.GEVENT,),
            ("s",),
            (ALL_CORES,),
            rounds=3,
        ),
    )
}

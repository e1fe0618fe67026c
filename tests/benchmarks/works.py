"""What is measured: each work is one row of the table, with the function that does one round of it for one peer."""

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
"""By name: what one round measured."""


@dataclass
class Bench:
    """All that a round needs: files, the client, and how much to do."""

    scratch: Path
    files: Files
    client: list[str]
    seconds: float
    """How long a load of small commands lasts."""
    idle_connections: int
    stalled_readers: int
    listed_files: int
    cores: frozenset[int]
    loads: dict[tuple[str, str, int], Load] = field(default_factory=dict)

    def load(self, running: Running, kind: str, *, depth: int = 1, connections: int = 1) -> Load:
        """Return a load that was verified with this peer, once."""
        key = (running.peer.name, kind, depth)
        if key not in self.loads:
            self.loads[key] = loads.load_for(running.peer.protocol, kind, self.files, running.port, depth=depth)
        return loads.spread(self.loads[key], connections)

    def own_scratch(self, running: Running) -> Path:
        """Return a new directory for a server of this peer's kind that serves one round only."""
        path = self.scratch / f"own-{time.monotonic_ns()}-{running.port}"
        path.mkdir()
        return path


Round = Callable[[Bench, Running], Figures]


@dataclass(frozen=True)
class Job:
    """A row: what it is called, who takes part, what a round does, and under which placements."""

    name: str
    title: str
    round: Round
    peers: Sequence[str]
    shown: Sequence[str]
    """The figures of the table, most telling first."""
    placements: Sequence[str] = (ONE_CORE, ALL_CORES)
    rounds: int | None = None
    """At most so many, where a round says much and takes long."""


# --- Rounds --------------------------------------------------------------------------------------


def bulk(kind: str) -> Round:
    """Return a round that fetches the large file once, over one connection."""

    def measure(bench: Bench, running: Running) -> Figures:
        if running.peer.protocol == "ftp":
            return _ftp_bulk(bench, running)
        load = bench.load(running, kind)
        before = running.cpu_seconds()
        seen = drive(bench.client, running.port, load, seconds=STALL_SECONDS, batches=1)
        server = running.cpu_seconds() - before
        gigabytes = seen.batches * bench.files.large_bytes / GB
        return {
            "GB/s": gigabytes / seen.seconds,
            "CPU s/GB": server / gigabytes,
            "client CPU s/GB": seen.cpu_seconds / gigabytes,
        }

    return measure


def _ftp_bulk(bench: Bench, running: Running) -> Figures:
    """Fetch the large file by FTP, in this process; a data connection of its own belongs to it."""
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
    """Return a round of small commands: from so many connections, so many of them in flight on each."""

    def measure(bench: Bench, running: Running) -> Figures:
        load = loads.warmed(bench.load(running, loads.METADATA, depth=depth, connections=connections))
        with running_client(bench, running, load, seconds=bench.seconds) as process:
            before = running.cpu_seconds()  # the connections are open and warm now
            seen = outcome(process)
        server = running.cpu_seconds() - before
        commands = seen.batches * depth
        if not commands:
            message = "no reply in the time of a round"
            raise loads.WrongReplyError(message)
        return {
            "commands/s": commands / seen.seconds,
            "p99 ms": seen.p99_us / 1000,
            "CPU us": server / commands * 1e6,
            "client CPU us": seen.cpu_seconds / commands * 1e6,
        }

    return measure


def _probe_beside(bench: Bench, server: Running, background: Load) -> Figures:
    """Measure small commands, one after the other, while others keep the server busy."""
    probe = bench.load(server, loads.METADATA)
    with running_client(bench, server, background) as busy:
        time.sleep(0.1)
        seen = drive(bench.client, server.port, probe, seconds=2 * bench.seconds)
        others = outcome(busy, stop=True)
    # A probe that is never answered has no p99: then its whole time is the best that can be said.
    p99 = seen.p99_us / 1000 if seen.batches else 2000 * bench.seconds
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
    """Measure a small command while a directory of many files is listed again and again."""
    names = [f"file-{number:06}" for number in range(bench.listed_files)]
    if not bench.files.crowd.exists():
        bench.files.make_crowd(bench.listed_files)
    with peers.started(running.peer, bench.files.crowd, bench.own_scratch(running)) as server:
        background = loads.listing_load(names, server.port)
        reply = b"0 OK\r\n0\r\n"
        probe = Load(b"get_metadata file-000000\r\n", len(reply))
        with running_client(bench, server, background) as busy:
            time.sleep(0.1)
            seen = drive(bench.client, server.port, probe, seconds=2 * bench.seconds)
            others = outcome(busy, stop=True)
    return {"p99 ms": seen.p99_us / 1000, "listing ms": others.p50_us / 1000}


def running_client(
    bench: Bench, server: Running, load: Load, *, seconds: float | None = None
) -> "contextlib.AbstractContextManager[subprocess.Popen[str]]":
    """Run a client beside this process, for so long or until it is stopped."""
    most = STALL_SECONDS + bench.seconds
    return running(bench.client, server.port, load, seconds=most if seconds is None else seconds)


def idle(bench: Bench, running: Running) -> Figures:
    """Measure what connections cost that say nothing, and whether the next one is still served."""
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200
    if room < bench.idle_connections:
        message = f"only {room} descriptors are allowed"
        raise Missing(message)
    with peers.started(running.peer, bench.files.directory, bench.own_scratch(running)) as server:
        _ask_for_metadata(bench, server)
        before = server.resident_bytes()
        with contextlib.ExitStack() as held:
            for _ in range(bench.idle_connections):
                held.enter_context(socket.create_connection((HOST, server.port), STALL_SECONDS))
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
    """Measure what readers cost that ask for the large file and take nothing of it."""
    load = bench.load(running, loads.BASE64)
    with peers.started(running.peer, bench.files.directory, bench.own_scratch(running)) as server:
        _ask_for_metadata(bench, server)
        before, kernel_before = server.resident_bytes(), _kernel_tcp_bytes()
        with contextlib.ExitStack() as held:
            for _ in range(bench.stalled_readers):
                reader = held.enter_context(socket.create_connection((HOST, server.port), STALL_SECONDS))
                reader.sendall(load.requests)
            grown = _settled(server.resident_bytes) - before
            kernel = _settled(_kernel_tcp_bytes) - kernel_before
            _ask_for_metadata(bench, server)  # the others are still served
    return {"MiB": grown / 2**20, "kernel MiB": kernel / 2**20}


def start(bench: Bench, running: Running) -> Figures:
    """Measure the time from the start of a server's process to its first reply."""
    port = peers.free_port()
    request = bench.load(running, loads.METADATA).requests
    begun = time.monotonic()
    server = peers.start(running.peer, bench.files.directory, bench.own_scratch(running), port=port)
    try:
        while time.monotonic() < begun + peers.START_SECONDS:
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), STALL_SECONDS) as channel:
                channel.sendall(request)
                if channel.recv(1):
                    return {"ms": 1000 * (time.monotonic() - begun), "CPU ms": 1000 * server.cpu_seconds()}
            time.sleep(0.0005)
    finally:
        server.close()
    message = "no reply after its start"
    raise Missing(message)


def conform(_bench: Bench, running: Running) -> Figures:
    """Measure how long the conformance suite takes to judge a server, in parallel."""
    serve = f"{INTERPRETER} -m greenserver --quiet -p {{port}} -d {{dir}}"
    command = [sys.executable, "-m", "conformance", "run", "--serve", serve, "-j", "4"]
    begun = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=CONFORMANCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        message = f"not done in {CONFORMANCE_SECONDS:.0f} s"
        raise Missing(message) from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        message = f"the suite ended with {done.returncode} against {running.peer.name}: {last}"
        raise Missing(message)
    return {"s": time.monotonic() - begun}


def _ask_for_metadata(bench: Bench, server: Running) -> None:
    """Have one command answered, so that what a first client makes for good is made."""
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
    """Return a figure once it has stopped growing, or after ten seconds."""
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

WORKS: Final = {
    work.name: work
    for work in (
        Job(
            "base64",
            "a base64 slice, one connection, decoded bytes",
            bulk(loads.BASE64),
            (*_NGINX, peers.HTTP_SERVER, *_TEXTBOOK, *_GREENSERVER),
            _BULK_FIGURES,
        ),
        Job(
            "raw",
            "a raw slice, one connection",
            bulk(loads.RAW),
            (*_NGINX, peers.HTTP_SERVER, peers.FTP_SERVER, *_TEXTBOOK, *_GREENSERVER),
            _BULK_FIGURES,
        ),
        Job("metadata", "get_metadata, one connection", small(1), (*_ALL_SMALL, *_GREENSERVER), _SMALL_FIGURES),
        Job("metadata-50", "get_metadata, 50 connections", small(50), (*_ALL_SMALL, *_PARALLEL), _SMALL_FIGURES),
        Job("metadata-500", "get_metadata, 500 connections", small(500), (*_ALL_SMALL, *_PARALLEL), _SMALL_FIGURES),
        Job(
            "pipelined",
            "get_metadata, one connection, pipelined 100 deep",
            small(1, DEPTH),
            (*_NGINX, *_TEXTBOOK, peers.PROTOCOL, *_GREENSERVER),
            _SMALL_FIGURES,
        ),
        Job(
            "beside-bulk",
            "a small command beside 8 bulk readers",
            beside_bulk,
            (peers.NGINX_COPY, peers.TEXTBOOK, *_PARALLEL),
            ("p99 ms", "others MB/s"),
            (ALL_CORES,),
        ),
        Job(
            "beside-pipelining",
            "a small command beside 50 clients that pipeline",
            beside_pipelining,
            (peers.NGINX_COPY, peers.STREAMS, peers.PROTOCOL, *_PARALLEL),
            ("p99 ms", "others MB/s"),
            (ALL_CORES,),
        ),
        Job(
            "listing",
            "a small command beside listings of many files",
            beside_listing,
            (peers.TEXTBOOK, peers.STREAMS, *_PARALLEL),
            ("p99 ms", "listing ms"),
            (ALL_CORES,),
            rounds=3,
        ),
        Job(
            "idle",
            "an idle connection's resident memory",
            idle,
            (peers.NGINX_COPY, peers.STREAMS, peers.GEVENT, peers.SELECTORS),
            ("KiB each", "connections", "answer ms"),
            (ALL_CORES,),
            rounds=1,
        ),
        Job(
            "stalled",
            "readers that stop reading, growth of memory",
            stalled,
            (peers.NGINX_COPY, *_PARALLEL),
            ("MiB", "kernel MiB"),
            (ALL_CORES,),
            rounds=3,
        ),
        Job(
            "start",
            "from the start to the first reply",
            start,
            (peers.NGINX_COPY, peers.HTTP_SERVER, *_TEXTBOOK, *_GREENSERVER),
            ("ms", "CPU ms"),
            (ALL_CORES,),
        ),
        Job(
            "conformance",
            "the conformance suite, in parallel",
            conform,
            (peers.GEVENT,),
            ("s",),
            (ALL_CORES,),
            rounds=3,
        ),
    )
}

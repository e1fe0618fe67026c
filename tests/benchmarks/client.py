"""The client: build the one written in C, or replace it without a compiler, and run either.

Used as ``python -m tests.benchmarks.client ARGUMENT...`` it is client.c in Python: the same arguments and the
same output. Both count replies by length, and receive into one buffer that is reused.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
BUFFER_BYTES = 256 * 1024
STALL_SECONDS = 30.0
"""A server that sends nothing for so long has failed."""

RUN_SECONDS = 120.0
"""The timeout of a run."""


class ClientError(Exception):
    """A failed run; the message is one line."""


@dataclass(frozen=True)
class Load:
    """What each connection requests, repeatedly, and the length of the replies."""

    requests: bytes
    reply_bytes: int
    commands: int = 1
    connections: int = 1
    preamble: bytes = b""
    preamble_bytes: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a client measured: complete batches, bytes, seconds, and the latency of a batch."""

    batches: int
    bytes: int
    seconds: float
    cpu_seconds: float
    p50_us: float
    p99_us: float
    max_us: float


def build(scratch: Path) -> tuple[list[str], str]:
    """Return the command that runs the client, and its language: C if it can be compiled."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is not None:
        program = scratch / "client"
        source = Path(__file__).with_name("client.c")
        done = subprocess.run([compiler, "-O2", "-o", program, source], capture_output=True, timeout=60, check=False)
        if done.returncode == 0:
            return [str(program)], "C"
    return [sys.executable, "-m", "tests.benchmarks.client"], "Python"


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, load: Load, *, seconds: float, batches: int = 0
) -> Iterator["subprocess.Popen[str]"]:
    """Run a client that is connected when the block begins, and is ended with the block."""
    arguments = (HOST, port, load.connections, seconds, batches, load.requests.decode("ascii"), load.reply_bytes)
    process = subprocess.Popen(
        [*command, *map(str, arguments), load.preamble.decode("ascii"), str(load.preamble_bytes)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], STALL_SECONDS)
        if not ready or _read_line(process.stdout.fileno()) != b"started\n":
            process.kill()
            raise ClientError(process.communicate(timeout=STALL_SECONDS)[1].strip() or "the client did not start")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _read_line(descriptor: int) -> bytes:
    """Read a line and nothing after it: `communicate` would not find what a buffer has read ahead."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(descriptor, 1)):
        line += byte
    return line


def outcome(process: "subprocess.Popen[str]", *, stop: bool = False) -> Outcome:
    """Return what a running client has measured; send it SIGTERM before if `stop`."""
    if stop:
        process.terminate()
    try:
        output, errors = process.communicate(timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired as error:
        message = f"the client did not end in {RUN_SECONDS:.0f} s"
        raise ClientError(message) from error
    if process.returncode != 0:
        raise ClientError(errors.strip() or f"the client ended with {process.returncode}")
    return Outcome(**json.loads(output))


def drive(command: Sequence[str], port: int, load: Load, *, seconds: float, batches: int = 0) -> Outcome:
    """Run a load for so many seconds, or so many batches, and return what the client has measured."""
    with running(command, port, load, seconds=seconds, batches=batches) as process:
        return outcome(process)


# --- The client in Python ------------------------------------------------------------------------


class _Channel:
    """One connection, and how many bytes of its reply are missing."""

    def __init__(self, load: Load, port: int, host: str) -> None:
        self.socket = socket.create_connection((host, port), STALL_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._load = load
        self.missing = load.preamble_bytes
        self.began = 0
        self.socket.sendall(load.preamble)

    def begin(self) -> None:
        self.missing = self._load.reply_bytes
        self.began = time.monotonic_ns()
        self.socket.sendall(self._load.requests)

    def take(self, buffer: memoryview) -> int:
        got = self.socket.recv_into(buffer, min(self.missing, BUFFER_BYTES))
        if not got:
            message = "receive: the server closed the connection"
            raise ClientError(message)
        self.missing -= got
        return got


def run(port: int, load: Load, *, host: str = HOST, seconds: float, batches: int) -> Outcome:
    """Run the load in this process, as client.c does."""
    stopped: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)

    signal.signal(signal.SIGTERM, stop)
    buffer = memoryview(bytearray(BUFFER_BYTES))
    channels = [_Channel(load, port, host) for _ in range(load.connections)]
    poller = select.epoll()
    for channel in channels:
        while channel.missing:
            channel.take(buffer)
        poller.register(channel.socket, select.EPOLLIN)
    by_descriptor = {channel.socket.fileno(): channel for channel in channels}
    sys.stdout.write("started\n")
    sys.stdout.flush()
    received = 0
    samples: list[int] = []
    cpu, start = time.process_time(), time.monotonic()
    for channel in channels:
        channel.begin()
    while not stopped and time.monotonic() < start + seconds and not (batches and len(samples) >= batches):
        for descriptor, _ in poller.poll(0.1):
            channel = by_descriptor[descriptor]
            received += channel.take(buffer)
            if channel.missing:
                continue
            samples.append(time.monotonic_ns() - channel.began)
            if batches and len(samples) >= batches:
                break
            channel.begin()
    elapsed, cpu = time.monotonic() - start, time.process_time() - cpu
    samples.sort()
    p50, p99, most = (samples[int(part * (len(samples) - 1))] / 1000 if samples else 0.0 for part in (0.5, 0.99, 1.0))
    return Outcome(len(samples), received, elapsed, cpu, p50, p99, most)


def main(arguments: Sequence[str]) -> None:
    """Read the arguments of client.c, run, and print."""
    host, port, connections, seconds, batches, requests, reply_bytes, preamble, preamble_bytes = arguments
    load = Load(
        requests.encode("ascii"),
        int(reply_bytes),
        connections=int(connections),
        preamble=preamble.encode("ascii"),
        preamble_bytes=int(preamble_bytes),
    )
    try:
        measured = run(int(port), load, host=host, seconds=float(seconds), batches=int(batches))
    except (OSError, ClientError) as error:
        sys.exit(f"client: {error}")
    sys.stdout.write(json.dumps(vars(measured)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

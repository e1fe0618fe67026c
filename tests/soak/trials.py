"""The trials: each puts one server under a kind of load, and checks its requirements."""

import contextlib
import math
import os
import random
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from statistics import linear_regression
from typing import Any

from tests.greenserver.launching import LaunchedServer
from tests.greenserver.serving import no_leaks, wait_until
from tests.soak.clients import Clients, allow_descriptors, probing, resident_kib
from tests.soak.swap import swap

Figures = dict[str, Any]
GIB = 1 << 30

COMMANDS = (
    b"get_file_listing\r\n",
    b"get_metadata one\r\n",
    b"get_slice large.bin 0 300000\r\n",
    b"get_slice large.bin 7 99999 raw\r\n",
    b"get_metadata absent\r\n",
    b"help\r\n",
    b"quit\r\n",
    b"get_metadata " + b"n" * 50_000 + b"\r\n",
    b"qui\nt\r\n",
)


def populate(directory: Path) -> Path:
    """Make a directory of small, large and sparse files."""
    directory.mkdir(exist_ok=True)
    (directory / "one").write_bytes(b"1")
    (directory / "large.bin").write_bytes(os.urandom(300_000))
    (directory / "gigabyte").touch()
    os.truncate(directory / "gigabyte", GIB)
    (directory / "hung.bin").write_bytes(b"hung" * 100_000)
    return directory


def churn(scratch: Path, engine: str, *, seconds: float, per_second: float = math.inf, **_: object) -> Figures:
    """Connect, send valid and invalid input, and disconnect in every way; nothing may leak.

    There are at most `per_second` connections in a second.
    """
    server = LaunchedServer(populate(scratch / "files"), scratch / "server", engine)
    rng = random.Random(seconds)
    with contextlib.closing(server):
        _churn_clients(server, rng, 300)
        sizes: list[int] = []
        connections = 0
        with no_leaks(server):
            began = time.monotonic()
            while time.monotonic() < began + seconds:
                _churn_clients(server, rng, 50)
                connections += 50
                sizes.append(resident_kib(server))
                time.sleep(max(0.0, began + connections / per_second - time.monotonic()))
        half = sizes[len(sizes) // 2 :]
        grown = half[-1] - half[0]
        assert grown < 4096 + seconds, f"resident memory grew by {grown} KiB in half of {seconds} s: {sizes[::50]}"
        assert server.ask(b"get_metadata one\r\n") == b"0 OK\r\n1\r\n"
        return {
            "connections": connections,
            "grown_kib": grown,
            "kib_per_minute": round(60 * _slope(half) * len(sizes) / seconds, 1),
            "resident_kib": sizes[-1],
            **server.counts(),
        }


def _slope(values: list[int]) -> float:
    """Return the growth per value, by linear regression."""
    return linear_regression(range(len(values)), values).slope if len(values) > 1 else 0.0


def _churn_clients(server: LaunchedServer, rng: random.Random, times: int) -> None:
    for _ in range(times):
        sock = socket.socket()
        sock.settimeout(20)
        sock.connect(("127.0.0.1", server.port))
        with contextlib.closing(sock), contextlib.suppress(ConnectionError):
            sent = b"".join(rng.choices(COMMANDS, k=rng.randrange(4)))
            if rng.random() < 0.3:
                sent += rng.randbytes(rng.randrange(300))
            sock.sendall(sent)
            ending = rng.random()
            if ending < 0.4:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif ending < 0.8:
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(1 << 16):
                    pass


def slowloris(scratch: Path, engine: str, *, count: int, limit_seconds: float, **_: object) -> Figures:
    """Hold connections that send a byte per second: each times out at its deadline, and others are served."""
    allow_descriptors(count)
    server = LaunchedServer(
        populate(scratch / "files"), scratch / "server", engine, limits={"line_seconds": limit_seconds}
    )
    with contextlib.closing(server), probing(server) as prober, Clients(server.port, count) as clients:
        clients.send_all(b"g")
        clients.watch()
        for _each_second in range(int(limit_seconds) + 20):
            clients.send_slowly(b"x", 1.0)
            if len(clients.disconnected_after) == count:
                break
        figures = _check_disconnects(clients, count, limit_seconds)
    return {**figures, "others_p99_ms": prober.p99_milliseconds}


def never_reading(scratch: Path, engine: str, *, count: int, limit_seconds: float, **_: object) -> Figures:
    """Request 1 GiB and read nothing of it: each client takes little memory, and times out at its deadline."""
    allow_descriptors(count)
    server = LaunchedServer(
        populate(scratch / "files"), scratch / "server", engine, limits={"stall_seconds": limit_seconds}
    )
    with contextlib.closing(server):
        server.ask(b"get_slice gigabyte 0 300000\r\n")
        before = resident_kib(server)
        with probing(server) as prober, Clients(server.port, count, receive_bytes=4096) as clients:
            clients.send_all(b"get_slice gigabyte 0 1073741824\r\n")
            time.sleep(limit_seconds / 2)
            per_client_kib = (resident_kib(server) - before) / count
            assert per_client_kib < 60 + 8192 / count, f"{per_client_kib} KiB for each client"
            wait_until(lambda: server.log().count('"limit": "write"') == count, "all clients time out")
        ends = [event["seconds"] for event in server.events_named("disconnected") if event.get("limit") == "write"]
        return {
            "kib_per_client": round(per_client_kib, 1),
            "cut_after": (round(min(ends), 2), round(max(ends), 2)),
            "others_p99_ms": prober.p99_milliseconds,
        }


def endless_line(scratch: Path, engine: str, *, megabytes: int, **_: object) -> Figures:
    """Send a line that never ends: it is rejected, in little memory."""
    server = LaunchedServer(populate(scratch / "files"), scratch / "server", engine)
    with contextlib.closing(server), server.connect() as client:
        before, sent, block = server.peak_kib(), 0, b"x" * (1 << 20)
        with contextlib.suppress(OSError):
            while sent < megabytes << 20:
                sent += client.socket.send(block)
        reply = client.rest()
        assert reply == b"101 BAD REQUEST\r\n", reply[:100]
        grown = server.peak_kib() - before
        assert grown < 8192, f"{grown} KiB more"
        return {"sent_mib": sent >> 20, "peak_grown_kib": grown}


def silent_scanner(
    scratch: Path, engine: str, *, count: int, limit_seconds: float, certificate: tuple[str, str], **_: object
) -> Figures:
    """Connect to a TLS port and send nothing: each client times out at its deadline."""
    allow_descriptors(count)
    server = LaunchedServer(
        populate(scratch / "files"),
        scratch / "server",
        engine,
        tls=list(certificate),
        limits={"handshake_seconds": limit_seconds},
    )
    with contextlib.closing(server), Clients(server.port, count) as clients:
        clients.watch()
        clients.wait(limit_seconds + 20)
        return _check_disconnects(clients, count, limit_seconds)


def hung_disk(scratch: Path, engine: str, *, count: int, limit_seconds: float, **_: object) -> Figures:
    """Request a file on a hanging disk: clients of other files are served without delay."""
    allow_descriptors(count)
    hang = scratch / "hang"
    hang.touch()
    server = LaunchedServer(populate(scratch / "files"), scratch / "server", engine, hang=str(hang))
    with contextlib.closing(server):
        try:
            with probing(server) as prober, Clients(server.port, count) as clients:
                clients.send_all(b"get_slice hung.bin 0 300000 raw\r\n")
                time.sleep(limit_seconds)
            assert prober.p99_milliseconds < 500
        finally:
            hang.unlink()
        return {"others_p99_ms": prober.p99_milliseconds, "probes": len(prober.delays)}


def _check_disconnects(clients: Clients, count: int, limit_seconds: float) -> Figures:
    assert len(clients.disconnected_after) == count, f"{count - len(clients.disconnected_after)} were not disconnected"
    first, last = min(clients.disconnected_after), max(clients.disconnected_after)
    assert limit_seconds - 1 < first
    assert last < limit_seconds + 10, "within 1 s on an idle machine"
    return {"cut_after": (round(first, 2), round(last, 2))}


TRIALS: dict[str, Callable[..., Figures]] = {
    "churn": churn,
    "slowloris": slowloris,
    "never-reading": never_reading,
    "endless-line": endless_line,
    "silent-scanner": silent_scanner,
    "hung-disk": hung_disk,
    "swap": swap,
}

EVENT_LOOP_ONLY = {"hung-disk"}
"""Trials for the engines with an event loop."""

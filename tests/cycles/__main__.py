"""Stop, reload, kill or upgrade a server many times under full load, and check that no reply is lost.

``python -m tests.cycles [--cycles 1000] [--seconds S] [--workers 4] [--engine gevent] [--clients 8] [--kind KIND]``
prints one line for each kind; the exit status is 1 if a reply that had begun was lost, a connection was reset, or a
client of a server that is upgraded was refused or not answered.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cycles import BROKEN, REFUSED, UNANSWERED, WHOLE, Load, populate

if TYPE_CHECKING:
    import collections

CYCLES = "cycles"
"""The key of the number of cycles among the outcomes."""

_TIMEOUT_SECONDS = 120.0
_ROOT = Path(__file__).parents[2]


class CycledServer:
    """A greenserver with workers, restarted on the same port, or on a listener that its parent holds open."""

    def __init__(self, directory: Path, workers: int, engine: str, listener: socket.socket | None = None) -> None:
        self._directory = directory
        self._options = ["--engine", engine, "-q", *(("--workers", str(workers)) if workers else ())]
        self._listener = listener
        self.workers = workers
        self.port = 0
        self.log = directory.parent / "log"
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it, and return once it listens."""
        port_file = self._directory.parent / "port"
        port_file.unlink(missing_ok=True)
        passed = () if self._listener is None else (self._listener.fileno(),)
        address = [f"--address=fd://{descriptor}" for descriptor in passed] or ["--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "greenserver", "-d", str(self._directory), *address),
                    *("--port-file", str(port_file), *self._options),
                ],
                cwd=_ROOT,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=passed,
            )
        wait_until(lambda: port_file.exists() or self.process.poll() is not None, "the server listens")
        assert self.process.poll() is None, self.log.read_text()
        self.port = int(port_file.read_text())
        return self.process

    def children(self) -> list[int]:
        """Return the ids of the child processes, which serve."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii")
        return [int(child) for child in children.split()]

    def zombies(self) -> int:
        """Return how many child processes are zombies."""
        return sum(state_of(child) == "Z" for child in self.children())

    def close(self) -> None:
        """Kill the server."""
        self.process.kill()
        self.process.wait()


def state_of(process: int) -> str:
    """Return the state of a process as in proc(5); X if there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def term(server: CycledServer) -> None:
    """Stop the server by SIGTERM and start it again."""
    stop(server, server.process)
    server.start()


def upgrade(server: CycledServer) -> None:
    """Start the next server on the same listener, and stop the one before by SIGTERM while both accept."""
    before = server.process
    server.start()
    stop(server, before)


def stop(server: CycledServer, process: "subprocess.Popen[bytes]") -> None:
    """Stop a process of the server by SIGTERM, and wait for its end."""
    process.send_signal(signal.SIGTERM)
    status = process.wait(_TIMEOUT_SECONDS)
    assert status == 0, (status, server.log.read_text())


def hup(server: CycledServer) -> None:
    """Reload by SIGHUP, and wait until all workers are new."""
    old = set(server.children())
    server.process.send_signal(signal.SIGHUP)
    if server.workers:
        wait_until(lambda: not old & set(server.children()) and len(server.children()) == server.workers, "new workers")


def kill(server: CycledServer) -> None:
    """Kill a worker, and wait until it is replaced."""
    victim = server.children()[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(
        lambda: victim not in server.children() and len(server.children()) == server.workers and not server.zombies(),
        "a replacement worker",
    )


KINDS: dict[str, Callable[[CycledServer], None]] = {
    "term": term,
    "hup": hup,
    "kill": kill,
    "upgrade": upgrade,
    "restart": term,
}
"""A restart is a stop and a start on a listener that a parent holds open, as systemd does for its socket unit."""
HELD = frozenset({"upgrade", "restart"})
"""Kinds whose listener is held open by a parent process."""


def broken_outcomes(kind: str) -> frozenset[str]:
    """Return the outcomes that must not occur."""
    if kind == "kill":  # of the process that is killed, and of no other
        return frozenset({"wrong", "hung"})
    return BROKEN | {REFUSED, UNANSWERED} if kind in HELD else BROKEN


def run(  # noqa: PLR0913  (as many as the command line has)
    kind: str, cycles: int, workers: int, engine: str, clients: int, *, seconds: float = float("inf")
) -> "collections.Counter[str]":
    """Run cycles of a kind under load, up to `cycles` or `seconds`; return the counts of outcomes and of cycles."""
    last = time.monotonic() + seconds
    with cycled_server(workers, engine, is_held=kind in HELD) as server, Load(server.port, clients) as load:
        wait_until(lambda: len(server.children()) == server.workers, "the workers")
        for cycle in range(cycles):
            load.outcomes[CYCLES] = cycle
            if time.monotonic() > last:
                break
            before = load.outcomes[WHOLE]
            KINDS[kind](server)
            wait_until(lambda before=before: load.outcomes[WHOLE] > before + 1, "clients are served")  # type: ignore[misc]
            load.outcomes[CYCLES] = cycle + 1
        assert server.process.poll() is None
        assert not server.zombies()
    return load.outcomes


@contextmanager
def cycled_server(workers: int, engine: str, *, is_held: bool = False) -> Iterator[CycledServer]:
    """Start a server of a temporary directory; this process holds its listener open if that is asked for."""
    with tempfile.TemporaryDirectory() as scratch, held_listener() if is_held else nullcontext() as listener:
        directory = Path(scratch, "served")
        directory.mkdir()
        populate(directory)
        server = CycledServer(directory, workers, engine, listener)
        try:
            yield server
        finally:
            server.close()


def held_listener() -> socket.socket:
    """Listen on a free port, as a service manager does for the servers to come."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition is true, and fail after `_TIMEOUT_SECONDS`."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting: {what}"
        time.sleep(0.01)


def main() -> int:
    """Run as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.cycles", description=__doc__)
    parser.add_argument("--cycles", type=int, default=1000, help="of each kind")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each kind at most")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--engine", default="gevent")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    options = parser.parse_args()
    is_broken = False
    for kind in KINDS if options.kind == "all" else [options.kind]:
        began = time.monotonic()
        outcomes = run(kind, options.cycles, options.workers, options.engine, options.clients, seconds=options.seconds)
        done = outcomes.pop(CYCLES)
        is_broken |= any(outcomes[what] for what in broken_outcomes(kind))
        seconds = time.monotonic() - began
        what = f"{kind}: {done} cycles, {options.workers} workers, {options.engine}, {seconds:.0f} s"
        sys.stdout.write(f"{what}: {dict(outcomes)}\n")
        sys.stdout.flush()
    return is_broken


if __name__ == "__main__":
    sys.exit(main())

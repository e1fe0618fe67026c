"""Servers in separate processes, and a client that sends and receives raw bytes."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from tests.greenserver.forking import IMPORTED, fork_server

if TYPE_CHECKING:
    from typing_extensions import Self

    from tests.forked import ForkedProcess

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made", bound="Server")

ENGINES = ("gevent", "threads", "selectors", "sequential")
DIALECTS = ("2026", "2019", "2018", "2016")
TIMEOUT_SECONDS = 20.0
"""The timeout of anything in a test: a hundred times the usual duration."""

ROOT = Path(__file__).parents[2]


class Server:
    """A greenserver in a separate process, with its output in files."""

    def __init__(
        self,
        directory: Path,
        scratch: Path,
        *options: str,
        environment: dict[str, str] | None = None,
        is_directory_option: bool = True,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.stdout = scratch / "stdout"
        self.stderr = scratch / "stderr"
        self._counts = scratch / "counts"
        port_file = scratch / "port"
        is_unix = any(option.startswith("unix:") for option in options)
        where = () if is_unix else ("--port", "0", "--port-file", str(port_file))
        directory_option = ("--directory", str(directory)) if is_directory_option else ()
        arguments = [str(self._counts), *directory_option, *where, *options]
        engine = options[options.index("--engine") + 1] if "--engine" in options else ENGINES[0]
        # A server can only be forked if its engine is set by the options: the fork is preloaded for that engine.
        is_in_file = "-c" in options and "--engine" not in options
        is_in_environment = any(name.startswith("GREENSERVER_") for name in environment or {})
        is_forked = not (prepare or is_in_file or is_in_environment)
        with self.stdout.open("wb") as stdout, self.stderr.open("ab") as stderr:
            self.process = start_process(
                "tests.greenserver.instrumented",
                arguments,
                (stdout.fileno(), stderr.fileno()),
                kind=fork_kind(engine, is_in_workers="--workers" in options) if is_forked else None,
                environment={**os.environ, **(environment or {})},
                prepare=prepare,
            )
        wait_until(lambda: self.stdout.stat().st_size > 0 or self.process.poll() is not None, "the server starts")
        assert self.process.poll() is None, self.log()
        self.port = 0 if is_unix else int(port_file.read_text())

    def connect(self) -> "Client":
        """Return a client with a new connection."""
        return Client(socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS))

    def ask(self, sent: bytes, *, pieces: Sequence[int] = ()) -> bytes:
        """Send bytes on a new connection, shut down the writing side, and return all that comes back."""
        with self.connect() as client:
            client.send(sent, pieces=pieces)
            client.end()
            return client.rest()

    def counts(self) -> dict[str, int]:
        """Return how many descriptors, threads and greenlets the server has."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT_SECONDS)
            sock.connect(str(self._counts))
            return dict(json.loads(sock.makefile("rb").read()))

    def peak_kib(self) -> int:
        """Return the peak resident memory of the server, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))

    def log(self) -> str:
        """Return what the server has written to its standard error stream."""
        return self.stderr.read_text(encoding="utf-8")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_SECONDS)

    def close(self) -> None:
        """End the process, if it has not ended."""
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            message = f"the server did not exit on SIGTERM: {self.log()[-2000:]}"
            raise AssertionError(message)


def fork_kind(engine: str, *, is_in_workers: bool = False) -> str:
    """Return the key of `forking.IMPORTED` for a server: the set of modules that its process has preloaded."""
    return "workers" if is_in_workers else engine if engine in IMPORTED else "others"


def start_process(  # noqa: PLR0913  (a process has these)
    module: str,
    arguments: list[str],
    outputs: tuple[int, int],
    *,
    kind: str | None,
    environment: Mapping[str, str] = os.environ,
    prepare: Callable[[], None] | None = None,
    under: Sequence[str] = (),
) -> "subprocess.Popen[bytes] | ForkedProcess":
    """Run a module as a program, in a new interpreter if `kind` is None, else forked from a preloaded process."""
    if kind is not None:
        return fork_server(module, kind, arguments, outputs, dict(environment))
    return subprocess.Popen(
        [*under, sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=outputs[0],
        stderr=outputs[1],
        preexec_fn=prepare,  # noqa: PLW1509  (before any thread of the child)
    )


class Client:
    """A client of raw bytes on one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        sock.settimeout(TIMEOUT_SECONDS)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes, *, pieces: Sequence[int] = ()) -> None:
        """Send bytes, cut into pieces of these lengths and the rest. Ignore a connection that the server has closed."""
        with contextlib.suppress(ConnectionError):
            for length in pieces:
                self.socket.sendall(data[:length])
                data = data[length:]
            self.socket.sendall(data)

    def end(self) -> None:
        """Shut down the writing side of the connection."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def line(self) -> bytes:
        r"""Return the next line with its end; at EOF, whatever is left."""
        while b"\n" not in self._received and (data := self._receive()):
            self._received += data
        line, found, self._received = self._received.partition(b"\n")
        return line + found

    def exactly(self, count: int) -> bytes:
        """Return the next `count` bytes; fewer only at EOF."""
        parts = [self._received]
        missing = count - len(self._received)
        while missing > 0 and (data := self._receive()):
            parts.append(data)
            missing -= len(data)
        whole = b"".join(parts)
        self._received = whole[count:]
        return whole[:count]

    def rest(self) -> bytes:
        """Return everything up to EOF."""
        parts = [self._received]
        while data := self._receive():
            parts.append(data)
        self._received = b""
        return b"".join(parts)

    def skip(self, count: int) -> int:
        """Receive and discard up to `count` bytes, and return how many came before EOF."""
        skipped = min(count, len(self._received))
        self._received = self._received[skipped:]
        while skipped < count and (data := self.socket.recv(min(1 << 20, count - skipped))):
            skipped += len(data)
        return skipped

    def reset(self) -> None:
        """Reset the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _receive(self) -> bytes:
        """Return the next bytes received; treat a reset as EOF."""
        try:
            return self.socket.recv(1 << 18)
        except ConnectionError:
            return b""


def environment_without_coverage() -> dict[str, str]:
    """Return the environment for a process in which coverage measurement would disturb the test."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def run_script(
    script: str, *arguments: str, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a script in a new interpreter, in the root of the project, and return the completed process."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextlib.contextmanager
def closing_servers(make: Callable[Arguments, Made]) -> Iterator[Callable[Arguments, Made]]:
    """Return a function that makes servers by calling `make`, and close them all at the end of the block."""
    with contextlib.ExitStack() as stack:

        def make_one(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Made:
            server = make(*args, **kwargs)
            stack.callback(server.close)
            return server

        yield make_one


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition is true, and fail after `TIMEOUT_SECONDS`."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting: {what}"
        time.sleep(0.01)


@contextlib.contextmanager
def no_leaks(server: Server) -> Iterator[None]:
    """Check that a block leaks no descriptor, thread or greenlet in a server."""
    before = server.counts()
    yield
    wait_until(
        lambda: all(now <= before[what] for what, now in server.counts().items()),
        f"the server returns to {before}",
    )

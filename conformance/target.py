"""The server under judgement: where it is, and, if the suite starts it, its whole life."""

import contextlib
import os
import secrets
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import IO, TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from typing_extensions import Self

from conformance.dialling import Address, dial

START_SECONDS: Final = 20.0
"""How long a server may take until it accepts connections, times --timeout-scale."""
STOP_SECONDS: Final = 10.0
OUTPUT_BYTES: Final = 4096
"""How much of the end of a server's output a report has."""
_POLL_SECONDS: Final = 0.005
_PORTS: Final = range(10_000, 32_768)
"""Ports for servers: below those that systems give connections of their own accord."""
_PORT_TRIES: Final = 100


class TargetError(Exception):
    """Why the server cannot be started, in one line."""


class Process(Protocol):
    """A guard, and with it the server that it guards: what is asked of a `subprocess.Popen`."""

    def poll(self) -> int | None:
        """Return the exit status; nothing while the process runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raise TimeoutExpired."""

    def kill(self) -> None:
        """End it at once."""


Launch = Callable[[Sequence[str], str, int, int], Process]
"""Starts a guarded server: from words, a directory ("": this one), the guard's end of a pipe, and where output goes."""


def launch(words: Sequence[str], cwd: str, suite: int, output: int) -> Process:
    """Start a guard that runs a command; raise OSError."""
    return subprocess.Popen(  # noqa: S603  (the user's own command)
        [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")), str(suite), *words],
        cwd=cwd or None,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(suite,),
        start_new_session=True,
    )


@dataclass(frozen=True)
class Start:
    """How to start a server."""

    command: str
    """Split into words as a shell would; {port} and {dir} are filled in."""
    cwd: str = ""
    timeout_scale: float = 1.0
    launch: Launch = launch


class Target:
    """A server at an address, started and restarted by `start` if there is one.

    Usable as a context manager: once entered it is ready, and at its end nothing that it started is left.
    """

    def __init__(
        self, address: Address | None, start: Start | None = None, *, directory: Path, proxy: str = ""
    ) -> None:
        self._start = start
        self._directory = directory
        self._proxy = proxy
        self._is_port_free_to_choose = address is None
        self._process: Process | None = None
        self._leash = -1  # closing it ends the process
        self._output: IO[bytes] | None = None
        self._lock = threading.Lock()
        self.address = address or Address("127.0.0.1", 0)
        self.starts = 0
        """How often it was started."""

    def begin(self) -> None:
        """Start the server, if the suite does that, without waiting until it is ready; raises TargetError."""
        if self._start is not None and self._output is None:
            self._output = tempfile.TemporaryFile(prefix="hftp-server-output-")  # noqa: SIM115  (close() closes it)
            with self._lock:
                self._spawn(self._start, self._output)

    def __enter__(self) -> "Self":
        try:
            self.begin()
            if self._start is not None:
                self._await_readiness(self._start)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def can_restart(self) -> bool:
        """Whether the suite can start the server again."""
        return self._start is not None

    @property
    def is_running(self) -> bool:
        """Whether the process that the suite started is alive; of other servers nothing is known, so True."""
        return self._start is None or (self._process is not None and self._process.poll() is None)

    def dial(self, timeout_seconds: float, receive_buffer_bytes: int = 0) -> socket.socket:
        """Return a socket that is connected to the server; raises OSError."""
        return dial(self.address, timeout_seconds, self._proxy, receive_buffer_bytes)

    def restart(self) -> None:
        """End the server if it runs, start it, and wait until it accepts connections; raises TargetError."""
        if self._start is None or self._output is None:
            message = "the server was not started by the suite"
            raise TargetError(message)
        with self._lock:
            self._end()
            self._spawn(self._start, self._output)
            self._await_readiness(self._start)

    def output(self) -> str:
        """Return the end of what the server has printed."""
        if self._output is None:
            return ""
        size = os.fstat(self._output.fileno()).st_size
        start = max(0, size - OUTPUT_BYTES)
        return os.pread(self._output.fileno(), OUTPUT_BYTES, start).decode("utf-8", "replace")

    def close(self) -> None:
        """End the server, if the suite started it."""
        with self._lock:
            self._end()
        if self._output is not None:
            self._output.close()
            self._output = None

    def _spawn(self, start: Start, output: IO[bytes]) -> None:
        if self._is_port_free_to_choose:
            self.address = Address("127.0.0.1", _free_port())
        fields = {"{port}": str(self.address.port), "{dir}": str(self._directory), "{host}": self.address.host}
        try:
            words = shlex.split(start.command)
        except ValueError as error:
            message = f"--serve: {error}: {start.command}"
            raise TargetError(message) from error
        for name, value in fields.items():
            words = [word.replace(name, value) for word in words]
        if not words:
            message = "--serve: an empty command"
            raise TargetError(message)
        suite, self._leash = os.pipe()
        try:
            self._process = start.launch(words, start.cwd, suite, output.fileno())
        except OSError as error:
            message = f"--serve: {error.strerror}: {start.cwd or start.command}"
            raise TargetError(message) from error
        finally:
            os.close(suite)
        self.starts += 1

    def _await_readiness(self, start: Start) -> None:
        deadline = monotonic() + START_SECONDS * start.timeout_scale
        while monotonic() < deadline:
            if not self.is_running:
                last = (self.output().strip().splitlines() or ["it printed nothing"])[-1]
                self._end()
                message = f"--serve: the server ended before it accepted a connection: {last[:300]}"
                raise TargetError(message)
            with contextlib.suppress(OSError), self.dial(1.0):
                return
            sleep(_POLL_SECONDS)
        self._end()
        message = f"--serve: the server does not listen on {self.address}"
        raise TargetError(message)

    def _end(self) -> None:
        """End the process and all its offspring; once the pipe is closed the guard does it."""
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._process = None


def _free_port() -> int:
    """Return a port that nobody has, and that the system gives no connection until the server listens on it."""
    for _ in range(_PORT_TRIES):
        port = secrets.choice(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])

"""The server under judgement: its address, what can be seen of it and, if the suite starts it, its life cycle."""

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing_extensions import Self

    from conformance.client.network_namespace import OpenSocket

from conformance.client.address import Address, dial
from conformance.language import Message
from conformance.model.activity import Activity
from conformance.model.resources import Resources
from conformance.target.failed_start import AddressInUseError, FailedStart, ServerStartError
from conformance.target.launcher import Launch, Process, launch
from conformance.target.listener_watch import UNSEEN_SECONDS, ListenerWatch, await_free
from conformance.target.machine_clock import MachineClock
from conformance.target.output import ServerOutput
from conformance.target.resource_usage import resources_of
from conformance.target.run_delay import RunDelay
from conformance.target.sockets import free_port
from conformance.target.start_command import Start

__all__ = ["AddressInUseError", "Launch", "ManagedServer", "Process", "ServerStartError", "Start", "launch"]

START_SECONDS: Final = 20.0
"""Maximum time until a server listens, times --timeout-scale."""
ELSEWHERE_SECONDS: Final = 5.0
"""Maximum wait for a server that already listens at another address, times --timeout-scale."""
TIME_WAIT_SECONDS: Final = 65.0
"""Maximum wait of a restart for a fixed port that the server cannot bind yet, times --timeout-scale.

Linux keeps a socket in TIME_WAIT for 60 s (TCP_TIMEWAIT_LEN in include/net/tcp.h); meanwhile a server without
SO_REUSEADDR cannot bind its port; see socket(7).
"""
LISTENING: Final = Message("the server to listen")
STOP_SECONDS: Final = 10.0
_PORT_TRIES: Final = 5
_POLL_SECONDS: Final = 0.005
_SLOW_POLL_SECONDS: Final = 0.25


class ManagedServer:
    """A server at an address; the suite starts and restarts it if there is a `start`.

    A context manager: entering waits until the server is ready, and leaving ends all its processes.
    """

    def __init__(
        self, address: Address | None, start: Start | None = None, *, directory: Path, proxy: str = ""
    ) -> None:
        self.activity = Activity()
        self._start = start
        self._directory = directory
        self._proxy = proxy
        self._is_port_free_to_choose = address is None
        self._process: Process | None = None
        self._open_socket: OpenSocket = socket.socket
        self._guard_pipe = -1  # the suite's end; closing it ends the server
        self._output: ServerOutput | None = None
        self._lock = threading.Lock()
        self._retry_refused_until = 0.0
        self.address = address or Address("127.0.0.1", 0)
        self.clock = MachineClock()
        """Measures all waits for the server."""
        self._watch = ListenerWatch(self.address, is_direct=not proxy)
        self.starts = 0
        """The number of starts."""
        self.is_fresh = False
        """Whether the suite has started it, and no client has connected since."""
        self.notes: list[str] = []
        """What the server did to those that watch it, for a report."""

    def begin(self) -> None:
        """Start the clock and, if there is a `start`, the server, but do not wait for it; raise ServerStartError."""
        if self._start is None:
            self.clock.watch(RunDelay(self._watch.processes).look)
        self.clock.start()
        if self._start is not None and self._output is None:
            self._output = ServerOutput()
            with self._lock:
                self._spawn(self._start, self._output)

    def __enter__(self) -> "Self":
        try:
            self.begin()
            if self._start is not None and self._output is not None:
                self._await_start(self._start, self._output)
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
        """Whether the process is alive; True for a server that the suite did not start."""
        return self._start is None or (self._process is not None and self._process.poll() is None)

    @property
    def is_local(self) -> bool:
        """Whether the address belongs to this machine, and is reached without a proxy."""
        return self._watch.is_local

    @property
    def is_listening(self) -> bool:
        """Whether the server is up: its process runs and listens; True where that is unknown. It takes microseconds."""
        return self.is_running and self._watch.is_listening

    @property
    def entering(self) -> str:
        """The command that runs another one in the server's network; empty if that is the suite's."""
        return str(getattr(self._process, "entering", ""))

    @property
    def backlog(self) -> int | None:
        """The server's backlog for listen(2), capped by net.core.somaxconn; None where unknown."""
        return self._watch.backlog

    def queue_length(self) -> int | None:
        """Return the length of the accept queue; None where unknown."""
        return self._watch.queue_length()

    def cpu_seconds(self) -> float | None:
        """Return the CPU time since its start of the server that the suite started; None if unknown."""
        return self._watch.tree.cpu_seconds() if self._watch.tree is not None else None

    def resources(self) -> Resources | None:
        """Return what the server that the suite started uses now; None if that cannot be seen."""
        return resources_of(self._watch.tree) if self._watch.tree is not None and self.can_restart else None

    def dial(self, timeout_seconds: float, receive_buffer_bytes: int = 0) -> socket.socket:
        """Connect to the server; raise OSError.

        Where it is unknown whether the server listens, the first call after a start retries until it does.
        """
        self.is_fresh = False
        while self._retry_refused_until and self.clock() < self._retry_refused_until and self.is_running:
            with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
                sock = self._dial(timeout_seconds, receive_buffer_bytes)
                self._retry_refused_until = 0.0
                return sock
            sleep(_POLL_SECONDS)
        return self._dial(timeout_seconds, receive_buffer_bytes)

    def _dial(self, timeout_seconds: float, receive_buffer_bytes: int) -> socket.socket:
        return dial(self.address, timeout_seconds, self._proxy, receive_buffer_bytes, self._open_socket)

    def restart(self) -> None:
        """End the server if it runs, start it, and wait until it listens; raise ServerStartError.

        Waits for a fixed port that the server cannot bind because of sockets in TIME_WAIT.
        """
        if self._start is None or self._output is None:
            message = Message("the server was not started by the suite")
            raise ServerStartError(message)
        deadline = monotonic() + TIME_WAIT_SECONDS * self._start.timeout_scale
        with self._lock:
            while True:
                self._end()
                try:
                    self._await_start(self._start, self._output)
                except AddressInUseError:
                    if self._is_port_free_to_choose or monotonic() >= deadline:
                        raise
                    with self.activity.waiting(Message("{address} to be free again", address=self.address)):
                        await_free(self.address, deadline)
                else:
                    return

    def output(self) -> str:
        """Return the tail of the server's output."""
        return self._output.end() if self._output is not None else ""

    def listen(self) -> Callable[[float], str]:
        """Begin to listen to what the server prints; see `ServerOutput.listen`."""
        return self._output.listen() if self._output is not None else lambda _seconds: ""

    def tell_output(self, tell: Callable[[bytes], object]) -> None:
        """Pass on what the server prints from now on; see `ServerOutput.tell`."""
        if self._output is not None:
            self._output.tell(tell)

    def close(self) -> None:
        """End the server, if the suite started it."""
        with self._lock:
            self._end()
        if self._output is not None:
            self._output.close()
            self._output = None
        self.clock.close()

    def _spawn(self, start: Start, output: ServerOutput) -> None:
        if self._is_port_free_to_choose:
            self.address = Address("127.0.0.1", free_port())
        words = start.words(self.address, self._directory)
        output.mark_start()
        self._watch = ListenerWatch(self.address, is_direct=not self._proxy)
        if not start.has_own_network and self._watch.note_earlier():
            message = Message(
                "--serve: {address} is in use by {holder}: stop it, or choose another port",
                address=self.address,
                holder=self._watch.holder(),
            )
            raise AddressInUseError(message)
        suite, self._guard_pipe = os.pipe()
        try:
            if start.sandbox is not None:
                confined = start.sandbox.launch(words, suite, output.fileno(), self.address.port)
                self._process, self._open_socket = confined, confined.open_socket
            else:
                self._process = start.launch(words, start.cwd, suite, output.fileno())
        except OSError as error:
            message = Message("--serve: {strerror}: {cwd}", strerror=error.strerror, cwd=start.cwd or start.command)
            if start.cwd and not Path(start.cwd).is_dir():
                message = Message("--cwd: no such directory: {cwd}", cwd=start.cwd)
            raise ServerStartError(message) from error
        finally:
            os.close(suite)
        self._watch.follow(self._process.pid, self._open_socket)
        self.clock.watch(RunDelay(self._watch.processes).look)
        self.starts += 1
        self.is_fresh = True

    def _await_start(self, start: Start, output: ServerOutput) -> None:
        """Start the server unless it was, and wait until it listens; raise ServerStartError.

        If another program takes the port that the suite has chosen, choose another.
        """
        tries = _PORT_TRIES if self._is_port_free_to_choose else 1
        while True:
            tries -= 1
            try:
                if self._process is None:
                    self._spawn(start, output)
                with self.activity.waiting(LISTENING):
                    return self._await_listener(start)
            except AddressInUseError:
                if not tries:
                    raise

    def _await_listener(self, start: Start) -> None:
        """Wait until the server listens, without connecting to it; raise ServerStartError.

        Where that is unknown, `dial` waits instead.
        """
        begun = self.clock()
        deadline = begun + START_SECONDS * max(1.0, start.timeout_scale)
        next_look = begun + min(UNSEEN_SECONDS, START_SECONDS * max(1.0, start.timeout_scale) / 2)
        elsewhere_until = deadline
        while (now := self.clock()) < min(deadline, elsewhere_until):
            if self._watch.find():
                return
            if not self.is_running:
                raise self._ended(start)
            if now >= next_look:
                next_look = now + _SLOW_POLL_SECONDS
                if self._watch.cannot_see():
                    self._watch.is_unknown = True
                    self._retry_refused_until = deadline
                    return
                if elsewhere_until == deadline and self._watch.elsewhere() is not None:
                    elsewhere_until = now + ELSEWHERE_SECONDS * start.timeout_scale
            sleep(_POLL_SECONDS)
        raise self._not_listening(start)

    def _failed_start(self, start: Start) -> FailedStart:
        return FailedStart(
            command=start.command,
            words=start.words(self.address, self._directory),
            directory=Path(start.cwd or "."),
            address=self.address,
            output=self._output.of_this_start() if self._output is not None else "",
            status=self._process.poll() if self._process is not None else None,
            holder=self._watch.holder(),
        )

    def _ended(self, start: Start) -> ServerStartError:
        """Return why the server exited before it listened."""
        failed = self._failed_start(start)
        self._end()
        kind = AddressInUseError if failed.is_address_in_use else ServerStartError
        return kind(Message("--serve: {why}", why=failed.explain()), failed.excerpt())

    def _not_listening(self, start: Start) -> ServerStartError:
        """Return what is known about a server that runs, but does not listen on its address."""
        other = self._watch.elsewhere()
        failed = self._failed_start(start)
        self._end()
        explanation = failed.explain_silence(other, takes_port="{port}" in start.command)
        return ServerStartError(Message("--serve: {why}", why=explanation), failed.excerpt())

    def _end(self) -> None:
        """End the process and its descendants: close the pipe, which makes the guard kill them."""
        if self._guard_pipe >= 0:
            os.close(self._guard_pipe)
            self._guard_pipe = -1
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self.notes += [note for note in getattr(self._process, "notes", []) if note not in self.notes]
            self._process = None

"""Many clients in one thread, and one client that measures the latency of others meanwhile."""

import contextlib
import resource
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tests.greenserver.launching import LaunchedServer

if TYPE_CHECKING:
    from typing_extensions import Self

_SLICES = 100


class Clients:
    """Many connections, and after how many seconds each was disconnected."""

    def __init__(self, port: int, count: int, *, receive_bytes: int = 0) -> None:
        allow_descriptors(count)
        self.began = time.monotonic()
        self.disconnected_after: list[float] = []
        self._selector = selectors.DefaultSelector()
        self.sockets: list[socket.socket] = []
        for _ in range(count):
            sock = socket.socket()
            if receive_bytes:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            sock.settimeout(20)
            sock.connect(("127.0.0.1", port))
            sock.settimeout(0)
            self.sockets.append(sock)

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._selector.close()
        for sock in self.sockets:
            sock.close()

    def send_all(self, data: bytes, sockets: Iterable[socket.socket] | None = None) -> None:
        """Send the same on all connections that are still open, or on some of them."""
        for sock in self.sockets if sockets is None else sockets:
            with contextlib.suppress(OSError):
                sock.send(data)

    def send_slowly(self, data: bytes, seconds: float) -> None:
        """Send the same on all connections, spread over so many seconds, and record disconnections meanwhile."""
        for part in range(_SLICES):
            self.send_all(data, self.sockets[part::_SLICES])
            self.wait(seconds / _SLICES)

    def watch(self) -> None:
        """Start to record disconnections; discard what is received before them."""
        self.began = time.monotonic()
        for sock in self.sockets:
            self._selector.register(sock, selectors.EVENT_READ)

    def wait(self, seconds: float) -> None:
        """Record disconnections for so many seconds, or until there are no more connections."""
        deadline = time.monotonic() + seconds
        while self._selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self._look(key.fileobj)  # type: ignore[arg-type]

    def _look(self, sock: socket.socket) -> None:
        try:
            is_disconnected = not sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            is_disconnected = True
        if is_disconnected:
            self.disconnected_after.append(time.monotonic() - self.began)
            self._selector.unregister(sock)


class Prober:
    """A client that sends small requests, each on a new connection, and records the delays."""

    def __init__(self, ask: Callable[[], bytes], expected: bytes) -> None:
        self._ask = ask
        self._expected = expected
        self._is_over = threading.Event()
        self.delays: list[float] = []
        self.wrong: list[bytes] = []
        self._thread = threading.Thread(target=self._probe, daemon=True)

    def __enter__(self) -> "Self":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join(30)

    def _probe(self) -> None:
        while not self._is_over.wait(0.01):
            started = time.monotonic()
            try:
                reply = self._ask()
            except OSError as error:
                reply = repr(error).encode()
            self.delays.append(time.monotonic() - started)
            if reply != self._expected:
                self.wrong.append(reply)

    @property
    def p99_milliseconds(self) -> float:
        """The 99th percentile of the delays."""
        return round(1000 * sorted(self.delays)[max(0, len(self.delays) * 99 // 100 - 1)], 1)


@contextlib.contextmanager
def probing(server: LaunchedServer) -> Iterator[Prober]:
    """Measure the latency of another client during the block; all its replies must be right."""
    with Prober(lambda: server.ask(b"get_metadata one\r\n"), b"0 OK\r\n1\r\n") as prober:
        yield prober
    assert prober.delays, "the other client was served"
    assert not prober.wrong, prober.wrong[:3]


def allow_descriptors(count: int) -> None:
    """Raise the descriptor limit of this process, which new servers inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * count + 500
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def resident_kib(server: LaunchedServer) -> int:
    """Return the current resident memory of a server, in KiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

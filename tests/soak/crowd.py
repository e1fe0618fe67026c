"""Many clients held by one thread, and one client that measures how all that feels to others."""

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

_DRIPS = 100


class Crowd:
    """So many connections, of which each notes when it was cut."""

    def __init__(self, port: int, count: int, *, receive_bytes: int = 0) -> None:
        allow_descriptors(count)
        self.began = time.monotonic()
        self.cut_after: list[float] = []
        self._selector = selectors.DefaultSelector()
        self.members: list[socket.socket] = []
        for _ in range(count):
            sock = socket.socket()
            if receive_bytes:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            sock.settimeout(20)
            sock.connect(("127.0.0.1", port))
            sock.settimeout(0)
            self.members.append(sock)

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._selector.close()
        for sock in self.members:
            sock.close()

    def say(self, data: bytes, members: Iterable[socket.socket] | None = None) -> None:
        """Let all who are still there say the same at once, or some of them."""
        for sock in self.members if members is None else members:
            with contextlib.suppress(OSError):
                sock.send(data)

    def drip(self, data: bytes, seconds: float) -> None:
        """Watch for so long, while all say the same, each at a moment of its own."""
        for part in range(_DRIPS):
            self.say(data, self.members[part::_DRIPS])
            self.wait(seconds / _DRIPS)

    def watch(self) -> None:
        """Note from now on when each is cut; what it is sent before is read."""
        self.began = time.monotonic()
        for sock in self.members:
            self._selector.register(sock, selectors.EVENT_READ)

    def wait(self, seconds: float) -> None:
        """Watch for so long, or until all are cut."""
        deadline = time.monotonic() + seconds
        while self._selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self._look(key.fileobj)  # type: ignore[arg-type]

    def _look(self, sock: socket.socket) -> None:
        try:
            is_cut = not sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            is_cut = True
        if is_cut:
            self.cut_after.append(time.monotonic() - self.began)
            self._selector.unregister(sock)


class Prober:
    """A client that asks one small thing after the other, on new connections, and notes the delays."""

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
        """The delay that 99 of 100 stay under."""
        return round(1000 * sorted(self.delays)[max(0, len(self.delays) * 99 // 100 - 1)], 1)


@contextlib.contextmanager
def probing(server: LaunchedServer) -> Iterator[Prober]:
    """Measure what others feel meanwhile; all their replies must be right."""
    with Prober(lambda: server.ask(b"get_metadata one\r\n"), b"0 OK\r\n1\r\n") as prober:
        yield prober
    assert prober.delays, "others were served"
    assert not prober.wrong, prober.wrong[:3]


def allow_descriptors(count: int) -> None:
    """Raise this process's limit of descriptors, which new servers inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * count + 500
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def resident_kib(server: LaunchedServer) -> int:
    """Return the resident memory of a server now."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

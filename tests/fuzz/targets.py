"""The fuzz targets: each feeds any bytes to the server, and raises AssertionError for a wrong result.

The first bytes of an input choose how the rest is fed: the dialect, the segmentation, and an event on the way, such as
a timeout. The expected replies come from `tests.greenserver.oracle`, which shares no code with the server.
"""

import contextlib
import ipaddress
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from greenserver.config import limits
from greenserver.connection.connection import Connection
from greenserver.connection.serving_config import ServingConfig
from greenserver.files.store import FileStore
from greenserver.io.wait import KEEP_WAITING, LATE, READ, READY, WRITE, Wait
from greenserver.protocol.dialects import DIALECTS
from greenserver.protocol.framing import OVERLONG, LineBuffer
from tests.greenserver.oracle import Oracle

if TYPE_CHECKING:
    from typing_extensions import Self

SECRET = b"this-never-leaves"
WHOLE_LINE_BYTES = 48
"""Longer lines are abridged: a short limit, so that the fuzzer need not generate kilobytes to reach it."""

SHORT_LINE_BYTES = 300
"""The short limit of a command line, one of two that an input may choose."""

HEAD_BYTES = 6
"""The length of the start of an input that is decoded as its plan."""

PROXY_HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"

_MAX_STEPS = 20_000
_EVENTS = ("", "", "", "timeout", "disconnect", "drain", "drain twice", "abort", "close generator")
_FILES = {
    "one": b"1",
    "empty": b"",
    "text.txt": b"Hello, HFTP!\r\n0 OK\r\n",
    "middle": bytes(range(256)) * 8,
    "large": bytes(range(251)) * 1000,
}


class ErrorLog(logging.Handler):
    """Records the errors that the server logs: no input may cause one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Environment:
    """A directory with files, and with links to a secret, made once for all inputs."""

    def __init__(self, directory: Path) -> None:
        self.files = directory / "served"
        self.files.mkdir()
        (directory / "secret").write_bytes(SECRET)
        (self.files / "folder").mkdir()
        (self.files / "folder" / "secret").write_bytes(SECRET)
        (self.files / ".secret").write_bytes(SECRET)
        (self.files / "secret").symlink_to(directory / "secret")
        (self.files / "up").symlink_to("..")
        os.mkfifo(self.files / "fifo")
        for name, data in _FILES.items():
            (self.files / name).write_bytes(data)
        self.store = FileStore(self.files)
        self.errors = ErrorLog()
        self._log = logging.getLogger("greenserver")

    def __enter__(self) -> "Self":
        self._log.addHandler(self.errors)
        self._whole, limits.WHOLE_LINE_BYTES = limits.WHOLE_LINE_BYTES, WHOLE_LINE_BYTES  # type: ignore[misc]
        return self

    def __exit__(self, *_: object) -> None:
        limits.WHOLE_LINE_BYTES = self._whole  # type: ignore[misc]
        self._log.removeHandler(self.errors)
        self.store.close()

    def oracle(self, dialect: str, longest_line: int) -> Oracle:
        """Return an oracle that lists files in the order of the directory."""
        shown = {name: _FILES[name] for name in os.listdir(self.files) if name in _FILES}
        return Oracle(dialect, shown, longest_line)

    def require_no_errors(self) -> None:
        """Fail if the server has logged an error."""
        assert not self.errors.records, [(each.getMessage(), each.__dict__) for each in self.errors.records]


@contextlib.contextmanager
def make_environment() -> Iterator[Environment]:
    """Make an environment in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name, Environment(Path(name)) as environment:
        yield environment


@dataclass(frozen=True)
class Plan:
    """How an input is fed to the server, decoded from its first bytes."""

    dialect: str
    longest_line: int
    pieces: tuple[int, ...]
    may_block: bool
    has_proxy_header: bool
    event: str
    event_step: int
    receive_bytes: int
    sent: bytes

    @classmethod
    def of(cls, data: bytes) -> "Plan":
        """Decode the plan of an input; any bytes are valid."""
        kind, event, step, *pieces = (data[:HEAD_BYTES] + bytes(HEAD_BYTES))[:HEAD_BYTES]
        return cls(
            dialect=sorted(DIALECTS)[kind & 3],
            longest_line=SHORT_LINE_BYTES if kind & 4 else limits.LINE_BYTES,
            pieces=tuple(pieces),
            may_block=bool(kind & 8),
            has_proxy_header=bool(kind & 16),
            receive_bytes=1 << 16 if kind & 32 else 999,
            event=_EVENTS[event % len(_EVENTS)],
            event_step=step,
            sent=data[HEAD_BYTES:],
        )

    def cut(self, sent: bytes) -> Iterator[bytes]:
        """Yield the input in pieces of the lengths of the plan, repeatedly; in one piece if it has none."""
        lengths = [length for length in self.pieces if length] or [len(sent)]
        while sent:
            for length in lengths:
                if sent[:length]:
                    yield sent[:length]
                sent = sent[length:]


def try_parser(environment: Environment, data: bytes) -> None:
    """Cut input into lines, whole and in pieces, and run them: the lines are the same, and the replies the oracle's."""
    plan = Plan.of(data)
    lines = lines_of(plan, [plan.sent])
    assert lines == lines_of(plan, list(plan.cut(plan.sent))), "in pieces"
    assert lines == lines_of(plan, [plan.sent[at : at + 1] for at in range(len(plan.sent))]), "byte by byte"
    assert not any(b"\n" in line for line in lines[:-1]), "a line with a bare LF is the last"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours, ServingConfig(environment.store, DIALECTS[plan.dialect]))
        replies = b""
        for line in lines:
            response = connection.parser_command(line.decode("latin-1") or "\r\n")
            replies += response.status.line + response.text
            if response.body is not None:
                with contextlib.closing(response.body) as body:
                    at = 0
                    while part := body.chunk(at):
                        replies += part
                        at += len(part)
            if response.closes:
                assert response.status.is_fatal or line == b"quit"
                break
    assert SECRET not in replies
    assert replies == environment.oracle(plan.dialect, plan.longest_line).replies(plan.sent)
    environment.require_no_errors()


def lines_of(plan: Plan, pieces: list[bytes]) -> list[bytes]:
    """Return the lines of these pieces, and check the memory of the buffer."""
    buffer = LineBuffer(plan.longest_line)
    lines: list[bytes] = []
    for piece in pieces:
        buffer.feed(piece)
        while (line := buffer.next_line()) is not None:
            lines.append(OVERLONG if line.endswith(OVERLONG) else line)  # the rest of it is only logged
        held = held_bytes(buffer)
        assert held <= WHOLE_LINE_BYTES + 1 + limits.ELEMENTS * limits.ELEMENT_BYTES, held
    return lines


def held_bytes(buffer: LineBuffer) -> int:
    """Return how many bytes of an incomplete line a buffer keeps."""
    long = buffer._long  # noqa: SLF001  (its memory is bounded)
    kept = 0 if long is None else sum(len(element) for element in long._elements)  # noqa: SLF001  (the same)
    return kept + len(buffer._rest)  # noqa: SLF001  (the same)


def try_connection(environment: Environment, data: bytes) -> None:
    """Serve a connection: the replies are the oracle's, or a prefix of them if an event interrupts it.

    In each case, the socket is closed at the end, no descriptor leaks and no error is logged.
    """
    plan = Plan.of(data)
    for has_fast_path in (False, True):
        run_connection(environment, plan, has_fast_path=has_fast_path)


def run_connection(environment: Environment, plan: Plan, *, has_fast_path: bool) -> None:
    """Serve it once, with or without the fast path."""
    before = len(os.listdir("/proc/self/fd"))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        received = ConnectionDriver(environment, plan, ours, theirs, has_fast_path=has_fast_path).run()
        assert ours.fileno() < 0, "closed"
    assert len(os.listdir("/proc/self/fd")) == before, "no descriptor leaks"
    assert SECRET not in received
    expected = environment.oracle(plan.dialect, plan.longest_line).replies(plan.sent)
    if plan.event:
        assert expected.startswith(received), (plan, received[-200:])
    else:
        assert received == expected, (plan, received[:200], expected[:200])
    environment.require_no_errors()


def try_proxy_header(environment: Environment, data: bytes) -> None:
    """Send any bytes where a PROXY header is required: an invalid header gets no reply, and none causes an error."""
    plan = replace(Plan.of(data), has_proxy_header=True)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        received = ConnectionDriver(environment, plan, ours, theirs, header=b"").run()
        assert ours.fileno() < 0, "closed"
    assert SECRET not in received
    if not plan.sent.startswith((b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")):
        assert received == b"", received[:100]
    environment.require_no_errors()


class ConnectionDriver:
    """Drives a connection in this thread, one wait after the other, and plays its client."""

    def __init__(  # noqa: PLR0913  (two settings besides its parts)
        self,
        environment: Environment,
        plan: Plan,
        ours: socket.socket,
        theirs: socket.socket,
        *,
        header: bytes = PROXY_HEADER,
        has_fast_path: bool = False,
    ) -> None:
        self._plan = plan
        self._has_fast_path = has_fast_path
        self._client = theirs
        self._began = monotonic()
        self._received = bytearray()
        self._pieces = plan.cut((header if plan.has_proxy_header else b"") + plan.sent)
        theirs.settimeout(0)
        config = ServingConfig(
            environment.store,
            DIALECTS[plan.dialect],
            limits=replace(limits.DEFAULTS, line_bytes=plan.longest_line),
            proxy_from=[ipaddress.ip_network("127.0.0.0/8")] if plan.has_proxy_header else (),
        )
        self.connection = Connection(ours, config, "fuzzer", may_block=plan.may_block)

    def run(self) -> bytes:
        """Run the connection to its end, and return all that it has sent."""
        steps = self.connection.steps()
        answer: object = None
        with contextlib.suppress(StopIteration):
            for step in range(_MAX_STEPS):
                wait = steps.send(answer)
                answer = self._answer_wait(step, wait)
                if self._plan.event == "close generator" and step >= self._plan.event_step:
                    steps.close()
                    break
            else:
                message = "the connection does not end"
                raise AssertionError(message)
        self._receive(1 << 20)
        return bytes(self._received)

    def _answer_wait(self, step: int, wait: Wait) -> object:
        """Answer a wait; return what to resume the generator with."""
        outcome: object = READY
        assert wait.deadline >= self._began, "no deadline before the start"
        if step == self._plan.event_step:
            if self._plan.event == "timeout" and wait.work is None:  # a job has no deadline
                return LATE
            self._inject_event(self._plan.event)
        if wait.work is not None:
            wait.work()
        elif wait.events == READ:
            self._send()
            while self._has_fast_path and (outcome := wait.outcome()) is KEEP_WAITING:
                self._send()
        elif wait.events == WRITE:
            self._receive(self._plan.receive_bytes)
        return outcome

    def _inject_event(self, kind: str) -> None:
        if kind == "disconnect":
            self._receive(1 << 20)
            self._client.close()
        elif kind == "abort":
            self.connection.abort()
        elif kind.startswith("drain"):
            self.connection.config.group.drain()

    def _send(self) -> None:
        with contextlib.suppress(OSError):
            if (piece := next(self._pieces, None)) is None:
                self._client.shutdown(socket.SHUT_WR)
            else:
                self._client.sendall(piece)

    def _receive(self, most: int) -> None:
        with contextlib.suppress(OSError):
            while most > 0 and (data := self._client.recv(most)):
                self._received += data
                most -= len(data)


TARGETS = {"parser": try_parser, "connection": try_connection, "proxy-header": try_proxy_header}

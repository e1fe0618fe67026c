"""The targets: each takes any bytes, lets the server meet them, and raises AssertionError if a promise is broken.

The first bytes of an input choose how the rest of it is met: the dialect, the pieces in which it arrives, what goes
wrong on the way. What must come back is said by `tests.greenserver.oracle`, which shares nothing with the server.
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
"""Lines past this are abridged: short, so that the fuzzer need not write kilobytes to get there."""

SHORT_LINE_BYTES = 300
"""The longest command line, where the input asks for a short one."""

HEAD_BYTES = 6
"""The bytes of an input that choose how the rest is met."""

PROXY_HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"

_MOST_STEPS = 20_000
_EVENTS = ("", "", "", "timeout", "leave", "stop", "stop twice", "abort", "give up")
_FILES = {
    "one": b"1",
    "empty": b"",
    "text.txt": b"Hello, HFTP!\r\n0 OK\r\n",
    "middle": bytes(range(256)) * 8,
    "large": bytes(range(251)) * 1000,
}


class Trouble(logging.Handler):
    """Keeps what the server logs as an error: no input may make it do that."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Ground:
    """A directory with files, and with ways to a secret; made once."""

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
        self.trouble = Trouble()
        self._log = logging.getLogger("greenserver")

    def __enter__(self) -> "Self":
        self._log.addHandler(self.trouble)
        self._whole, limits.WHOLE_LINE_BYTES = limits.WHOLE_LINE_BYTES, WHOLE_LINE_BYTES  # type: ignore[misc]
        return self

    def __exit__(self, *_: object) -> None:
        limits.WHOLE_LINE_BYTES = self._whole  # type: ignore[misc]
        self._log.removeHandler(self.trouble)
        self.store.close()

    def oracle(self, dialect: str, longest_line: int) -> Oracle:
        """Return a judge that lists in the order of the directory."""
        shown = {name: _FILES[name] for name in os.listdir(self.files) if name in _FILES}
        return Oracle(dialect, shown, longest_line)

    def require_peace(self) -> None:
        """Fail if the server has met an error of its own."""
        assert not self.trouble.records, [(each.getMessage(), each.__dict__) for each in self.trouble.records]


@contextlib.contextmanager
def grounded() -> Iterator[Ground]:
    """Make a ground in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name, Ground(Path(name)) as ground:
        yield ground


@dataclass(frozen=True)
class Plan:
    """How an input is met, as its first bytes say."""

    dialect: str
    longest_line: int
    pieces: tuple[int, ...]
    may_block: bool
    is_introduced: bool
    event: str
    event_step: int
    take_bytes: int
    sent: bytes

    @classmethod
    def of(cls, data: bytes) -> "Plan":
        """Read the plan from an input; any bytes are one."""
        kind, event, step, *pieces = (data[:HEAD_BYTES] + bytes(HEAD_BYTES))[:HEAD_BYTES]
        return cls(
            dialect=sorted(DIALECTS)[kind & 3],
            longest_line=SHORT_LINE_BYTES if kind & 4 else limits.LINE_BYTES,
            pieces=tuple(pieces),
            may_block=bool(kind & 8),
            is_introduced=bool(kind & 16),
            take_bytes=1 << 16 if kind & 32 else 999,
            event=_EVENTS[event % len(_EVENTS)],
            event_step=step,
            sent=data[HEAD_BYTES:],
        )

    def cut(self, sent: bytes) -> Iterator[bytes]:
        """Yield the input in the pieces of the plan, over and over; in one piece if it has none."""
        lengths = [length for length in self.pieces if length] or [len(sent)]
        while sent:
            for length in lengths:
                if sent[:length]:
                    yield sent[:length]
                sent = sent[length:]


def try_parser(ground: Ground, data: bytes) -> None:
    """Cut input into lines, whole and in pieces, and answer each: the same lines, and the answers of the oracle."""
    plan = Plan.of(data)
    lines = lines_of(plan, [plan.sent])
    assert lines == lines_of(plan, list(plan.cut(plan.sent))), "whatever pieces it comes in"
    assert lines == lines_of(plan, [plan.sent[at : at + 1] for at in range(len(plan.sent))]), "byte by byte"
    assert not any(b"\n" in line for line in lines[:-1]), "a broken line is the last"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours, ServingConfig(ground.store, DIALECTS[plan.dialect]))
        replies = b""
        for line in lines:
            response = connection.parser_command(line.decode("latin-1") or "\r\n")
            replies += response.status.line + response.text
            if response.body is not None:
                with contextlib.closing(response.body) as body:
                    at = 0
                    while part := body.part(at):
                        replies += part
                        at += len(part)
            if response.closes:
                assert response.status.is_fatal or line == b"quit"
                break
    assert SECRET not in replies
    assert replies == ground.oracle(plan.dialect, plan.longest_line).replies(plan.sent)
    ground.require_peace()


def lines_of(plan: Plan, pieces: list[bytes]) -> list[bytes]:
    """Return the lines that pieces make, and check what the buffer holds meanwhile."""
    buffer = LineBuffer(plan.longest_line)
    lines: list[bytes] = []
    for piece in pieces:
        buffer.feed(piece)
        while (line := buffer.next_line()) is not None:
            lines.append(OVERLONG if line.endswith(OVERLONG) else line)  # what it said until then is for the log
        held = held_bytes(buffer)
        assert held <= WHOLE_LINE_BYTES + 1 + limits.ELEMENTS * limits.ELEMENT_BYTES, held
    return lines


def held_bytes(buffer: LineBuffer) -> int:
    """Return how many bytes of the line under way a buffer keeps."""
    long = buffer._long  # noqa: SLF001  (memory is what is promised)
    kept = 0 if long is None else sum(len(element) for element in long._elements)  # noqa: SLF001  (the same)
    return kept + len(buffer._rest)  # noqa: SLF001  (the same)


def try_conversation(ground: Ground, data: bytes) -> None:
    """Hold a conversation on a socket: what comes back is what the oracle says, or the start of it if it is cut short.

    Whatever happens, the socket is closed at the end, no descriptor stays behind and no error is logged.
    """
    plan = Plan.of(data)
    for has_reflex in (False, True):
        hold_conversation(ground, plan, has_reflex=has_reflex)


def hold_conversation(ground: Ground, plan: Plan, *, has_reflex: bool) -> None:
    """Hold it once, through the reflex of the conversation or past it: what is said is the same."""
    before = len(os.listdir("/proc/self/fd"))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        received = Talk(ground, plan, ours, theirs, has_reflex=has_reflex).run()
        assert ours.fileno() < 0, "closed"
    assert len(os.listdir("/proc/self/fd")) == before, "no descriptor stays behind"
    assert SECRET not in received
    expected = ground.oracle(plan.dialect, plan.longest_line).replies(plan.sent)
    if plan.event:
        assert expected.startswith(received), (plan, received[-200:])
    else:
        assert received == expected, (plan, received[:200], expected[:200])
    ground.require_peace()


def try_arrival(ground: Ground, data: bytes) -> None:
    """Send anything where a PROXY protocol header must come: no answer to what is none, and never an error."""
    plan = replace(Plan.of(data), is_introduced=True)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        received = Talk(ground, plan, ours, theirs, header=b"").run()
        assert ours.fileno() < 0, "closed"
    assert SECRET not in received
    if not plan.sent.startswith((b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")):
        assert received == b"", received[:100]
    ground.require_peace()


class Talk:
    """One conversation, driven a wait at a time in this thread, and its client."""

    def __init__(  # noqa: PLR0913  (two settings beside what it is made of)
        self,
        ground: Ground,
        plan: Plan,
        ours: socket.socket,
        theirs: socket.socket,
        *,
        header: bytes = PROXY_HEADER,
        has_reflex: bool = False,
    ) -> None:
        self._plan = plan
        self._has_reflex = has_reflex
        self._client = theirs
        self._began = monotonic()
        self._received = bytearray()
        self._pieces = plan.cut((header if plan.is_introduced else b"") + plan.sent)
        theirs.settimeout(0)
        config = ServingConfig(
            ground.store,
            DIALECTS[plan.dialect],
            limits=replace(limits.DEFAULTS, line_bytes=plan.longest_line),
            proxy_from=[ipaddress.ip_network("127.0.0.0/8")] if plan.is_introduced else (),
        )
        self.connection = Connection(ours, config, "fuzzer", may_block=plan.may_block)

    def run(self) -> bytes:
        """Talk until the conversation ends, and return all that came back."""
        steps = self.connection.steps()
        answer: object = None
        with contextlib.suppress(StopIteration):
            for step in range(_MOST_STEPS):
                wait = steps.send(answer)
                answer = self._happen(step, wait)
                if self._plan.event == "give up" and step >= self._plan.event_step:
                    steps.close()
                    break
            else:
                message = "the conversation does not end"
                raise AssertionError(message)
        self._take(1 << 20)
        return bytes(self._received)

    def _happen(self, step: int, wait: Wait) -> object:
        """Let time pass until the wait is over; return what to resume the generator with."""
        outcome: object = READY
        assert wait.deadline >= self._began, "a wait that could be met"
        if step == self._plan.event_step:
            if self._plan.event == "timeout" and wait.work is None:  # work takes as long as it takes
                return LATE
            self._disturb(self._plan.event)
        if wait.work is not None:
            wait.work()
        elif wait.events == READ:
            self._say()
            while self._has_reflex and (outcome := wait.outcome()) is KEEP_WAITING:
                self._say()
        elif wait.events == WRITE:
            self._take(self._plan.take_bytes)
        return outcome

    def _disturb(self, kind: str) -> None:
        if kind == "leave":
            self._take(1 << 20)
            self._client.close()
        elif kind == "abort":
            self.connection.abort()
        elif kind.startswith("stop"):
            self.connection.config.group.drain()

    def _say(self) -> None:
        with contextlib.suppress(OSError):
            if (piece := next(self._pieces, None)) is None:
                self._client.shutdown(socket.SHUT_WR)
            else:
                self._client.sendall(piece)

    def _take(self, most: int) -> None:
        with contextlib.suppress(OSError):
            while most > 0 and (data := self._client.recv(most)):
                self._received += data
                most -= len(data)


TARGETS = {"parser": try_parser, "conversation": try_conversation, "arrival": try_arrival}

"""The correct servers of the tests do, in raw bytes, what the protocol requires.

These are the server written apart and the styles into which bugs are planted. What the protocol leaves open is
accepted in all its forms, so one table serves them all.
"""

import base64
import contextlib
import os
import re
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.broken_servers.starting import PYTHON

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 20.0

CONCURRENT = {
    "apart": ["tests.conformance.correct_server"],
    **{
        style: ["tests.broken_servers", f"correct-{style}"]
        for style in ("threads", "lines", "loop", "streams", "forks")
    },
}
SERVERS = {
    **CONCURRENT,
    "apart-wrapping": ["tests.conformance.correct_server", "--wrap"],
    "sequential": ["tests.broken_servers", "correct-sequential"],
}
SPOKEN = [
    *((name, dialect) for name in SERVERS for dialect in ("2026", "raw")),
    *(("apart", dialect) for dialect in ("2019", "2018", "2016")),
    *(("threads", "2019"), ("lines", "2018"), ("loop", "2016")),
    *(("streams", "2016"), ("sequential", "2019"), ("forks", "2018")),
]
"""Each server in the latest dialect; the styles share their commands, so each of them speaks one other dialect."""

BINARY = bytes(range(256)) * 5 + b"\r\n\0\n\r"
LARGE = struct.pack(">1048576I", *range(1 << 20))
"""4 MiB, no two places alike: it fits into no socket's buffer."""
FILES = {"text.txt": b"Hello", "empty": b"", "binary.dat": BINARY, "large": LARGE, "n" * 255: b"long", "a..b--c_": b"1"}
ANY = rb"(?:%s) [^\r\n]*\r\n"
OK, BAD_EOL, BAD_REQUEST, UNKNOWN, INVALID, MISSING, PAST = (
    ANY % code for code in (b"0", b"100", b"101", b"200", b"201", b"202", b"203")
)
GARBAGE = ANY % b"101|200|201|202"
FOREIGN = ANY % b"201|202"


class Running:
    """A server in its own process."""

    def __init__(self, words: list[str], directory: Path, scratch: Path, dialect: str) -> None:
        port_file = scratch / "port"
        self._log = (scratch / "log").open("w+b")
        self.process = subprocess.Popen(
            [
                *(*PYTHON, "-m", *words, "-p", "0", "--port-file", str(port_file)),
                *("-d", str(directory), "--dialect", dialect),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not port_file.exists():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.01)
        self.port = int(port_file.read_text(encoding="ascii"))

    def connect(self) -> socket.socket:
        """Return a new connection."""
        return socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS)

    def ask(self, sent: bytes, *, ends: bool = True) -> bytes:
        """Return the reply to some bytes, until the server closes."""
        with self.connect() as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(sent)
            if ends:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)
            return read_all(sock)

    def log(self) -> str:
        """Return what the server wrote."""
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    def peak_kib(self) -> int:
        """Return the most resident memory that the server ever had, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))

    def close(self) -> None:
        """End the process and what it forked."""
        os.killpg(self.process.pid, 9)
        self.process.wait(TIMEOUT_SECONDS)
        self._log.close()


def read_all(sock: socket.socket) -> bytes:
    """Return all that comes until the end of the stream, which a reset is too."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(1 << 18):
            parts.append(data)
    return b"".join(parts)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with files, and with what is none."""
    path = tmp_path_factory.mktemp("apart") / "data"
    path.mkdir()
    for name, contents in FILES.items():
        (path / name).write_bytes(contents)
    (path / "folder").mkdir()
    (path / "folder" / "inner").write_bytes(b"inner")
    (path / "my file").write_bytes(b"a space")
    (path.parent / "secret").write_bytes(b"secret")
    (path / "link").symlink_to(path.parent / "secret")
    os.mkfifo(path / "fifo")
    return path


@pytest.fixture(scope="module")
def start(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Running]]:
    """Return what starts a server when it is first asked for."""
    servers: dict[tuple[str, str], Running] = {}

    def start_once(name: str, dialect: str = "2026") -> Running:
        if (name, dialect) not in servers:
            servers[name, dialect] = Running(SERVERS[name], directory, tmp_path_factory.mktemp("server"), dialect)
        return servers[name, dialect]

    yield start_once
    for server in servers.values():
        server.close()


Start = Callable[..., Running]

COMMON = {
    "nothing": (b"", b""),
    "quit": (b"quit\r\nget_file_listing\r\n", OK),
    "a LF for CR LF": (b"quit\n", BAD_EOL),
    "a LF inside": (b"qui\nt\n\r\nquit\r\n", BAD_EOL),
    "a LF before": (b"get_metadata empty\r\n\nquit\r\nquit\r\n", OK + rb"0\r\n" + BAD_EOL),
    "unread input after a LF": (b"\n" + b"x" * (1 << 20), BAD_EOL),
    "an unfinished line": (b"get_metadata empty\r\nquit", OK + rb"0\r\n"),
    "commands unknown": (b"foo\r\nGET_METADATA empty\r\nget_metadatax empty\r\n", UNKNOWN * 3),
    "a doubled space": (b"get_metadata  empty\r\n", GARBAGE),
    "a trailing space": (b"quit \r\n", GARBAGE),
    "a leading space": (b" quit\r\n", GARBAGE),
    "a NUL": (b"get_metadata a\0b\r\n", GARBAGE),
    "a lone CR": (b"get_metadata a\rb\r\n", GARBAGE),
    "bytes past ASCII": (b"\xff\xfe\x80\r\n", GARBAGE),
    "no file name": (b"get_metadata\r\nget_slice\r\nget_slice empty\r\nget_slice empty 0\r\n", INVALID * 4),
    "too many words": (b"quit x\r\nget_file_listing x\r\nget_metadata a b\r\nget_slice empty 0 0 x\r\n", INVALID * 4),
    "negative numbers": (b"get_slice text.txt -1 1\r\nget_slice text.txt 0 -1\r\n", INVALID * 2),
    "odd numbers": (
        b"".join(b"get_slice text.txt 0 %s\r\n" % odd for odd in (b"+1", b"1_0", b"-0", b"1.0", b"0x1", b"1e0", b"a")),
        INVALID * 7,
    ),
    "digits of another script": ("get_slice text.txt 0 \u0661\r\n".encode(), ANY % b"101|201"),
    "large numbers": (
        b"get_slice text.txt 9223372036854775808 0\r\nget_slice text.txt 0 99999999999999999999\r\n",
        PAST * 2,
    ),
    "thousands of digits": (b"get_slice text.txt 0 " + b"9" * 9000 + b"\r\n", ANY % b"201|203"),
    "past the end": (b"get_slice text.txt 5 1\r\nget_slice text.txt 6 0\r\nget_slice empty 0 1\r\n", PAST * 3),
    "201 first": (b"get_slice missing x 0\r\n", INVALID),
    "202 before 203": (b"get_slice missing 1000000 1\r\n", MISSING),
    "missing": (b"get_metadata missing\r\nget_metadata folder\r\nget_slice folder 0 0\r\n", MISSING + FOREIGN * 2),
    "no regular file": (b"get_metadata link\r\nget_slice link 0 0\r\nget_metadata fifo\r\n", FOREIGN * 3),
    "foreign": (
        b"get_metadata ../secret\r\nget_metadata /etc/passwd\r\nget_metadata folder/../../secret\r\n",
        FOREIGN * 3,
    ),
    "dots": (b"get_metadata .\r\nget_metadata ..\r\n", FOREIGN * 2),
    "sizes": (
        b"get_metadata text.txt\r\nget_metadata empty\r\nget_metadata %s\r\nget_metadata a..b--c_\r\n" % (b"n" * 255),
        OK + rb"5\r\n" + OK + rb"0\r\n" + OK + rb"4\r\n" + OK + rb"1\r\n",
    ),
    "a name of 256 bytes": (b"get_metadata " + b"n" * 256 + b"\r\n", MISSING),
    "a name of 5 MiB": (b"get_metadata " + b"n" * (5 << 20) + b"\r\nget_metadata empty\r\n", MISSING + OK + rb"0\r\n"),
    "a slice of a name of 5 MiB": (b"get_slice " + b"n" * (5 << 20) + b" 0 1\r\n", MISSING),
    "a line without an end": (b"x" * (10 << 20), BAD_REQUEST),
    "pipelining": (
        b"get_metadata text.txt\r\nfoo\r\n" * 5000 + b"quit\r\n",
        b"(?:%s5\r\n%s){5000}%s" % (OK, UNKNOWN, OK),
    ),
}


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("case", COMMON)
def test_replies_correctly(start: Start, name: str, case: str) -> None:
    sent, expected = COMMON[case]
    answer = start(name).ask(sent)
    assert re.fullmatch(expected, answer), answer[:500]


@pytest.mark.parametrize("name", SERVERS)
def test_accepts_input_byte_by_byte(start: Start, name: str) -> None:
    server = start(name)
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"foo\r\nget_metadata text.txt\r\nquit\r\n":
            sock.send(bytes([byte]))
        answer = read_all(sock)
    assert re.fullmatch(UNKNOWN + OK + rb"5\r\n" + OK, answer)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("sent", [b"quit\n", b"get_metadata empty\n"])
def test_reports_a_bare_lf_at_once(start: Start, name: str, sent: bytes) -> None:
    assert re.fullmatch(BAD_EOL, start(name).ask(sent, ends=False))


@pytest.mark.parametrize("name", SERVERS)
def test_rejects_an_empty_line(start: Start, name: str) -> None:
    assert re.fullmatch(BAD_REQUEST, start(name).ask(b"\r\nquit\r\n", ends=False))


@pytest.mark.parametrize(("name", "dialect"), [row for row in SPOKEN if row[1] not in {"2026", "raw"}])
def test_replies_to_an_empty_line_in_an_earlier_dialect(start: Start, name: str, dialect: str) -> None:
    assert re.fullmatch(ANY % b"101|200|201", start(name, dialect).ask(b"\r\n"))


@pytest.mark.parametrize(("name", "dialect"), [row for row in SPOKEN if row[1] != "raw"])
def test_lists_exactly_what_can_be_fetched(start: Start, name: str, dialect: str) -> None:
    status, *names, empty, end = start(name, dialect).ask(b"get_file_listing\r\n").decode("ascii").split("\r\n")
    assert status.startswith("0 ")
    assert (sorted(names), empty, end) == (sorted(FILES), "", "")


@pytest.mark.parametrize("name", SERVERS)
def test_help_lists_the_commands_of_the_latest_dialect(start: Start, name: str) -> None:
    status, *names, empty, end = start(name).ask(b"help\r\n").split(b"\r\n")
    assert status.startswith(b"0 ")
    assert (set(names), empty, end) == (
        {b"help", b"quit", b"get_file_listing", b"get_metadata", b"get_slice"},
        b"",
        b"",
    )
    assert re.fullmatch(INVALID, start(name).ask(b"help x\r\n"))


@pytest.mark.parametrize("name", ["apart", "threads"])  # the styles share their commands
def test_help_is_unknown_in_an_earlier_dialect(start: Start, name: str) -> None:
    assert re.fullmatch(UNKNOWN, start(name, "2019").ask(b"help\r\n"))


def decode(reply: bytes, dialect: str, size: int) -> bytes:
    """Return the contents of the reply to a slice, or fail."""
    status, _, body = reply.partition(b"\r\n")
    assert status.startswith(b"0 "), reply[:80]
    if dialect == "raw":
        head = b"Content-Length: %d\r\n\r\n" % size
        assert body.startswith(head)
        return body[len(head) :]
    if dialect == "2018":
        return body
    if dialect == "2016":
        pieces, at = [], 0
        while not body.startswith(b"0 ", at):
            start = body.index(b" ", at) + 1
            end = start + int(body[at : start - 1])
            pieces.append(body[start:end])
            at = end + 2
            assert body[end:at] == b"\r\n"
        assert body[at:] == b"0 \r\n"
        return b"".join(pieces)
    lines = body.removesuffix(b"\r\n").split(b"\r\n")
    assert dialect == "2026" or len(lines) == 1
    return b"".join(base64.b64decode(line, validate=True) for line in lines)


RANGES = [
    *(("text.txt", offset, size) for offset in range(6) for size in range(6 - offset)),
    ("empty", 0, 0),
    ("binary.dat", 0, len(BINARY)),
    ("binary.dat", 255, 600),
    ("large", 1, len(LARGE) - 1),
]


@pytest.mark.parametrize(("name", "dialect"), SPOKEN)
def test_sends_exact_slices(start: Start, name: str, dialect: str) -> None:
    server = start(name, "2026" if dialect == "raw" else dialect)
    for file, offset, size in RANGES:
        form = b" raw" if dialect == "raw" else b""
        reply = server.ask(b"get_slice %s %d %d%s\r\n" % (file.encode("ascii"), offset, size, form))
        assert decode(reply, dialect, size) == FILES[file][offset : offset + size], (file, offset, size)


@pytest.mark.parametrize("name", SERVERS)
def test_survives_clients_that_reset_or_disconnect(start: Start, name: str) -> None:
    server = start(name)
    for sent in (b"", b"get_meta", b"get_slice large 0 %d\r\n" % len(LARGE), b"quit\r\nx"):
        for ends in (False, True):
            sock = server.connect()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.sendall(sent)
            if ends:  # a server that has read the end finds the reset where it expects none: in its own shutdown
                sock.shutdown(socket.SHUT_WR)
            sock.close()
    assert re.fullmatch(OK + rb"5\r\n", server.ask(b"get_metadata text.txt\r\n"))
    assert server.process.poll() is None


@pytest.mark.parametrize("name", CONCURRENT)
def test_idle_and_stalled_clients_do_not_block_others(start: Start, name: str) -> None:
    server = start(name)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(200)]
        slow = stack.enter_context(server.connect())
        slow.sendall(b"get_slice large 0 %d\r\n" % len(LARGE) * 3 + b"quit\r\n")
        assert re.fullmatch(OK + rb"5\r\n", server.ask(b"get_metadata text.txt\r\n"))
        for sock in idle:
            sock.sendall(b"get_metadata text.txt\r\nquit\r\n")
        assert all(re.fullmatch(OK + rb"5\r\n" + OK, read_all(sock)) for sock in idle)
        assert len(read_all(slow)) > 4 * len(LARGE)


@pytest.mark.parametrize("name", ["apart", "threads"])  # the styles share their commands
def test_reads_the_directory_for_each_request(name: str, tmp_path: Path) -> None:
    directory, scratch = tmp_path / "data", tmp_path / "scratch"
    directory.mkdir()
    scratch.mkdir()
    server = Running(SERVERS[name], directory, scratch, "2026")
    try:
        assert re.fullmatch(OK + rb"\r\n", server.ask(b"get_file_listing\r\n"))
        (directory / "new").write_bytes(b"1")
        assert re.fullmatch(OK + rb"new\r\n\r\n", server.ask(b"get_file_listing\r\n"))
        assert re.fullmatch(OK + rb"1\r\n", server.ask(b"get_metadata new\r\n"))
        (directory / "new").write_bytes(b"22")
        assert re.fullmatch(OK + rb"2\r\n", server.ask(b"get_metadata new\r\n"))
    finally:
        server.close()


def test_independent_server_needs_bounded_memory(directory: Path, tmp_path: Path) -> None:
    server = Running(SERVERS["apart"], directory, tmp_path, "2018")
    try:
        server.ask(b"get_metadata text.txt\r\n")
        before = server.peak_kib()
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                sock = stack.enter_context(server.connect())
                sock.sendall(b"get_slice large 0 %d\r\n" % len(LARGE))
            server.ask(b"get_metadata " + b"n" * (5 << 20) + b"\r\n")
            server.ask(b"x" * (24 << 20))
            grown = server.peak_kib() - before
    finally:
        server.close()
    assert grown < 16 << 10, f"{grown} KiB for 20 stalled slices of 4 MiB and 29 MiB of lines"

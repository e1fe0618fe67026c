"""Servers that are hostile to a client, or meet bad luck: what `hftp` does, and what it leaves.

`python -m tests.greenserver.client.hostile` prints a table: exit status, seconds, peak memory, files left, the line.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.greenserver.client.program import measured
from tests.greenserver.client.scripted import Handler, Peer, one_file, serving, slice_of

CONTENT: Final = b"0123456789abcdef" * 65536
"""1 MiB."""
FLOOD_BYTES: Final = 96 << 20
"""More than a client may use of memory."""
LIMIT_KIB: Final = 64 << 10
SECONDS: Final = 60.0
_FLOOD: Final = b"A" * (1 << 20)
_TIMES: Final = ("--timeout", "1", "--retries", "1")


class Case(NamedTuple):
    """A server, a command line, and how that has to end."""

    handler: Callable[[], Handler]
    words: str
    """The address comes after the first one."""
    status: int
    line: str
    """What is to be found in the only line on standard error."""
    left: tuple[str, ...] = ()
    """Files that may be there; * stands for a partial file and its record."""


def flood(begin: bytes, piece: bytes = _FLOOD) -> Callable[[Peer, list[str]], bytes]:
    """Return a reply that does not end for a while."""

    def send(peer: Peer, _words: list[str]) -> bytes:
        peer.send(begin)
        for _ in range(FLOOD_BYTES // len(piece)):
            peer.send(piece)
        return b""

    return send


def says(reply: bytes) -> Callable[[Peer, list[str]], bytes]:
    """Return a reply that is always the same."""
    return lambda _peer, _words: reply


def listing(*names: bytes) -> Callable[[Peer, list[str]], bytes]:
    """Return a listing."""
    return says(b"0 OK\r\n" + b"".join(name + b"\r\n" for name in names) + b"\r\n")


def silent(peer: Peer, _words: list[str]) -> bytes:
    """Say nothing, until the client has had enough."""
    peer.wait_for_end()
    return b""


def drip(peer: Peer, _words: list[str]) -> bytes:
    """Say a byte now and then."""
    for _ in range(600):
        peer.send(b"0")
        time.sleep(0.05)
    return b""


def vanishing(peer: Peer, words: list[str]) -> bytes:
    """Close in the middle of a slice, each time a bit later."""
    start = int(words[2])
    peer.send(slice_of(CONTENT, ["", "", str(start), str(len(CONTENT) - start)])[:100_000])
    return b""


def growing() -> Handler:
    """Return a server whose file is longer each time that one asks."""
    sizes = itertools.count(1000)
    return one_file(CONTENT, get_metadata=lambda *_: b"0 OK\r\n%d\r\n" % next(sizes))


def shrinking() -> Handler:
    """Return a server whose file gets shorter after the first question."""
    sizes = itertools.chain([len(CONTENT)], itertools.repeat(500))
    beyond = says(b"203 OFFSET EXCEEDS FILE SIZE\r\n")
    return one_file(CONTENT, get_metadata=lambda *_: b"0 OK\r\n%d\r\n" % next(sizes), get_slice=beyond)


def of(**replies: Callable[[Peer, list[str]], bytes]) -> Callable[[], Handler]:
    """Return what makes a server with one file, but for some replies."""
    return lambda: one_file(CONTENT, **replies)


def at_once(said: bytes) -> Callable[[], Handler]:
    """Return what makes a server that says something to each client, and closes."""

    def handle(peer: Peer) -> None:
        if said:
            peer.send(said)
        else:
            peer.line()

    return lambda: handle


def many_names(count: int) -> Callable[[Peer, list[str]], bytes]:
    """Return a listing of so many names."""

    def send(peer: Peer, _words: list[str]) -> bytes:
        peer.send(b"0 OK\r\n")
        for start in range(0, count, 10_000):
            peer.send(b"".join(b"file-%07d\r\n" % number for number in range(start, start + 10_000)))
        return b"\r\n"

    return send


UNSAFE: Final = (
    b"../outside",
    b"/tmp/outside",
    b"..",
    b".",
    b"a/b",
    b"\x1b[2Jwiped",
    b"a b",
    b"\xff\xfe",
    b"\0",
    b"n" * 300,
)
SHORT_SLICE: Final = says(b"0 OK\r\nQUJD\r\n\r\n")
LONG_SLICE: Final = says(b"0 OK\r\n" + b"QUJD" * (len(CONTENT) // 2) + b"\r\n")

CASES: Final[dict[str, Case]] = {
    "right": Case(of(), "get file", 0, "", ("file",)),
    "no file": Case(of(get_metadata=says(b"202 FILE NOT FOUND\r\n")), "get file", 1, "202 FILE NOT FOUND"),
    "busy": Case(at_once(b"199 BUSY\r\n"), "get file", 1, "199 BUSY"),
    "closes at once": Case(at_once(b""), "get file", 3, "the connection was lost"),
    "speaks HTTP": Case(at_once(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "get file", 4, "'HTTP/1.1 400 Bad Request'"),
    "silent": Case(of(get_metadata=silent), "get file", 3, "nothing in 1 s"),
    "silent in a slice": Case(of(get_slice=silent), "get file", 3, "nothing in 1 s"),
    "drips a status line": Case(of(get_metadata=drip), "get file", 3, "bytes in 1 s"),
    "drips a slice": Case(of(get_slice=drip), "get file --dialect 2018", 3, "bytes in 1 s"),
    "vanishes": Case(of(get_slice=vanishing), "get file --dialect 2019", 3, "the connection was lost", ("*",)),
    "floods a status line": Case(of(get_metadata=flood(b"0 ")), "get file", 4, "does not end in CR LF"),
    "floods a size": Case(
        of(get_metadata=flood(b"0 OK\r\n", b"1" * (1 << 20))), "get file", 4, "does not end in CR LF"
    ),
    "floods a name": Case(of(get_file_listing=flood(b"0 OK\r\n")), "mirror", 4, "does not end in CR LF"),
    "floods with zeros": Case(
        of(get_slice=flood(b"0 OK\r\n", bytes(1 << 20))), "get file --dialect 2019", 4, "not the base64"
    ),
    "floods a slice": Case(of(get_slice=flood(b"0 OK\r\n")), "get file --dialect 2019", 4, "not the base64", ("*",)),
    "floods when its dialect is unknown": Case(
        of(get_slice=flood(b"0 OK\r\n")), "get file", 4, "does not end in CR LF"
    ),
    "floods after a reply": Case(of(quit=flood(b"0 OK\r\n")), "get file", 0, "", ("file",)),
    "names without an end": Case(
        of(get_file_listing=flood(b"0 OK\r\n", b"n\r\n" * 350_000)), "mirror", 4, "more than 10000000 names"
    ),
    "a million names": Case(of(get_file_listing=many_names(1_000_000)), "ls --quiet", 0, ""),
    "unsafe names": Case(
        of(get_file_listing=listing(b"file", *UNSAFE)), "mirror", 4, "not a safe name for a file", ("file",)
    ),
    "a name twice": Case(of(get_file_listing=listing(b"file", b"file")), "mirror", 0, "", ("file",)),
    "a size that is no number": Case(of(get_metadata=says(b"0 OK\r\n1e9\r\n")), "get file", 4, "'1e9'"),
    "a size beyond the disk": Case(
        of(get_metadata=says(b"0 OK\r\n%d\r\n" % 10**18)), "get file", 6, "no room for file"
    ),
    "a size beyond all numbers": Case(of(get_metadata=says(b"0 OK\r\n" + b"9" * 40 + b"\r\n")), "get file", 4, "99"),
    "a size that is too small": Case(of(get_metadata=says(b"0 OK\r\n9\r\n")), "get file", 0, "", ("file",)),
    "a size that is too large": Case(
        of(get_metadata=says(b"0 OK\r\n%d\r\n" % (len(CONTENT) + 1))), "get file", 4, "too early", ("*",)
    ),
    "a slice that is too short": Case(of(get_slice=SHORT_SLICE), "get file --dialect 2019", 4, "too early", ("*",)),
    "a slice that is too long": Case(of(get_slice=LONG_SLICE), "get file --dialect 2019", 4, "not the base64", ("*",)),
    "a slice that is no base64": Case(
        of(get_slice=says(b"0 OK\r\n<html>404</html>\r\n")), "get file", 4, "instead of a status line"
    ),
    "a file that grows": Case(growing, "get file", 5, "the file changed"),
    "a file that shrinks": Case(shrinking, "get file", 5, "the file changed"),
    "another digest": Case(of(), "get file --expect " + "0" * 64, 5, "the SHA-256 is"),
    "a text that clears the screen": Case(
        of(get_metadata=says(b"202 \x1b[2J\x1b]0;owned\x07\r\n")), "get file", 1, "202"
    ),
}


LONG: Final = frozenset({"names without an end"})
"""What takes longer than a test should."""


class Ending(NamedTuple):
    """How a command has ended."""

    status: int
    seconds: float
    peak_kib: int
    left: tuple[str, ...]
    output: bytes
    errors: str


def run(name: str, folder: Path) -> Ending:
    """Run the command of a case in a folder, in a process of its own."""
    case = CASES[name]
    command, *words = case.words.split()
    outside = sorted(folder.parent.iterdir())
    told = folder.parent / "peak"
    with serving(case.handler()) as address:
        began = time.monotonic()
        with subprocess.Popen(
            measured(told, command, address, *words, *_TIMES),
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            output, errors = process.communicate(timeout=SECONDS)
    peak_kib = int(told.read_text())
    told.unlink()
    assert sorted(folder.parent.iterdir()) == outside, "something was left outside"
    left = {"*" if path.name.startswith(".hftp-") else path.name for path in folder.iterdir()}
    seconds = time.monotonic() - began
    return Ending(process.returncode, seconds, peak_kib, tuple(sorted(left)), output, errors.decode())


def table() -> Iterator[str]:
    """Yield the rows of the table."""
    yield f"{'server':32}{'exit':>5}{'s':>7}{'MiB':>5}  {'left':8}  line"
    with tempfile.TemporaryDirectory() as scratch:
        for number, name in enumerate(CASES):
            folder = Path(scratch, str(number), "target")
            folder.mkdir(parents=True)
            end = run(name, folder)
            line, _, more = end.errors.partition("\n")
            figures = f"{end.status:>5}{end.seconds:7.2f}{end.peak_kib >> 10:5}"
            yield f"{name:32}{figures}  {' '.join(end.left) or '-':8}  {line[:90]}{' ...' if more else ''}"


if __name__ == "__main__":
    for row in table():
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()

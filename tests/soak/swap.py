"""Request names outside the directory, and names that change into links to a secret: the secret never leaks.

``python -m tests.soak.swap DIRECTORY`` replaces a few entries of a directory in a loop, as fast as it can.
"""

import collections
import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.greenserver.launching import LaunchedServer
from tests.greenserver.serving import ROOT

SECRET = b"\xa5" * 4096
"""Its byte occurs nowhere else, and its base64 repeats the same four characters."""

_PUBLIC = b"public"
_TRACES = (SECRET[:1], b"paWl", b"\r\n4096\r\n", b"Length: 4096\r")
"""Bytes of a reply that would reveal the secret or its size."""

_NAMES = (
    *(b"file", b"file", b"file", b"other", b"folder", b"folder/secret", b"folder/../file", b"file/secret", b"./file"),
    *(b"../outside/secret", b"..", b".", b"/etc/passwd", b"..%2foutside%2fsecret", b"..\\outside\\secret", b"secret"),
    *(b"file/../../outside/secret", b"//file", b"file/", b"file\0", b"\xe2\x80\xa5/outside/secret", b"~", b"*"),
    *(b".hidden", b"link", b"n" * 255, b"../" * 100 + b"secret", b"file;secret", b"$(cat secret)", b"fil?"),
)
_REQUESTS = (
    b"get_metadata %b",
    b"get_slice %b 0 6 raw",
    b"get_slice %b 0 6",
    b"get_slice %b 0 4096 raw",
    b"get_slice %b 7 4089",
    b"get_slice %b 0 1",
)
_CLIENTS = 4
_TIMEOUT_SECONDS = 30.0


def swap(scratch: Path, engine: str, *, seconds: float, **_: object) -> dict[str, Any]:
    """Request names while they alternate between files, links to a secret, directories and FIFOs."""
    files = populate(scratch)
    server = LaunchedServer(files, scratch / "server", engine)
    statuses: collections.Counter[str] = collections.Counter()
    lock = threading.Lock()
    failures: list[bytes] = []
    began = time.monotonic()

    def is_time_up() -> bool:
        now = time.monotonic() - began
        return bool(failures) or now > seconds + _TIMEOUT_SECONDS or (now > seconds and {"0", "202"} <= set(statuses))

    def send_requests(rng: random.Random) -> None:
        while not is_time_up():
            sent = [rng.choice(_REQUESTS) % rng.choice(_NAMES) for _ in range(10)]
            reply = server.ask(b"\r\n".join([*sent, b"get_file_listing", b""]))
            with lock:
                statuses.update(line.split()[0].decode("ascii") for line in reply.split(b"\r\n") if is_status(line))
                if any(trace in reply for trace in _TRACES):
                    failures.append(reply)

    with contextlib.closing(server), swapping(files) as swapper:
        clients = [threading.Thread(target=send_requests, args=(random.Random(number),)) for number in range(_CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert not failures, failures[0]
        assert swapper.poll() is None, "the names alternated until the end"
        assert statuses["0"], "the file was served"
        assert statuses["202"], "another entry was rejected"
    return {"replies": sum(statuses.values()), **{f"status_{key}": statuses[key] for key in sorted(statuses)}}


def is_status(line: bytes) -> bool:
    """Return whether a line is a status line; here no other line looks like one."""
    number, _, text = line.partition(b" ")
    return number.isdigit() and text.isupper()


def populate(scratch: Path) -> Path:
    """Make a directory to serve, with a secret beside it."""
    (scratch / "outside").mkdir()
    (scratch / "outside" / "secret").write_bytes(SECRET)
    files = scratch / "files"
    files.mkdir()
    (files / "other").write_bytes(_PUBLIC)
    (files / ".hidden").write_bytes(SECRET)
    (files / "link").symlink_to("../outside/secret")
    return files


@contextlib.contextmanager
def swapping(files: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Swap in a separate process, which does not wait for the GIL of this one."""
    command = [sys.executable, "-m", "tests.soak.swap", str(files)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout is not None
        swapper.stdout.readline()
        try:
            yield swapper
        finally:
            swapper.kill()


def swap_for_ever(directory: str) -> None:
    """Replace `file` and `folder` in a loop, atomically where possible, and with gaps elsewhere."""
    os.chdir(directory)
    absolute = str(Path("../outside/secret").resolve())
    sys.stdout.write("\n")
    sys.stdout.flush()
    while True:
        Path("file.new").write_bytes(_PUBLIC)
        Path("file.new").replace("file")
        for target in ("../outside/secret", absolute, "link", ".hidden", "/proc/self/cwd/../outside/secret"):
            Path("file.new").symlink_to(target)
            Path("file.new").replace("file")
            Path("file.new").write_bytes(_PUBLIC)
            Path("file.new").replace("file")
        os.mkfifo("file.new")
        Path("file.new").replace("file")
        Path("file").unlink()
        Path("file").mkdir()
        Path("file").rmdir()
        Path("folder").symlink_to("../outside")
        Path("folder").unlink()
        Path("folder").mkdir()
        Path("folder").rmdir()


if __name__ == "__main__":
    swap_for_ever(sys.argv[1])

"""Without optional system calls or ctypes, every engine serves the same bytes."""

import base64
import shutil
import socket
import sys
from pathlib import Path

import pytest

from greenserver.io import c_library
from tests.greenserver.conftest import LARGE, TEXT
from tests.greenserver.program import PROGRAM, running
from tests.greenserver.serving import ENGINES, TIMEOUT_SECONDS, run_script

OPTIONAL = (
    *("RWF_NOWAIT", "RWF_HIPRI", "eventfd", "eventfd_read", "eventfd_write", "EFD_NONBLOCK", "EFD_CLOEXEC"),
    *("pidfd_open", "memfd_create", "copy_file_range", "splice", "getrandom", "posix_fadvise", "sendfile"),
)
"""What Python has in `os` only if the C library that it was built with has it."""

# `ctypes` has nothing either where Python was built without libffi.
WITHOUT = f"""
import os, sys
for name in {OPTIONAL!r}:
    if hasattr(os, name):
        delattr(os, name)
sys.modules["ctypes"] = None
from greenserver.__main__ import main
main()
"""

REFUSED = {
    "an old kernel": ("ENOSYS", "preadv2,openat2,eventfd2,pidfd_open,close_range"),
    "a container": ("EPERM", "openat2,eventfd2,pidfd_open,close_range"),
}


def ask(port: int) -> list[bytes]:
    """Return the lines that a server answers: a small slice twice, a large one, and a listing."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as client, client.makefile("rb") as replies:
        small = b"get_slice text.txt 0 41\r\n"
        client.sendall(small * 2 + b"get_slice large.bin 0 %d\r\nget_file_listing\r\nquit\r\n" % len(LARGE))
        return replies.read().split(b"\r\n")


def check(lines: list[bytes]) -> None:
    """Compare the answers with the files."""
    text = base64.b64encode(TEXT)
    assert lines[:5] == [b"0 OK", text, b"0 OK", text, b"0 OK"]
    assert base64.b64decode(lines[5], validate=True) == LARGE
    assert {b"text.txt", b"large.bin", b"one"} < set(lines[7:])
    assert lines[-2:] == [b"0 OK", b""]


@pytest.mark.once
@pytest.mark.parametrize("engine", ENGINES)
def test_serves_with_an_old_c_library(engine: str, directory: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT]
    with running(tmp_path, "-d", str(directory), "--engine", engine, command=command) as server:
        for _ in range(2):
            check(ask(server.port))
    assert "Traceback" not in server.log


@pytest.mark.once
@pytest.mark.parametrize("engine", ["gevent", "selectors"])
@pytest.mark.parametrize(("error", "calls"), REFUSED.values(), ids=REFUSED)
def test_serves_if_the_kernel_or_a_container_refuses_the_calls(
    engine: str, error: str, calls: str, directory: Path, tmp_path: Path
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is missing (apt-get install strace)")
    strace = ["strace", "--interruptible=never", "--daemonize", "-f", "-qq", "-o", "/dev/null"]
    command = [*strace, f"--trace={calls}", f"--inject={calls}:error={error}", PROGRAM]
    with running(tmp_path, "-d", str(directory), "--engine", engine, command=command) as server:
        for _ in range(2):
            check(ask(server.port))


def test_missing_function_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert c_library.find("no_such_function") is None
    getpid = c_library.find("getpid", keeps_gil=True)
    assert getpid is not None
    assert getpid() > 0
    monkeypatch.setattr(c_library, "_ctypes", None)
    assert c_library.find("getpid") is None


def test_static_interpreter_has_no_functions() -> None:
    refuse = "def refuse(*_, **__): raise OSError('Dynamic loading not supported')"
    done = run_script(
        f"import ctypes\n{refuse}\nctypes.PyDLL = ctypes.CDLL = refuse\n"
        "from greenserver.io import allocator, c_library\n"
        "print(c_library.SYSCALL, allocator.configure())"
    )
    assert (done.stdout, done.stderr) == ("None False\n", "")

"""Show it all in one go: serve a sample tree, fetch it, have the server judged, and open the report.

Each part is a program of its own, started by the command line that is shown, so that all of it can be repeated by hand.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Final

from greenserver.io.standard_streams import print_line

INTERRUPTED: Final = 130
LARGE_BYTES: Final = 32 << 20
"""Of the largest sample: the time to fetch it can be seen."""
_BLOCK_BYTES: Final = 1 << 20
_CSV_ROWS: Final = 1000
_END_SECONDS: Final = 10.0
"""How long a program may take to end before it is killed."""
MODULES: Final = {"greenserver": "greenserver", "hftp": "greenserver.client", "conformance": "conformance"}
DISPLAYS: Final = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")


class DemoError(Exception):
    """A part of the demonstration failed."""


def run(report: Path | None = None, *, is_browser_wanted: bool = True) -> None:
    """Run the demonstration. Raise DemoError, OSError, or KeyboardInterrupt on SIGINT and SIGTERM.

    The report is kept, in a temporary directory of its own unless it is given a place; all else is removed.
    """
    with _interrupted_by_sigterm(), tempfile.TemporaryDirectory(prefix="greenserver-demo-") as scratch:
        served = Path(scratch, "served")
        make_samples(served, LARGE_BYTES)
        with _server(served, Path(scratch, "port")) as address:
            _do("fetch the files", ["hftp", "mirror", address, "--directory", str(Path(scratch, "fetched"))])
            if find_spec(MODULES["conformance"]) is None:
                print_line("")
                print_line("The server is not judged: conformance is not installed.")
                return
            path = report or Path(tempfile.mkdtemp(prefix="greenserver-report-"), "report.html")
            _do("judge the server", judge_command(address, path))
    print_line("")
    print_line(f"The report: {path}")
    if is_browser_wanted:
        _open(path)


def judge_command(address: str, report: Path) -> list[str]:
    """Return the command line that judges the server by the files that it has."""
    return ["conformance", "run", address, "--html", str(report)]


def make_samples(directory: Path, large_bytes: int) -> None:
    """Make a directory with some files to serve. Raise OSError."""
    directory.mkdir()
    (directory / "hello.txt").write_text("Hello, world!\n", encoding="ascii")
    rows = "".join(f"{number},{number * number}\n" for number in range(_CSV_ROWS))
    (directory / "squares.csv").write_text(f"number,square\n{rows}", encoding="ascii")
    block = os.urandom(_BLOCK_BYTES)
    with (directory / "large.bin").open("wb") as file:
        for start in range(0, large_bytes, _BLOCK_BYTES):
            file.write(block[: large_bytes - start])


# --- Programs --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _server(served: Path, port_file: Path) -> Iterator[str]:
    """Serve a directory, and give the address."""
    words = ["greenserver", "--directory", str(served), "--port", "0", "--port-file", str(port_file), "--quiet"]
    with _started("serve some files", words, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline() if process.stdout is not None else b""
        if not line:
            message = f"greenserver did not start (exit status {process.wait()})"
            raise DemoError(message)
        print_line(line.decode(errors="backslashreplace").rstrip("\n"))
        yield f"127.0.0.1:{port_file.read_text(encoding='ascii').strip()}"


def _do(what: str, words: Sequence[str]) -> None:
    """Run a program until it ends. Raise DemoError unless all went well."""
    with _started(what, words) as process:
        status = process.wait()
    if status:
        message = f"{shlex.join(words[:2])} failed (exit status {status})"
        raise DemoError(message)


@contextlib.contextmanager
def _started(what: str, words: Sequence[str], stdout: int | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a program, and end it afterwards. A terminal interrupts it together with this process."""
    print_line("")
    print_line(f"{what.capitalize()}: {shlex.join(words)}")
    settings = {name: value for name, value in os.environ.items() if not name.startswith("GREENSERVER_")}
    command = [sys.executable, "-m", MODULES[words[0]], *words[1:]]
    with subprocess.Popen(  # noqa: S603  (our own programs)
        command, stdin=subprocess.DEVNULL, stdout=stdout, env=settings
    ) as process:
        try:
            yield process
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        if process.poll() is None:
            process.terminate()
        process.wait(_END_SECONDS)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        process.kill()


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _open(path: Path) -> None:
    """Open a page in the browser, if there is a display and a browser on it."""
    if not any(map(os.environ.get, DISPLAYS)):
        return
    import webbrowser  # noqa: PLC0415  (not needed to serve, and looks for all browsers)

    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(path.absolute().as_uri())

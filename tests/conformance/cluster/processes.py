"""A scheduler and workers of Dask as processes of their own; jobs for them, which say in a file what they do."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from conformance.target.sockets import free_port

if TYPE_CHECKING:
    from typing_extensions import Self

ROOT: Final = Path(__file__).parents[3]
SECONDS: Final = 600.0
"""How long anything may take."""
LACKS_SUITE: Final = "import sys; sys.modules['conformance'] = None; "
"""What a process runs first that cannot import the suite."""


class Cluster:
    """A context manager; leaving it kills all processes."""

    def __init__(self, place: Path, scheduler: str = "") -> None:
        self.place = place
        self.port = free_port()
        self._first = scheduler
        self.workers: list[subprocess.Popen[bytes]] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Self":
        self.scheduler = self._start("scheduler", self._first, "--port", str(self.port), "--no-show")
        return self

    def __exit__(self, *_exception: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    @property
    def where(self) -> str:
        """What `--on` takes."""
        return f"dask://127.0.0.1:{self.port}"

    def add_worker(self, first: str = "") -> "subprocess.Popen[bytes]":
        """Start a worker, which runs one job at a time."""
        worker = self._start("worker", first, f"tcp://127.0.0.1:{self.port}", "--no-nanny", "--nthreads", "1")
        self.workers.append(worker)
        return worker

    def await_workers(self, count: int) -> None:
        """Wait until there are so many."""
        from distributed import Client  # noqa: PLC0415  (an extra)

        with Client(f"tcp://127.0.0.1:{self.port}", timeout=SECONDS, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=SECONDS)

    def _start(self, what: str, first: str, *words: str) -> "subprocess.Popen[bytes]":
        temporary = self.place / "worker"
        temporary.mkdir(exist_ok=True)
        program = f"{first}from distributed.cli.dask_{what} import main; main()"
        words = ("--host", "127.0.0.1", "--no-dashboard", *words)
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                program,
                *words,
                *(["--local-directory", str(temporary)] if what == "worker" else []),
            ],
            cwd=self.place,
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        return process


# --- Jobs --------------------------------------------------------------------------------------------


def job(item: "tuple[str, str, str]", stop: threading.Event) -> str:
    """Do something, and write into a file, in a line each, that it begins and how it ends."""
    file, name, what = item
    note(file, f"{name} begins")
    if what == "fails":
        message = f"{name} fails"
        raise OSError(message)
    if what == "kills":
        os.kill(os.getpid(), 9)
    while what == "goes" and not Path(file).with_name("go").exists():
        time.sleep(0.05)
    if what == "waits":
        stop.wait(SECONDS)
    time.sleep(0.05)
    note(file, f"{name} {'is stopped' if stop.is_set() else 'ends'}")
    return name.upper()


def note(file: str, line: str) -> None:
    """Append a line to a file, at once and whole."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def notes(file: "str | Path") -> list[str]:
    """Return the lines of a file; none if it is not there."""
    with contextlib.suppress(FileNotFoundError):
        return Path(file).read_text(encoding="utf-8").splitlines()
    return []


def await_that(is_so: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)

"""Judges every hostile server by the real command line, and shows what that took and what was left, as a table.

`python -m tests.broken_servers.hostile.gallery [PATTERN...]`; the exit status is 1 if anything is out of bounds.
"""

import contextlib
import fnmatch
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from conformance.config import FIXED_SEED
from tests.broken_servers.hostile.__main__ import INTRUDING, NAMES
from tests.broken_servers.hostile.intruders import LIMITED
from tests.broken_servers.hostile.victim import Victim

ROOT = Path(__file__).parents[3]
MOST_SECONDS = 300.0
MOST_MIB = 300
MOST_CONFINED_MIB = 2300
"""Of the suite, or a server that a sandbox ends for what it takes beyond 2 GiB."""
MOST_DISK_MIB = 200
_TOGETHER = 4
_LOOK_SECONDS = 0.1
_OPTIONS = ("--seed", str(FIXED_SEED), "--size", "64K", "--clients", "10", "--timeout-scale", "0.2")
PARDONED = {
    "slow",
    "leave-daemons-at-listing",
    "print-gigabyte-at-listing",
    "fill-directory-at-listing",
    "link-subdirectory-at-empty",
    *(
        f"{name}-at-listing"
        for name in ("read-dear", "write-dear", "write-log", "remount", "kill-others", "fill-disk", "connect-to-host")
    ),
}
"""Servers that need not fail: they answer rightly, and leave what the suite made as it is, or a sandbox stops them."""


class Row(NamedTuple):
    """What a run took, and what it left."""

    name: str
    exit: int
    seconds: float
    memory_mib: int
    """The peak of the resident memory of the suite, or of a process that it has started."""
    disk_mib: int
    """The peak of its temporary directory and its reports."""
    processes: int
    files: int
    """What was left in the temporary directory."""
    changes: int
    """What was changed outside."""
    said: str

    def problems(self) -> list[str]:
        """Return what is out of bounds."""
        checks = {
            "exit status": self.exit == 1 or self.name in PARDONED,
            "time": self.seconds < MOST_SECONDS,
            "memory": self.memory_mib < (MOST_CONFINED_MIB if self.name in INTRUDING else MOST_MIB),
            "disk": self.disk_mib < MOST_DISK_MIB,
            "processes": not self.processes,
            "changes": not self.changes,
            "a traceback": "\nTraceback" not in self.said,
        }
        return [what for what, is_well in checks.items() if not is_well]


def judge(name: str) -> Row:
    """Judge a server in directories of its own, and remove those."""
    place = Path(tempfile.mkdtemp(prefix="hftp-gallery-"))
    try:
        return _judge(name, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _judge(name: str, place: Path) -> Row:
    victim = Victim(place / "homes" / "served")
    temporary, reports = place / "tmp", place / "reports"
    temporary.mkdir()
    reports.mkdir()
    variables = ["env", f"HFTP_VICTIM={victim.path}", *([f"{LIMITED}=1"] if name in INTRUDING else [])]
    hostile = [sys.executable, "-m", "tests.broken_servers.hostile", name, "-p", "{port}", "-d", "{dir}"]
    serve = shlex.join([*variables, *hostile])
    options = [*_OPTIONS, *(["--sandbox", "auto"] if name in INTRUDING else [])]
    files = [f"--{kind}={reports}/run.{kind}" for kind in ("ndjson", "junit", "html")]
    peak = [0]
    is_over = threading.Event()
    watch = threading.Thread(target=_watch, args=([temporary, reports], peak, is_over))
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        suite = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "conformance",
                "run",
                "--serve",
                serve,
                "--cwd",
                str(ROOT),
                *options,
                *files,
            ],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(temporary), "HFTP_VICTIM": str(victim.path)},
            stdout=output,
            stderr=output,
        )
        watch.start()
        _, status, usage = os.wait4(suite.pid, 0)
        suite.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        is_over.set()
        watch.join()
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    left = _left(f"HFTP_VICTIM={victim.path}")
    return Row(
        name,
        suite.returncode,
        seconds,
        usage.ru_maxrss >> 10,
        peak[0] >> 20,
        len(left),
        sum(1 for _ in temporary.iterdir()),
        len(victim.changes()),
        said,
    )


def _watch(places: list[Path], peak: list[int], is_over: threading.Event) -> None:
    while not is_over.wait(_LOOK_SECONDS):
        peak[0] = max(peak[0], sum(_size(place) for place in places))


def _size(directory: Path) -> int:
    """Return what the files of a directory take, in bytes; one with several names counts once."""
    sizes = {}
    for above, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                facts = Path(above, name).lstat()
                sizes[facts.st_ino] = facts.st_blocks * 512
    return sum(sizes.values())


def _left(mark: str) -> list[int]:
    """Kill and return the processes that have a mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
                found.append(int(entry.name))
    return found


def main(patterns: list[str]) -> int:
    """Judge the servers whose names match, and print the table; return the exit status."""
    names = [name for name in NAMES if not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    sys.stdout.write(f"{'server':32} exit  seconds  memory    disk  processes  files  changes  problems\n")
    has_problems = False
    with ThreadPoolExecutor(_TOGETHER) as pool:
        for row in pool.map(judge, names):
            problems = ", ".join(row.problems())
            has_problems = has_problems or bool(problems)
            sys.stdout.write(
                f"{row.name:32} {row.exit:4}  {row.seconds:7.1f}  {row.memory_mib:3} MiB {row.disk_mib:3} MiB"
                f"  {row.processes:9}  {row.files:5}  {row.changes:7}  {problems}\n"
            )
            sys.stdout.flush()
    return int(has_problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

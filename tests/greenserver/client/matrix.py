"""`hftp` against the servers of the kill matrix: it ends in time, with a status and one line, whatever they do wrong.

`python -m tests.greenserver.client.matrix` tries all of them, or those that are named, and prints a table: for `ls` and
`get`, the exit status, the seconds, and the first line on standard error. It exits with 1 if one does not end well.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from greenserver.client.errors import Exit
from tests.broken_servers.all_bugs import BUGS, STYLES
from tests.broken_servers.composed import style_of
from tests.broken_servers.odd_servers import ODD
from tests.conformance.forked_server import Running

CONTENT: Final = {"one.txt": b"Hello, HFTP!\r\n", "two.bin": bytes(range(256)) * 2000, "none": b""}
SECONDS: Final = 60.0
"""When a command has not ended: at timeouts of a second, none should take a quarter of it."""
_OPTIONS: Final = ("--timeout", "1", "--retries", "1")
_SAMPLE_OF_STYLE: Final = 2
_AT_ONCE: Final = 3


class Ending(NamedTuple):
    """How a command has ended."""

    status: int | None
    """None if it had to be killed."""
    seconds: float
    errors: list[str]
    wrong: list[str]
    """Files that are not as they were served: the server sends, each time, other bytes in a right form."""

    @property
    def is_well(self) -> bool:
        """Whether it ended as a command should."""
        is_told = (self.status == Exit.DONE) == (not self.errors)
        is_readable = all(line.startswith("hftp: ") and line.isprintable() for line in self.errors)
        return self.status in set(Exit) and is_told and is_readable


def all_names() -> list[str]:
    """Return the names of all servers: those without a bug first."""
    return [*(f"correct-{style}" for style in STYLES), *BUGS, *ODD]


def sample() -> list[str]:
    """Return some of each style: the one without a bug, and others at equal distances."""
    names: list[str] = []
    for style in STYLES:
        bugs = [name for name, bug in BUGS.items() if style_of(bug) == style]
        names += [f"correct-{style}", *bugs[:: max(1, len(bugs) // _SAMPLE_OF_STYLE)]]
    return names


def run(words: Sequence[str], folder: Path) -> Ending:
    """Run a command in a folder."""
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "greenserver.client", *words, *_OPTIONS],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            errors = process.communicate(timeout=SECONDS)[1]
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            status, errors = None, process.communicate()[1]
    files = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".hftp-")}
    wrong = [name for name, content in files.items() if content != CONTENT.get(name)]
    return Ending(status, time.monotonic() - began, errors.splitlines(), wrong)


def try_server(name: str) -> tuple[Ending, Ending]:
    """Run `hftp ls` and `hftp get` against a server of that name."""
    with tempfile.TemporaryDirectory(prefix="hftp-matrix-") as scratch:
        served, folder = Path(scratch, "served"), Path(scratch, "folder")
        served.mkdir()
        folder.mkdir()
        for each, content in CONTENT.items():
            (served / each).write_bytes(content)
        server = Running(name, served)
        try:
            address = "{}:{}".format(*server.address)
            return run(["ls", address], folder), run(["get", address, *CONTENT], folder)
        finally:
            server.close()


def table(names: Sequence[str]) -> Iterator[tuple[bool, str]]:
    """Yield the rows of the table, each with whether all ended well."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for name, endings in zip(names, pool.map(try_server, names), strict=True):
            for command, end in zip(("ls", "get"), endings, strict=True):
                wrong = f" WRONG: {' '.join(end.wrong)}" if end.wrong else ""
                line = end.errors[0][:100] if end.errors else ""
                is_well = "" if end.is_well else "NOT WELL "
                yield end.is_well, f"{name:44} {command:4}{end.status!s:>5}{end.seconds:7.1f}  {is_well}{line}{wrong}"


def main(names: Sequence[str]) -> int:
    """Print the table, and return the exit status."""
    all_well = True
    for is_well, row in table(names or all_names()):
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
        all_well = all_well and is_well
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

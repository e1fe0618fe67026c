"""`hftp get` from greenserver beside `curl` from nginx: one file to the disk, in turns.

`python -m tests.benchmarks.download [--size MIB] [--rounds N]`. In each round each of them fetches the file once; what
counts is the ratio within a round. curl fetches base64 as text, as nginx has it, and does not decode it.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.benchmarks import peers
from tests.benchmarks.client import HOST, ROOT
from tests.benchmarks.files import Files
from tests.benchmarks.measure import quartiles
from tests.benchmarks.peers import GEVENT, NGINX_SENDFILE, PEERS
from tests.greenserver.client.program import measured

MIB: Final = 1 << 20
SECONDS: Final = 600.0
MEMORY_MIB: Final = 64


class Way(NamedTuple):
    """A way to fetch the file."""

    name: str
    base: str
    """The name of what it is compared with."""
    words: tuple[str, ...]
    """Of hftp; none for curl."""
    encoded: bool


WAYS: Final = (
    Way("curl, base64", "curl, base64", (), encoded=True),
    Way("hftp, base64", "curl, base64", ("--base64",), encoded=True),
    Way("hftp, base64, 1 connection", "curl, base64", ("--base64", "--connections", "1"), encoded=True),
    Way("curl, raw", "curl, raw", (), encoded=False),
    Way("hftp, raw", "curl, raw", (), encoded=False),
)


class Fetched(NamedTuple):
    """One download."""

    seconds: float
    peak_mib: float
    """0 for curl."""


def fetch(way: Way, files: Files, ports: tuple[int, int], scratch: Path) -> Fetched:
    """Fetch the file, check it, and remove it."""
    target, told = scratch / "fetched", scratch / "peak"
    source = files.encoded if way.encoded and way.name.startswith("curl") else files.raw
    if way.name.startswith("curl"):
        command = ["curl", "--silent", "--fail", "--output", str(target), f"http://{HOST}:{ports[0]}/{source.name}"]
    else:
        words = ["get", "--quiet", f"{HOST}:{ports[1]}", source.name, "--output", str(target), *way.words]
        command = measured(told, *words)
    began = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, timeout=SECONDS)
    seconds = time.monotonic() - began
    subprocess.run(["cmp", str(source), str(target)], check=True, timeout=SECONDS)
    target.unlink()
    return Fetched(seconds, 0.0 if way.name.startswith("curl") else int(told.read_text()) / 1024)


def rounds(files: Files, scratch: Path, count: int) -> dict[str, list[Fetched]]:
    """Return what each way took, round by round; in every other round they come in reverse order."""
    found: dict[str, list[Fetched]] = {way.name: [] for way in WAYS}
    with (
        peers.started(PEERS[NGINX_SENDFILE], files.directory, scratch / "nginx") as nginx,
        peers.started(PEERS[GEVENT], files.directory, scratch / "greenserver") as greenserver,
    ):
        for number in range(count):
            files.touch()
            for way in WAYS[:: -1 if number % 2 else 1]:
                found[way.name].append(fetch(way, files, (nginx.port, greenserver.port), scratch))
    return found


def table(found: dict[str, list[Fetched]], size: int) -> Iterator[str]:
    """Yield the rows of a table in Markdown."""
    yield "| download | MB/s of the file | rate, by curl's in the same round | peak memory |"
    yield "| --- | --- | --- | --- |"
    for way in WAYS:
        rates = [size / each.seconds / 1e6 for each in found[way.name]]
        bases = [size / each.seconds / 1e6 for each in found[way.base]]
        low, middle, high = quartiles([rate / base for rate, base in zip(rates, bases, strict=True)])
        peak = max(each.peak_mib for each in found[way.name])
        ratio = "1" if way.name == way.base else f"{middle:.2f} x ({low:.2f} to {high:.2f})"
        yield f"| {way.name} | {statistics.median(rates):.0f} | {ratio} | {f'{peak:.0f} MiB' if peak else ''} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if hftp takes more memory than it may."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.download", description=__doc__)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    options = parser.parse_args(arguments)
    if shutil.which("curl") is None:
        parser.exit(1, "curl is missing: apt-get install curl\n")
    size = options.size * MIB
    with tempfile.TemporaryDirectory(prefix="download-") as scratch:
        files = Files(Path(scratch), size)
        try:
            found = rounds(files, Path(scratch), options.rounds)
        except peers.Missing as error:
            parser.exit(1, f"nginx and greenserver are needed: {error}\n")
    sys.stdout.writelines(f"{row}\n" for row in table(found, size))
    peak = max(each.peak_mib for all_of in found.values() for each in all_of)
    return 1 if peak > MEMORY_MIB else 0


if __name__ == "__main__":
    sys.exit(main())

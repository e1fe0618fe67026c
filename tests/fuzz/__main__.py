"""Fuzz the targets, guided by coverage: ``python -m tests.fuzz SECONDS [--target NAME]... [--corpus DIR]``.

The time is divided among the targets. Inputs that reach new code are added to the corpus of each target, minimised at
the end. An input that fails is written to ``crash-*`` in the current directory, and ends the run with its status.
"""

import argparse
import base64
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests import INTERPRETER

CORPUS = Path(__file__).parent / "corpus"
NAMES = ("parser", "connection", "proxy-header")  # of TARGETS; only an instrumented process may import those

FOUND = Path(__file__).parent / "found"
"""Inputs that once failed, by target; they are replayed, and never minimised away."""

_VERSION_2 = b"\r\n\r\n\0\r\nQUIT\n"
HEADERS = (
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n",
    b"PROXY UNKNOWN\r\n",
    _VERSION_2 + b"\x20\0\0\0",
    _VERSION_2 + b"\x21\x11\0\x0c" + bytes(range(12)),
    _VERSION_2 + b"\x21\x21\0\x28" + bytes(range(40)),
)
"""Seeds of the PROXY header."""

_MAX_BYTES = 1000
"""The longest input: shorter than the kept part of a long element, since a longer number of zeros would differ."""

_SEEDS = 400
_HANG_SECONDS = 20
_INSIDE = "--inside"


def main() -> int:
    """Fuzz as the command line says; return the status of the first target that failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("seconds", type=int, nargs="?", default=60, help="in all")
    parser.add_argument("--target", action="append", choices=NAMES)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    options = parser.parse_args()
    targets = options.target or NAMES
    for name in targets:
        with tempfile.TemporaryDirectory(prefix="fuzz-corpus-") as scratch:
            kept, new, smallest, seeds = (Path(scratch, part) for part in ("kept", "new", "smallest", "seeds"))
            for directory in (kept, new, smallest, seeds):
                directory.mkdir()
            for number, data in enumerate(read_corpus(options.corpus, name)):
                (kept / str(number)).write_bytes(data)
            write_seeds(seeds, HEADERS if name == "proxy-header" else (b"",))
            seconds = max(1, options.seconds // len(targets))
            status = drive(name, f"-max_total_time={seconds}", new, kept, seeds)
            if status:
                return status
            if drive(name, "-merge=1", smallest, kept, new, seeds) == 0:
                write_corpus(options.corpus, name, [path.read_bytes() for path in smallest.iterdir()])
    return 0


def read_corpus(directory: Path, target: str) -> list[bytes]:
    """Return the inputs of a corpus: a file for each target, with one input in base64 per line."""
    path = directory / f"{target}.txt"
    return [base64.b64decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def write_corpus(directory: Path, target: str, inputs: Iterable[bytes]) -> None:
    """Write inputs as a corpus, sorted by length."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = [base64.b64encode(data) + b"\n" for data in sorted(inputs, key=lambda data: (len(data), data))]
    (directory / f"{target}.txt").write_bytes(b"".join(lines))


def drive(target: str, mode: str, *corpora: Path) -> int:
    """Run libFuzzer in a separate process, and return its status."""
    options = [mode, f"-max_len={_MAX_BYTES}", f"-timeout={_HANG_SECONDS}", "-rss_limit_mb=1024", "-verbosity=1"]
    with tempfile.TemporaryDirectory(prefix="fuzz-wrapper-") as scratch:
        wrapper = Path(scratch, "wrapper")  # libFuzzer merges in child processes, which it starts by this name
        wrapper.write_text(f'#!/bin/sh\nexec {INTERPRETER} -m tests.fuzz {_INSIDE} "$0" {target} "$@"\n')
        wrapper.chmod(0o700)
        return subprocess.run([wrapper, *options, *map(str, corpora)], check=False).returncode


def write_seeds(directory: Path, headers: Sequence[bytes]) -> None:
    """Write seeds: random input after one of these headers, each with a random plan."""
    import random  # noqa: PLC0415  (not in the instrumented process)

    from tests.greenserver.random_input import random_input  # noqa: PLC0415  (the same)

    for seed in range(_SEEDS):
        head = random.Random(seed).randbytes(6)
        (directory / f"seed-{seed:04}").write_bytes(
            (head + headers[seed % len(headers)] + random_input(seed))[:_MAX_BYTES]
        )


def fuzz(program: str, target: str, *options: str) -> None:
    """Run libFuzzer in this process; it starts child processes by the name `program`."""
    import atheris  # type: ignore[import-untyped]  # noqa: PLC0415  (it has no types, and only `fuzz` installs it)

    with atheris.instrument_imports(include=["greenserver"]):
        from tests.fuzz import targets  # noqa: PLC0415  (instrumented while it is imported)

    with targets.make_environment() as environment:
        target_function = targets.TARGETS[target]
        atheris.Setup([program, *options], lambda data: target_function(environment, data))
        atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == [_INSIDE]:
        fuzz(*sys.argv[2:])
    else:
        sys.exit(main())

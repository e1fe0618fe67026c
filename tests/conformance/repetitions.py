"""Run the whole catalogue repeatedly while the machine is busy: no verdict may change.

`python -m tests.conformance.repetitions` does it twenty times, with one scenario at a time and with several by turns,
against the server that was written apart; after `--` there can be the command of another one.
"""

import argparse
import contextlib
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from conformance.config import Options
from conformance.model.events import Event, Result
from conformance.runner.runner import Runner
from conformance.scenarios import catalogue

ROOT = Path(__file__).parents[2]
CORRECT = (sys.executable, "-m", "tests.conformance.correct_server", "-p", "{port}", "-d", "{dir}")
JOBS = (4, 1)
"""How many scenarios are played at a time, by turns."""
_BURNER = "import time\nend = time.monotonic() + 3600\nwhile time.monotonic() < end: sum(range(100_000))"

Verdicts = dict[str, tuple[str, str]]
"""Of each scenario the verdict and the kind of failure."""


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    """Keep so many processes busy."""
    burners = [subprocess.Popen([sys.executable, "-c", _BURNER]) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def verdicts(serve: Sequence[str], jobs: int, select: Iterable[str] = ()) -> Verdicts:
    """Return the verdicts of a server."""
    events: list[Event] = []
    options = Options(serve=shlex.join(serve), cwd=str(ROOT), jobs=jobs, select=tuple(select))
    with Runner(options, catalogue(), events.append) as runner:
        runner.run()
    return {event.scenario: (event.verdict.value, event.kind) for event in events if isinstance(event, Result)}


def differences(first: Verdicts, other: Verdicts) -> list[str]:
    """Return the differences, one per line."""
    names = sorted(first.keys() | other.keys())
    return [f"{name}: {first.get(name)}, {other.get(name)}" for name in names if first.get(name) != other.get(name)]


def repeat(serve: Sequence[str], times: int, processes: int, select: Iterable[str] = ()) -> Iterator[list[str]]:
    """Yield what each repetition has other than a first one without load; `processes` make the load."""
    chosen = tuple(select)
    first = verdicts(serve, 1, chosen)
    with load(processes):
        for number in range(times):
            yield differences(first, verdicts(serve, JOBS[number % len(JOBS)], chosen))


def main() -> int:
    """Repeat, print each result, and return whether anything was different."""
    parser = argparse.ArgumentParser(description="Does load change a verdict?", allow_abbrev=False)
    parser.add_argument("-n", "--times", type=int, default=20, help="how often")
    parser.add_argument("-l", "--load", type=int, default=4, help="how many busy processes there are besides")
    parser.add_argument("-t", "--test", action="append", default=[], help="only these scenarios")
    parser.add_argument("server", nargs="*", default=list(CORRECT), help="after --, with {port} and {dir}")
    arguments = parser.parse_args()
    flips = 0
    for number, found in enumerate(repeat(arguments.server, arguments.times, arguments.load, arguments.test), 1):
        flips += len(found)
        sys.stdout.write(f"{number}: {'; '.join(found) or 'the same'}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{arguments.times} repetitions, {flips} verdicts changed\n")
    return 1 if flips else 0


if __name__ == "__main__":
    sys.exit(main())

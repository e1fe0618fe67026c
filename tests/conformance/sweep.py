"""Judge every server of the tests by the whole catalogue, as a user would: how long it takes, and what is reported.

`python -m tests.conformance.sweep` shows for each planted bug the seconds and the verdicts, and for all of them the
median, the 90th percentile and the worst. `--runs 3` compares the verdicts of several runs, `--load 2` keeps so many
processors busy meanwhile, `--on dask://HOST:PORT` judges them on a cluster, and names choose some servers of the kill
matrix, of the odd ones, `correct-...`, or servers that are put together from bugs (`tests/broken_servers/composed.py`).
"""

import argparse
import ctypes
import json
import shlex
import statistics
import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from conformance.classroom.pool import LostError, Pool, alone
from conformance.config import Options
from conformance.diagnosis.diagnose import symptom
from conformance.model.events import Event, Result, RunStart
from conformance.runner.runner import Runner
from conformance.scenarios import catalogue
from conformance.target.environment import Environment
from tests.broken_servers import forking
from tests.broken_servers.__main__ import NAMES, first_dialect
from tests.broken_servers.all_bugs import BUGS
from tests.broken_servers.composed import ComposedError, composed
from tests.conformance.pools import pool_of, pool_options
from tests.conformance.repetitions import Verdicts, differences, load

SCENARIOS = catalogue()
_M_ARENA_MAX = -8
"""Of malloc.h; see mallopt(3)."""


class Judged(NamedTuple):
    """The result of one server in one run."""

    seconds: float
    counts: dict[str, int]
    verdicts: Verdicts
    exit: int
    symptoms: dict[str, str]
    """How scenarios failed, as the diagnosis sees it."""
    deviations: list[str]
    """The constant deviations that were found."""


def judge(name: str, select: Iterable[str] = ()) -> Judged:
    """Judge a server with the options that a user has by default, and its dialect; by some scenarios, or by all."""
    dialect = first_dialect(name)
    serve = shlex.join([name, "-p", "{port}", "-d", "{dir}", "--dialect", dialect])
    options = Options(serve=serve, dialect=dialect, select=tuple(select))
    events: list[Event] = []
    began = monotonic()
    with (
        Environment(options, forking.launch) as environment,
        Runner(options, SCENARIOS, events.append, environment) as runner,
    ):
        end = runner.run()
    results = [event for event in events if isinstance(event, Result)]
    verdicts = {result.scenario: (result.verdict.value, result.kind) for result in results}
    symptoms = {result.scenario: symptom(result) for result in results if result.kind}
    start = next(event for event in events if isinstance(event, RunStart))
    return Judged(monotonic() - began, end.counts, verdicts, end.exit, symptoms, start.deviations)


def share_memory() -> None:
    """Have all threads allocate from one arena: glibc keeps up to 64 MiB of freed memory for each of sixteen."""
    if (tell := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        tell(_M_ARENA_MAX, 1)


def judge_some(row: tuple[str, Sequence[str]], _stop: threading.Event) -> Judged:
    """Judge a server by some scenarios, or by all, as a job of a pool."""
    return judge(*row)


def judge_each(pool: Pool, rows: Iterable[tuple[str, Sequence[str]]]) -> Generator[tuple[str, Judged], None, None]:
    """Yield each server and how it fared, as soon as it is judged."""
    for (name, _), judged in pool.run(judge_some, alone(list(rows)), threading.Event()):
        if isinstance(judged, LostError):
            raise judged
        yield name, judged


def spread(what: str, numbers: Iterable[float]) -> str:
    """Return median, 90th percentile and the worst in a line."""
    found = sorted(numbers)
    ninetieth = found[min(len(found) - 1, int(len(found) * 0.9))]
    return f"{what}: median {statistics.median(found):.1f}, 90th percentile {ninetieth:.1f}, worst {found[-1]:.1f}"


def main() -> int:
    """Sweep, show what was found, and return whether runs differ in a verdict."""
    parser = argparse.ArgumentParser(description="How every server of the tests fares.", allow_abbrev=False)
    parser.add_argument("names", nargs="*", help="which servers; without any, all with a planted bug")
    parser.add_argument("--runs", type=int, default=1, help="how often each is judged")
    parser.add_argument("--load", type=int, default=0, help="how many processors are kept busy besides")
    pool_options(parser, 1)
    parser.add_argument("--json", type=Path, help="where to write a line for each server and run")
    arguments = parser.parse_args()
    share_memory()
    try:
        _ = [composed(name) for name in arguments.names if name not in NAMES]
    except ComposedError as error:
        parser.error(str(error))
    names = arguments.names or list(BUGS)
    first: dict[str, Judged] = {}
    changed: list[str] = []
    with load(arguments.load), pool_of(arguments) as pool:
        for number in range(arguments.runs):
            for name, judged in judge_each(pool, [(name, ()) for name in names]):
                before = first.setdefault(name, judged)
                found = differences(before.verdicts, judged.verdicts)
                changed += [f"{name}, run {number + 1}: {line}" for line in found]
                counts = ", ".join(f"{count} {verdict}" for verdict, count in judged.counts.items())
                sys.stdout.write(f"{name:40} {judged.seconds:6.1f} s  {counts}\n")
                sys.stdout.flush()
                if arguments.json:
                    with arguments.json.open("a", encoding="utf-8") as file:
                        file.write(json.dumps({"name": name, "run": number + 1, **judged._asdict()}) + "\n")
    lines = [
        spread("seconds", [judged.seconds for judged in first.values()]),
        spread("failures", [judged.counts.get("fail", 0) for judged in first.values()]),
        *changed,
        f"{arguments.runs} runs, {len(changed)} verdicts differ" if arguments.runs > 1 else "",
    ]
    sys.stdout.write("\n".join(line for line in lines if line) + "\n")
    return 1 if changed else 0


if __name__ == "__main__":
    from tests.conformance import sweep  # noqa: PLW0406  (as which workers know it)

    sys.exit(sweep.main())

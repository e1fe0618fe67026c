"""Runs against hostile servers end in bounded time and memory, with the right exit status."""

import shlex
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import pytest

from conformance.config import Options
from conformance.model.events import Event, RunEnd
from conformance.runner.runner import Runner
from conformance.scenarios import catalogue
from tests.broken_servers.hostile.handlers import HOSTILE
from tests.broken_servers.starting import PYTHON

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
ANSWERING = {"always-missing", "escapes"}
"""They send a reply, which is right for some commands."""
MOST_SECONDS = 120.0
"""A run takes a few seconds on a quiet machine, and all of them are made at once."""
MOST_KIB = 300 << 10
"""What all runs together may take beyond what the process has; one reply of `flood` that is kept takes more."""


class Run(NamedTuple):
    """How a run ended."""

    end: RunEnd
    seconds: float


def judge(name: str) -> Run:
    """Judge a hostile server by the whole catalogue."""
    began = monotonic()
    events: list[Event] = []
    words = [*PYTHON, "-m", "tests.broken_servers.hostile", name, "-p", "{port}", "-d", "{dir}"]
    options = Options(serve=shlex.join(words), cwd=str(ROOT), large_bytes=1 << 16, clients=10, timeout_scale=0.2)
    with Runner(options, catalogue(), events.append) as runner:
        end = runner.run()
    return Run(end, monotonic() - began)


def peak_kib() -> int:
    """Return the most resident memory that this process had since it was last forgotten, in KiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


SOME = ("silent", "drip", "endless-line", "endless-listing", "escapes", "flood", "always-missing")
OTHERS = tuple(name for name in HOSTILE if name not in SOME)


@pytest.fixture(scope="module", params=[SOME, pytest.param(OTHERS, marks=pytest.mark.long)], ids=["some", "others"])
def runs(request: pytest.FixtureRequest) -> Mapping[str, Run]:
    """Judge them at the same time, for most of it is waiting, and look at what that takes."""
    names: tuple[str, ...] = request.param
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak
    before = peak_kib()
    with ThreadPoolExecutor(len(names)) as pool:
        found = dict(zip(names, pool.map(judge, names), strict=True))
    assert peak_kib() - before < MOST_KIB
    return found


def test_hostile_servers_are_not_conformant(runs: Mapping[str, Run]) -> None:
    assert {name: run.end.exit for name, run in runs.items()} == dict.fromkeys(runs, 1)


def test_server_that_never_replies_passes_nothing(runs: Mapping[str, Run]) -> None:
    silent = {name: run.end.counts for name, run in runs.items() if name not in ANSWERING}
    assert {name: counts for name, counts in silent.items() if counts.keys() - {"fail", "blocked"}} == {}
    assert all(counts["fail"] for counts in silent.values())


def test_run_ends_although_the_server_goes_on(runs: Mapping[str, Run]) -> None:
    assert {name: run.seconds for name, run in runs.items() if run.seconds > MOST_SECONDS} == {}

"""Runs the rounds: all peers of a work in turn, again and again, so that a change of the weather meets them alike."""

import contextlib
import os
import statistics
import subprocess
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.benchmarks import peers
from tests.benchmarks.client import ClientError
from tests.benchmarks.loads import WrongReplyError
from tests.benchmarks.peers import Missing, Peer, Running
from tests.benchmarks.works import ONE_CORE, Bench, Job

Samples = dict[str, list[float]]
"""By figure: one value for each round."""


@dataclass
class Result:
    """What a work gave under one placement."""

    work: str
    placement: str
    samples: dict[str, Samples] = field(default_factory=dict)
    """By peer."""
    gaps: dict[str, str] = field(default_factory=dict)
    """By peer: why it is not there."""

    def values(self, peer: str, figure: str) -> list[float]:
        """Return a peer's values, one for each round; none if it is not there."""
        return self.samples.get(peer, {}).get(figure, [])


@dataclass
class Cast:
    """The peers of a run, started together, and why the others are not there."""

    running: dict[str, Running] = field(default_factory=dict)
    gaps: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def gap_for(self, peer: Peer) -> Iterator[None]:
        """Remember what a peer misses instead of failing for it."""
        try:
            yield
        except Missing as error:
            self.gaps[peer.name] = str(error)


@contextlib.contextmanager
def started(bench: Bench, wanted: Iterable[Peer]) -> Iterator[Cast]:
    """Run peers that are gone when the block ends."""
    cast = Cast()
    with contextlib.ExitStack() as stack:
        starting = {}
        for number, peer in enumerate(wanted):
            with cast.gap_for(peer):
                starting[peer.name] = peers.start(peer, bench.files.directory, bench.scratch / f"peer-{number}")
                stack.callback(starting[peer.name].close)
        for name, running in starting.items():
            with cast.gap_for(running.peer):
                running.wait_until_ready()
                cast.running[name] = running
        yield cast


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def run_work(bench: Bench, work: Job, placement: str, rounds: int, cast: Cast) -> Result:
    """Measure a work under a placement; a peer that is missing or fails becomes a gap."""
    result = Result(work.name, placement, gaps={name: gap for name, gap in cast.gaps.items() if name in work.peers})
    cores = {max(bench.cores)} if placement == ONE_CORE else bench.cores
    rounds = min(rounds, work.rounds or rounds)
    running = [cast.running[name] for name in work.peers if name in cast.running]
    with pinned(cores):
        for _ in range(rounds):
            bench.files.touch()
            for each in tuple(running):
                each.pin(cores)
                name = each.peer.name
                try:
                    figures = work.round(bench, each)
                except (Missing, WrongReplyError, ClientError, OSError, subprocess.SubprocessError) as error:
                    result.gaps[name] = " ".join(str(error).split()) or type(error).__name__
                    result.samples.pop(name, None)
                    running.remove(each)
                    continue
                for figure, value in figures.items():
                    result.samples.setdefault(name, {}).setdefault(figure, []).append(value)
    return result


@contextlib.contextmanager
def pinned(cores: Collection[int]) -> Iterator[None]:
    """Let this process, and all that it starts meanwhile, run on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

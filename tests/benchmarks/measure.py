"""Run interleaved rounds: all peers of a workload in turn, so that changing load on the machine affects them alike."""

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
from tests.benchmarks.workloads import ONE_CORE, Bench, Workload

Samples = dict[str, list[float]]
"""By figure: one value per round."""


@dataclass
class Result:
    """What a workload measured in one placement."""

    workload: str
    placement: str
    samples: dict[str, Samples] = field(default_factory=dict)
    """By peer."""
    missing: dict[str, str] = field(default_factory=dict)
    """By peer: why it has no samples."""

    def values(self, peer: str, figure: str) -> list[float]:
        """Return a peer's values, one per round; none if it is missing."""
        return self.samples.get(peer, {}).get(figure, [])


@dataclass
class StartedPeers:
    """The running peers of a run, and why others are missing."""

    running: dict[str, Running] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def recording_missing(self, peer: Peer) -> Iterator[None]:
        """Record why a peer is missing, instead of raising."""
        try:
            yield
        except Missing as error:
            self.missing[peer.name] = str(error)


@contextlib.contextmanager
def started(bench: Bench, wanted: Iterable[Peer]) -> Iterator[StartedPeers]:
    """Run peers until the end of the block."""
    started_peers = StartedPeers()
    with contextlib.ExitStack() as stack:
        starting = {}
        for number, peer in enumerate(wanted):
            with started_peers.recording_missing(peer):
                starting[peer.name] = peers.start(peer, bench.files.directory, bench.scratch / f"peer-{number}")
                stack.callback(starting[peer.name].close)
        for name, running in starting.items():
            with started_peers.recording_missing(running.peer):
                running.wait_until_ready()
                started_peers.running[name] = running
        yield started_peers


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def run_workload(bench: Bench, workload: Workload, placement: str, rounds: int, started_peers: StartedPeers) -> Result:
    """Measure a workload in a placement; record why a peer is missing or fails."""
    result = Result(
        workload.name,
        placement,
        missing={name: reason for name, reason in started_peers.missing.items() if name in workload.peers},
    )
    cores = {max(bench.cores)} if placement == ONE_CORE else bench.cores
    rounds = min(rounds, workload.rounds or rounds)
    running = [started_peers.running[name] for name in workload.peers if name in started_peers.running]
    with pinned(cores):
        for _ in range(rounds):
            bench.files.touch()
            for each in tuple(running):
                each.pin(cores)
                name = each.peer.name
                try:
                    figures = workload.round(bench, each)
                except (Missing, WrongReplyError, ClientError, OSError, subprocess.SubprocessError) as error:
                    result.missing[name] = " ".join(str(error).split()) or type(error).__name__
                    result.samples.pop(name, None)
                    running.remove(each)
                    continue
                for figure, value in figures.items():
                    result.samples.setdefault(name, {}).setdefault(figure, []).append(value)
    return result


@contextlib.contextmanager
def pinned(cores: Collection[int]) -> Iterator[None]:
    """Pin this process, and all that it starts in the block, to these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

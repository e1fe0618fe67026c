"""The goals: a table of ratios and bounds to reach, and how they are judged."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.measure import Result, quartiles
from tests.benchmarks.peers import GEVENT, NGINX_COPY, NGINX_SENDFILE, PROTOCOL, STREAMS, TEXTBOOK
from tests.benchmarks.workloads import ALL_CORES, ONE_CORE

AT_LEAST: Final = ">="
AT_MOST: Final = "<="

NGINX: Final = (NGINX_SENDFILE, NGINX_COPY)


@dataclass(frozen=True)
class Goal:
    """A figure of greenserver, and a bound: a ratio to the best of some peers in the same rounds, or absolute."""

    workload: str
    figure: str
    comparison: str
    bound: float
    against: tuple[str, ...] = ()
    placement: str = ONE_CORE
    subject: str = GEVENT

    @property
    def description(self) -> str:
        """The goal as text."""
        if not self.against:
            return f"{self.figure} {self.comparison} {self.bound:g}"
        names = " / ".join(dict.fromkeys(name.split(",")[0] if name in NGINX else name for name in self.against))
        return f"{self.figure} {self.comparison} {self.bound:g} x {names}"


GOALS: Final = (
    Goal("base64", "GB/s", AT_LEAST, 1.0, NGINX),
    Goal("base64", "GB/s", AT_LEAST, 10.0, (TEXTBOOK,)),
    Goal("base64", "CPU s/GB", AT_MOST, 1.1, (NGINX_COPY,)),
    Goal("raw", "GB/s", AT_LEAST, 1.0, NGINX),
    Goal("metadata", "commands/s", AT_LEAST, 1.0, NGINX),
    Goal("metadata-50", "commands/s", AT_LEAST, 1.0, NGINX),
    Goal("metadata-50", "p99 ms", AT_MOST, 1.5, NGINX),
    Goal("metadata-500", "commands/s", AT_LEAST, 1.0, NGINX),
    Goal("metadata-500", "p99 ms", AT_MOST, 1.5, NGINX),
    Goal("pipelined", "commands/s", AT_LEAST, 6.0, (STREAMS,)),
    Goal("pipelined", "commands/s", AT_LEAST, 1.0, (PROTOCOL,)),
    Goal("beside-bulk", "p99 ms", AT_MOST, 2.0, placement=ALL_CORES),
    Goal("idle", "KiB each", AT_MOST, 12.0, placement=ALL_CORES),
    Goal("stalled", "MiB", AT_MOST, 8.0, placement=ALL_CORES),
    Goal("stalled", "kernel MiB", AT_MOST, 64.0, placement=ALL_CORES),
    Goal("listing", "p99 ms", AT_MOST, 1.0, placement=ALL_CORES),
    Goal("beside-pipelining", "p99 ms", AT_MOST, 20.0, placement=ALL_CORES),
    Goal("start", "ms", AT_MOST, 150.0, placement=ALL_CORES),
    Goal("conformance", "s", AT_MOST, 3.0, placement=ALL_CORES),
)


@dataclass(frozen=True)
class Verdict:
    """The verdict on a goal: the value and its quartiles, or the reason why there is no value."""

    goal: Goal
    value: float | None
    spread: tuple[float, float] | None
    reason: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether there is a value within the bound."""
        if self.value is None:
            return False
        return self.value >= self.goal.bound if self.goal.comparison == AT_LEAST else self.value <= self.goal.bound

    @property
    def label(self) -> str:
        """The verdict as shown in the table."""
        if self.value is None:
            return "open"
        return "reached" if self.is_reached else "MISSED"


def ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return the ratio for each round; both were measured in the same rounds."""
    return [value / other for value, other in zip(values, others, strict=False) if other > 0]


def best_of(result: Result, names: Iterable[str], figure: str, comparison: str) -> str | None:
    """Return the peer with the best median: the largest where more is better."""
    medians = {name: statistics.median(values) for name in names if (values := result.values(name, figure))}
    choose = max if comparison == AT_LEAST else min
    return choose(medians, key=lambda name: medians[name]) if medians else None


def judge(goal: Goal, results: Mapping[tuple[str, str], Result]) -> Verdict:
    """Compare a goal with what was measured."""
    result = results.get((goal.workload, goal.placement))
    if result is None:
        return Verdict(goal, None, None, "not measured in this run")
    values = result.values(goal.subject, goal.figure)
    if goal.against and values:
        # nginx in its better mode, for the figure of the goal
        best = best_of(result, goal.against, goal.figure, goal.comparison)
        if best is None:
            names = {result.missing.get(name, "not measured") for name in goal.against}
            return Verdict(goal, None, None, f"nothing to compare with: {'; '.join(sorted(names))}")
        values = ratios(values, result.values(best, goal.figure))
    if not values:
        return Verdict(goal, None, None, result.missing.get(goal.subject, "not measured"))
    low, middle, high = quartiles(values)
    return Verdict(goal, middle, (low, high))


def judge_all(results: Mapping[tuple[str, str], Result], workloads: Iterable[str]) -> list[Verdict]:
    """Judge the goals of these workloads."""
    wanted = set(workloads)
    return [judge(goal, results) for goal in GOALS if goal.workload in wanted]


def missed_goals(verdicts: Iterable[Verdict]) -> list[str]:
    """Return one line for each goal that is missed or that could not be judged."""
    return [
        f"{each.goal.workload}: {each.goal.description}: "
        + (f"{each.value:.3g}" if each.value is not None else each.reason)
        for each in verdicts
        if not each.is_reached
    ]

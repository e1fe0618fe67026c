"""The ratios to reach: one table row each, and the arithmetic that judges them."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.measure import Result, quartiles
from tests.benchmarks.peers import GEVENT, NGINX_COPY, NGINX_SENDFILE, PROTOCOL, STREAMS, TEXTBOOK
from tests.benchmarks.works import ALL_CORES, ONE_CORE

AT_LEAST: Final = ">="
AT_MOST: Final = "<="

NGINX: Final = (NGINX_SENDFILE, NGINX_COPY)


@dataclass(frozen=True)
class Goal:
    """A figure of greenserver's, and a bound: of the best of some peers in the same rounds, or in the figure's unit."""

    work: str
    figure: str
    sense: str
    bound: float
    against: tuple[str, ...] = ()
    placement: str = ONE_CORE
    subject: str = GEVENT

    @property
    def wish(self) -> str:
        """The bound, as people write it."""
        if not self.against:
            return f"{self.figure} {self.sense} {self.bound:g}"
        names = " / ".join(dict.fromkeys(name.split(",")[0] if name in NGINX else name for name in self.against))
        return f"{self.figure} {self.sense} {self.bound:g} x {names}"


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
class Judgement:
    """What became of a goal: the value and its quartiles, or the gap that left it open."""

    goal: Goal
    value: float | None
    spread: tuple[float, float] | None
    gap: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether the value is known and within the bound."""
        if self.value is None:
            return False
        return self.value >= self.goal.bound if self.goal.sense == AT_LEAST else self.value <= self.goal.bound

    @property
    def word(self) -> str:
        """One word for the table."""
        if self.value is None:
            return "open"
        return "reached" if self.is_reached else "MISSED"


def ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return the ratio of each round; both ran in the same rounds, side by side."""
    return [value / other for value, other in zip(values, others, strict=False) if other > 0]


def best_of(result: Result, names: Iterable[str], figure: str, sense: str) -> str | None:
    """Return the peer with the best median: the largest where more is better."""
    medians = {name: statistics.median(values) for name in names if (values := result.values(name, figure))}
    choose = max if sense == AT_LEAST else min
    return choose(medians, key=lambda name: medians[name]) if medians else None


def judge(goal: Goal, results: Mapping[tuple[str, str], Result]) -> Judgement:
    """Compare a goal with what was measured."""
    result = results.get((goal.work, goal.placement))
    if result is None:
        return Judgement(goal, None, None, "not measured in this run")
    values = result.values(goal.subject, goal.figure)
    if goal.against and values:
        # nginx's better mode, and greenserver beside it, in the figure that the goal is about
        best = best_of(result, goal.against, goal.figure, goal.sense)
        if best is None:
            names = {result.gaps.get(name, "not measured") for name in goal.against}
            return Judgement(goal, None, None, f"nothing to compare with: {'; '.join(sorted(names))}")
        values = ratios(values, result.values(best, goal.figure))
    if not values:
        return Judgement(goal, None, None, result.gaps.get(goal.subject, "not measured"))
    low, middle, high = quartiles(values)
    return Judgement(goal, middle, (low, high))


def judge_all(results: Mapping[tuple[str, str], Result], works: Iterable[str]) -> list[Judgement]:
    """Judge the goals of these works."""
    wanted = set(works)
    return [judge(goal, results) for goal in GOALS if goal.work in wanted]


def limiter(judgements: Iterable[Judgement]) -> list[str]:
    """Return one line for each goal that is missed or that could not be judged."""
    return [
        f"{each.goal.work}: {each.goal.wish}: " + (f"{each.value:.3g}" if each.value is not None else each.gap)
        for each in judgements
        if not each.is_reached
    ]

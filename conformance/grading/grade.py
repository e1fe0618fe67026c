"""Grade a recorded run by requirement: what each is worth, what was earned, and the evidence."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from conformance.grading.points import PointsMap
from conformance.language import Message, joined
from conformance.model.events import Result
from conformance.model.verdicts import Exit, Verdict
from conformance.reports.text import CUT_SHORT, Run
from conformance.spec.dialects import DIALECTS
from conformance.spec.reader import Requirement, specification

_PASSED: Final = frozenset({Verdict.PASS, Verdict.FLAKY})
_FAILED: Final = frozenset({Verdict.FAIL, Verdict.WARN})
_NOT_ITS_FAULT: Final = {
    Verdict.INCOMPLETE: Message("it could not run here"),
    Verdict.UNSUPPORTED: Message("the server does not offer it, and does not have to"),
    Verdict.ERROR: Message("the suite itself failed"),
    Verdict.INFO: Message("the server may do either"),
}
"""Verdicts that say nothing for or against a server, the most telling first."""


class State(str, Enum):
    """How far a requirement is met."""

    MET = "met"
    PARTLY = "partly met"
    NOT_MET = "not met"
    NOT_SHOWN = "not shown"
    """All its scenarios are blocked by failures of others."""
    LEFT_OUT = "left out"
    """Nothing was judged, and that is not the server's fault: it counts neither way."""

    def __str__(self) -> str:
        return self.value


STATES: Final = (
    Message("met"),
    Message("partly met"),
    Message("not met"),
    Message("not shown"),
    Message("left out"),
)
"""The states, which are looked up by their values."""


@dataclass(frozen=True)
class Line:
    """A requirement in a grade."""

    requirement: Requirement
    level: str
    state: State
    possible: float
    """Its points, if it counts."""
    earned: float
    passed: int
    """The number of its scenarios that passed."""
    failures: Sequence[Result]
    """Its scenarios that failed, the first as evidence."""
    reason: str
    """Why it earned that, in a sentence."""


@dataclass(frozen=True)
class Deduction:
    """What a cause costs."""

    cause: str
    title: str
    points: float
    """In points of the grade."""


@dataclass(frozen=True)
class Grade:
    """A grade from 0 to `scale`, with all its lines; `points` is None if the run allows no grade."""

    scale: float
    points: float | None
    lines: Sequence[Line]
    deductions: Sequence[Deduction]
    reason: str
    """Why there is no grade, or why it is 0; empty if the lines say it."""

    @property
    def text(self) -> str:
        """The grade as a number, or a dash."""
        return number(self.points) if self.points is not None else "-"

    def count(self, *states: State, level: str = "") -> int:
        """Return how many requirements are in one of these states."""
        return sum(line.state in states and level in {"", line.level} for line in self.lines)

    def met_of(self, level: str) -> str:
        """Return how many requirements of a level are met, of how many that were judged."""
        judged = self.count(State.MET, State.PARTLY, State.NOT_MET, State.NOT_SHOWN, level=level)
        return f"{self.count(State.MET, level=level)}/{judged}"


def number(points: float) -> str:
    """Return points with at most two decimals."""
    return f"{points:.2f}".rstrip("0").rstrip(".")


def grade(run: Run, points: PointsMap) -> Grade:
    """Grade a run; one that was interrupted, or in which the suite failed, gets no grade."""
    dialect = run.start.dialect if run.start.dialect in DIALECTS else DIALECTS[0]
    by_requirement: dict[str, list[Result]] = defaultdict(list)
    for result in run.results:
        if result.is_explored:
            continue  # whether it is found is a matter of luck and time: the same server has to get the same points
        by_requirement[result.requirement].append(result)
    worth = points.of_dialect(dialect)
    if run.end is not None and run.end.exit is Exit.USAGE:
        reason = joined("; ", run.end.problems) or Message("the server did not start")
        lines = [_unstarted(name, dialect, possible) for name, possible in worth.items()]
        return Grade(points.scale, 0.0, lines, [], reason)
    lines = [_line(name, dialect, worth[name], by_requirement[name], points.share_of_a_part(name)) for name in worth]
    deductions = _deductions(run, points.causes)
    possible = sum(line.possible for line in lines if line.state is not State.LEFT_OUT)
    reason = _why_none(run) or ("" if possible else Message("no requirement that earns points was judged"))
    if reason:
        return Grade(points.scale, None, lines, deductions, reason)
    share = sum(line.earned for line in lines) / possible
    total = max(0.0, points.scale * share - sum(row.points for row in deductions))
    return Grade(points.scale, round(total, 2), lines, deductions, "")


def _why_none(run: Run) -> str:
    """Return why a run allows no grade; empty if it does."""
    if run.end is None:
        return CUT_SHORT
    if run.end.exit is Exit.SUITE_FAULT:
        return joined("; ", [Message("the suite itself failed"), *run.end.problems])
    return next((problem for problem in run.end.problems if problem.startswith("interrupted")), "")


def _deductions(run: Run, costs: Mapping[str, float]) -> list[Deduction]:
    causes = run.diagnosis.causes if run.diagnosis is not None else []
    return [Deduction(row.id, row.title, costs[row.id]) for row in causes if costs.get(row.id)]


def _unstarted(name: str, dialect: str, possible: float) -> Line:
    row = specification()[name]
    return Line(row, row.levels[dialect], State.NOT_SHOWN, possible, 0.0, 0, (), Message("the server did not start"))


def _line(name: str, dialect: str, possible: float, results: Sequence[Result], partial: float) -> Line:  # noqa: PLR0911
    row = specification()[name]
    level = row.levels[dialect]
    counted = [result for result in results if not result.known]
    passed = sum(result.verdict in _PASSED for result in counted)
    failures = [result for result in counted if result.verdict in _FAILED]
    blocked = [result for result in counted if result.verdict is Verdict.BLOCKED]
    total = passed + len(failures)

    def line(state: State, earned: float, reason: str) -> Line:
        return Line(row, level, state, possible, earned, passed, failures, reason)

    if failures and passed:
        share = Message("{share} of the points", share=number(partial)) if partial else Message("none of the points")
        reason = Message(
            "{failed} of {total} scenarios failed: {share}", failed=len(failures), total=total, share=share
        )
        return line(State.PARTLY, possible * partial, reason)
    if failures:
        many = Message("all {total} scenarios failed", total=total)
        return line(State.NOT_MET, 0.0, Message("its only scenario failed") if total == 1 else many)
    if passed:
        return line(State.MET, possible, _passed(passed, blocked))
    if blocked:
        return line(State.NOT_SHOWN, 0.0, Message("no scenario could show it: {why}", why=blocked[0].got))
    if known := next((result.known for result in results if result.known), ""):
        return line(State.LEFT_OUT, 0.0, Message("known: {reason}", reason=known))
    for verdict, reason in _NOT_ITS_FAULT.items():
        if found := next((result for result in counted if result.verdict is verdict), None):
            why = [found.got] if found.got and verdict is not Verdict.INFO else []
            return line(State.LEFT_OUT, 0.0, joined(": ", [reason, *why]))
    reason = Message(row.untestable) if row.untestable else Message("none of its scenarios was selected")
    return line(State.LEFT_OUT, 0.0, reason)


def _passed(passed: int, blocked: Sequence[Result]) -> str:
    """Return how many scenarios of a requirement passed that is met, and how many could show nothing."""
    reason = (
        Message("its only scenario passed") if passed == 1 else Message("all {total} scenarios passed", total=passed)
    )
    if not blocked:
        return reason
    unshown = Message("{count} more could not show anything: {why}", count=len(blocked), why=blocked[0].got)
    return joined("; ", [reason, unshown])

"""Compare two runs of a server, or two of a class: what got better, what got worse, and what is flaky."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from conformance.grading.assessment import Assessment
from conformance.model.verdicts import Exit, Verdict

START: Final = "start"
"""Stands for a scenario: the server starts."""
_RANKS: Final[Mapping[str, int]] = {
    Verdict.FAIL.value: 0,
    Verdict.BLOCKED.value: 0,
    Verdict.WARN.value: 1,
    "known": 1,
    Verdict.FLAKY.value: 2,
    Verdict.PASS.value: 2,
    Verdict.INFO.value: 2,
    Verdict.UNSUPPORTED.value: 2,
}
"""How good a verdict is; what is not here says nothing of the server."""


@dataclass
class Comparison:
    """How the second run of a server differs from the first; scenarios by id."""

    name: str
    before: Assessment
    after: Assessment
    better: list[str] = field(default_factory=list)
    worse: list[str] = field(default_factory=list)
    flaky: list[str] = field(default_factory=list)
    only_in_one: int = 0
    """How many scenarios one of the runs does not have, or says nothing of."""

    @property
    def causes_gone(self) -> list[str]:
        """The causes that only the first run has, by title."""
        left = {cause.id for cause in self.after.causes}
        return [cause.title for cause in self.before.causes if cause.id not in left]

    @property
    def causes_new(self) -> list[str]:
        """The causes that only the second run has, by title."""
        left = {cause.id for cause in self.before.causes}
        return [cause.title for cause in self.after.causes if cause.id not in left]

    @property
    def is_whole(self) -> bool:
        """Whether both runs came to their end."""
        return bool(self.before.run.end and self.after.run.end)


def compare(name: str, before: Assessment, after: Assessment) -> Comparison:
    """Compare two runs."""
    found = Comparison(name, before, after)
    earlier, later = _verdicts(before), _verdicts(after)
    for scenario in dict.fromkeys([*earlier, *later]):
        first, second = earlier.get(scenario, ""), later.get(scenario, "")
        if first not in _RANKS or second not in _RANKS:
            found.only_in_one += 1
        elif _RANKS[first] < _RANKS[second]:
            found.better.append(scenario)
        elif _RANKS[first] > _RANKS[second]:
            found.worse.append(scenario)
        elif Verdict.FLAKY.value in {first, second}:
            found.flaky.append(scenario)
    return found


def _verdicts(found: Assessment) -> Mapping[str, str]:
    """Return the verdicts of a run, and whether the server started."""
    start = Verdict.FAIL if found.exit is Exit.USAGE else Verdict.PASS
    return {START: start.value} | dict(found.verdicts)


def differences(found: Comparison) -> Iterator[str]:
    """Yield what differs, in lines of plain text."""
    before, after = found.before, found.after
    counts = f"{len(found.better)} better, {len(found.worse)} worse, {len(found.flaky)} flaky"
    grades = f"grade {before.grade.text} -> {after.grade.text}"
    yield f"{found.name}: {counts}; {before.outcome} -> {after.outcome}, {grades}"
    for what in ("dialect", "catalogue"):
        first, second = getattr(before.run.start, what), getattr(after.run.start, what)
        if first != second and first and second:
            yield f"  the {what} differs: {first[:12]}, {second[:12]}"
    yield from (f"  cause gone  {title}" for title in found.causes_gone)
    yield from (f"  cause new   {title}" for title in found.causes_new)
    got = {row.scenario: row for row in after.run.results}
    for scenario in found.worse:
        row = got.get(scenario)
        detail = f": {row.got}" if row is not None and row.got else ""
        yield f"  worse   {scenario} ({_change(found, scenario)}){detail}"
    yield from (f"  flaky   {scenario} ({_change(found, scenario)})" for scenario in found.flaky)
    yield from (f"  better  {scenario} ({_change(found, scenario)})" for scenario in found.better)
    if found.only_in_one:
        yield f"  not compared: {found.only_in_one} scenarios that only one of the runs judged"


def _change(found: Comparison, scenario: str) -> str:
    return f"{_verdicts(found.before)[scenario]} -> {_verdicts(found.after)[scenario]}"


def in_short(found: Sequence[Comparison]) -> str:
    """Return what got better or worse in a class, in one line."""
    better, worse = sum(bool(one.better) for one in found), sum(bool(one.worse) for one in found)
    which = "1 server" if len(found) == 1 else f"{len(found)} servers"
    return f"{which}: {better} with something better, {worse} with something worse"

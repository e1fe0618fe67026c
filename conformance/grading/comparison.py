"""Compare two runs of a server, or two of a class: what got better, what got worse, and what is flaky."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from conformance.grading.assessment import Assessment
from conformance.language import gettext, ngettext, translated
from conformance.model.events import Result
from conformance.model.verdicts import Exit, Verdict

_SHOWN_HASH: Final = 12
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
        return [gettext(cause.title) for cause in self.before.causes if cause.id not in left]

    @property
    def causes_new(self) -> list[str]:
        """The causes that only the second run has, by title."""
        left = {cause.id for cause in self.before.causes}
        return [gettext(cause.title) for cause in self.after.causes if cause.id not in left]

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
    yield gettext(
        "{name}: {better} better, {worse} worse, {flaky} flaky; {before} -> {after}, grade {first} -> {second}",
        name=found.name,
        better=len(found.better),
        worse=len(found.worse),
        flaky=len(found.flaky),
        before=before.outcome,
        after=after.outcome,
        first=before.grade.text,
        second=after.grade.text,
    )
    yield from (f"  {text}" for text in unlike(found))
    rows = [(gettext("cause gone"), title) for title in found.causes_gone]
    rows += [(gettext("cause new"), title) for title in found.causes_new]
    rows += [(gettext("worse"), changed(found, scenario)) for scenario in found.worse]
    rows += [(gettext("flaky"), changed(found, scenario)) for scenario in found.flaky]
    rows += [(gettext("better"), changed(found, scenario)) for scenario in found.better]
    width = max((len(name) for name, _ in rows), default=0)
    yield from (f"  {name:<{width}}  {text}" for name, text in rows)
    if found.only_in_one:
        yield f"  {not_compared(found.only_in_one)}"


def unlike(found: Comparison) -> Iterator[str]:
    """Yield in what the two runs were not judged alike."""
    before, after = found.before.run.start, found.after.run.start
    if before.dialect != after.dialect and before.dialect and after.dialect:
        yield gettext("the dialect differs: {first}, {second}", first=before.dialect, second=after.dialect)
    if before.catalogue != after.catalogue and before.catalogue and after.catalogue:
        first, second = before.catalogue[:_SHOWN_HASH], after.catalogue[:_SHOWN_HASH]
        yield gettext("the catalogue differs: {first}, {second}", first=first, second=second)


def not_compared(count: int) -> str:
    """Return how many scenarios are not compared, and why."""
    return ngettext(
        "not compared: {count} scenario that only one of the runs judged",
        "not compared: {count} scenarios that only one of the runs judged",
        count,
    )


def changed(found: Comparison, scenario: str) -> str:
    """Return a scenario with its two verdicts, and what was seen, if it got worse."""
    first, second = verdicts_of(found, scenario)
    row = result_of(found.after, scenario)
    detail = f": {translated(row.got)}" if row is not None and row.got and scenario in found.worse else ""
    return f"{scenario} ({gettext(first)} -> {gettext(second)}){detail}"


def verdicts_of(found: Comparison, scenario: str) -> tuple[str, str]:
    """Return the verdicts of a scenario in both runs."""
    return _verdicts(found.before)[scenario], _verdicts(found.after)[scenario]


def result_of(run: Assessment, scenario: str) -> Result | None:
    """Return the result of a scenario that did not pass; None if it passed, or is not one."""
    return next((row for row in run.run.results if row.scenario == scenario), None)


def in_short(found: Sequence[Comparison]) -> str:
    """Return what got better or worse in a class, in one line."""
    better, worse = sum(bool(one.better) for one in found), sum(bool(one.worse) for one in found)
    return ngettext(
        "{count} server: {better} with something better, {worse} with something worse",
        "{count} servers: {better} with something better, {worse} with something worse",
        len(found),
        better=better,
        worse=worse,
    )

"""Which requirements a server meets, from the results of the scenarios that test them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from conformance.language import gettext
from conformance.model.events import Result
from conformance.model.verdicts import MEANINGS, Verdict
from conformance.spec.reader import LEVELS, specification

MET: Final = "met"
NOT_MET: Final = "not met"
NOT_JUDGED: Final = "not judged"
OBSERVED: Final = "observed"
"""Of what a server may do either way."""
STANDINGS: Final = (NOT_MET, NOT_JUDGED, OBSERVED, MET)
SCORED: Final = ("MUST", "SHOULD")
_BREAKS: Final = {"MUST": {Verdict.FAIL}, "SHOULD": {Verdict.FAIL, Verdict.WARN}}
"""What shows that a requirement of a level is not met."""


@dataclass(frozen=True)
class JudgedRequirement:
    """A requirement, and the results of the scenarios that test it."""

    id: str
    level: str
    chapter: str
    text: str
    results: Sequence[Result]

    @property
    def standing(self) -> str:
        """Return whether it is met: one of STANDINGS."""
        verdicts = {result.verdict for result in self.results}
        if verdicts & _BREAKS.get(self.level, {Verdict.FAIL}):
            return NOT_MET
        if not any(MEANINGS[verdict].has_run and verdict is not Verdict.ERROR for verdict in verdicts):
            return NOT_JUDGED
        return MET if self.level in SCORED else OBSERVED


@dataclass(frozen=True)
class Score:
    """How many of the requirements of a level are met, of those that were judged."""

    level: str
    met: int
    judged: int


def judged_requirements(results: Iterable[Result], dialect: str) -> list[JudgedRequirement]:
    """Return the requirements that have results, in the order of the specification; others come last."""
    tested: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        tested[result.requirement].append(result)
    rows = []
    for row in specification():
        if found := tested.pop(row.id, None):
            level = row.levels.get(dialect, row.level)
            rows.append(JudgedRequirement(row.id, level, row.chapter, gettext(row.text), found))
    for name, found in tested.items():
        level = min((result.level for result in found), key=lambda level: (*LEVELS, level).index(level))
        rows.append(JudgedRequirement(name, level, found[0].chapter, found[0].text, found))
    return rows


def scores(requirements: Iterable[JudgedRequirement]) -> list[Score]:
    """Return the score of MUST, and of SHOULD, if there is any such requirement."""
    rows = [row for row in requirements if row.standing != NOT_JUDGED]
    found = []
    for level in SCORED:
        standings = [row.standing for row in rows if row.level == level]
        if standings:
            found.append(Score(level, standings.count(MET), len(standings)))
    return found

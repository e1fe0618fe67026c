"""What is known of one server after its run: verdicts, failures, causes, choices and grade, in little memory."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from conformance.grading.grade import Grade, grade
from conformance.grading.points import PointsMap
from conformance.language import Message
from conformance.model.events import DiagnosedCause, Result
from conformance.model.verdicts import Exit, Verdict
from conformance.reports.text import Run
from conformance.tools.recordings import run_of

_OUTCOMES: Final[Mapping[int, Message]] = {
    Exit.CONFORMANT: Message("conformant"),
    Exit.NOT_CONFORMANT: Message("not conformant"),
    Exit.INCOMPLETE: Message("incomplete"),
    Exit.SUITE_FAULT: Message("no verdict"),
}


@dataclass(frozen=True)
class Person:
    """Whom a submission belongs to, as the course knows it; all of it may be unknown."""

    full_name: str = ""
    identifier: str = ""
    """Moodle's `Participant 1234567`, or whatever the course uses."""
    email: str = ""


@dataclass(frozen=True)
class Assessment:
    """A server, its last run without the results that passed, and its grade."""

    name: str
    run: Run
    """Its `results` are those that did not pass."""
    verdicts: Mapping[str, str]
    """The verdict of each scenario; `known` for known failures."""
    grade: Grade
    person: Person = field(default_factory=Person)

    @property
    def exit(self) -> Exit:
        """The exit status of its run."""
        return self.run.end.exit if self.run.end is not None else Exit.INCOMPLETE

    @property
    def outcome(self) -> Message:
        """The outcome in few words."""
        if self.run.end is None:
            return Message("cut short")
        if self.exit is Exit.USAGE:
            return Message("does not build") if self.grade.reason.startswith("build") else Message("does not start")
        return _OUTCOMES[self.exit]

    @property
    def causes(self) -> list[DiagnosedCause]:
        """The causes that the diagnosis names, the most serious first."""
        return self.run.diagnosis.causes if self.run.diagnosis is not None else []

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return self.run.end.seconds if self.run.end is not None else 0.0

    @property
    def failures(self) -> list[Result]:
        """The failures and warnings, except known ones."""
        return [row for row in self.run.results if row.verdict in {Verdict.FAIL, Verdict.WARN} and not row.known]

    @property
    def choices(self) -> dict[str, str]:
        """What the server did where it may do either, by scenario."""
        return {row.scenario: row.got for row in self.run.results if row.verdict is Verdict.INFO and row.got}


def assess(name: str, path: Path, points: PointsMap, person: Person | None = None) -> Assessment:
    """Assess a recorded run; raise EventError."""
    run = run_of(path)
    verdicts = {sys.intern(row.scenario): "known" if row.known else row.verdict.value for row in run.results}
    found = grade(run, points)
    run.results = [row for row in run.results if row.verdict is not Verdict.PASS]
    return Assessment(name, run, verdicts, found, person or Person())

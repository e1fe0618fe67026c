"""The tests of grades, and runs made of a few results."""

from conformance.grading.assessment import Assessment, Person
from conformance.grading.grade import Grade, Line, grade
from conformance.grading.points import PointsMap
from conformance.model.events import DiagnosedCause, Diagnosis, Result, RunEnd, RunStart
from conformance.model.verdicts import Exit, Verdict
from conformance.reports.text import Run

FORMULA = "=HYPERLINK(1)"


def start(dialect: str = "2026") -> RunStart:
    """Return the start of a run."""
    return RunStart(suite="1", catalogue="c0ffee" * 10, seed=7, dialect=dialect, target="127.0.0.1:1", selected=1)


def result(scenario: str, requirement: str, verdict: Verdict, **fields: object) -> Result:
    """Return a result; `fields` are those of Result."""
    usual = {"title": f"Title of {scenario}", "chapter": scenario.partition(".")[0]}
    if verdict in {Verdict.FAIL, Verdict.WARN}:
        usual |= {"expected": "100 BAD EOL", "got": "0 OK", "sent": "quit\\n"}
    return Result(scenario, requirement, "MUST", verdict, **(usual | fields))  # type: ignore[arg-type]


def run(*results: Result, status: Exit = Exit.NOT_CONFORMANT, problems: tuple[str, ...] = (), **fields: str) -> Run:
    """Return a run with these results, and the causes that explain them, if `cause` names one."""
    cause = fields.get("cause", "")
    causes = [DiagnosedCause(cause, "A title", "wrong answer", "Why.", "Fix.", {}, ["framing.a"])] if cause else []
    failures = sum(row.verdict in {Verdict.FAIL, Verdict.WARN} for row in results)
    counts = {verdict.value: sum(row.verdict is verdict for row in results) for verdict in Verdict}
    return Run(
        start(fields.get("dialect", "2026")),
        list(results),
        RunEnd(counts, status, 1.5, list(problems)),
        Diagnosis(causes, failures, len(causes)),
    )


SOME = (
    result("framing.a", "HFTP-1.1", Verdict.PASS),
    result("framing.b", "HFTP-1.2", Verdict.FAIL, reproduce=["conformance try framing.b"]),
    result("framing.c", "HFTP-1.2", Verdict.FAIL),
    result("framing.d", "HFTP-1.3", Verdict.PASS),
    result("framing.e", "HFTP-1.3", Verdict.FAIL, got=FORMULA),
    result("framing.f", "HFTP-1.4", Verdict.BLOCKED, got="framing.b did not pass"),
    result("framing.g", "HFTP-1.5", Verdict.INCOMPLETE, got="no file"),
    result("framing.h", "HFTP-1.6", Verdict.FLAKY),
    result("framing.i", "HFTP-1.12", Verdict.WARN),
    result("framing.j", "HFTP-1.9", Verdict.INFO, got="101"),
)
"""Of 19 points (six MUST, one SHOULD) a server has 3 + 1.5 + 3."""


def assessment(name: str, found: Run, points: PointsMap | None = None, person: Person | None = None) -> Assessment:
    """Return what is known of a server after a run."""
    verdicts = {row.scenario: row.verdict.value for row in found.results}
    graded = grade(found, points or PointsMap())
    rest = [row for row in found.results if row.verdict is not Verdict.PASS]
    return Assessment(name, Run(found.start, rest, found.end, found.diagnosis), verdicts, graded, person or Person())


def line(found: Grade, requirement: str) -> Line:
    """Return the line of a requirement."""
    return next(row for row in found.lines if row.requirement.id == requirement)

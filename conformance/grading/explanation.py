"""Explain a grade line by line, in plain text, with the evidence that a student can check."""

from collections.abc import Iterator

from conformance.grading.assessment import Assessment
from conformance.grading.grade import Line, State, number
from conformance.model.events import Result

_SHOWN = (State.PARTLY, State.NOT_MET, State.NOT_SHOWN)


def summary(found: Assessment) -> str:
    """Return the grade and what it is made of, in one line."""
    grade = found.grade
    if grade.points is None:
        return f"no grade: {grade.reason}"
    of = f"{grade.text} of {number(grade.scale)}"
    if grade.reason:
        return f"{of}: {grade.reason}"
    return f"{of}: {grade.met_of('MUST')} of what it must, {grade.met_of('SHOULD')} of what it should"


def explain_grade(found: Assessment, *, everything: bool = False) -> Iterator[str]:
    """Yield the lines of a grade: what earned less than it could, or everything."""
    grade = found.grade
    yield summary(found)
    if grade.points is None or grade.reason:
        return
    yield from (f"  -{number(row.points):<9} {row.cause}: {row.title}" for row in grade.deductions)
    for line in grade.lines:
        if everything or line.state in _SHOWN:
            yield heading(line)
            yield from (f"    {text}" for text in evidence(line))
    possible = sum(line.possible for line in grade.lines if line.state is not State.LEFT_OUT)
    earned = sum(line.earned for line in grade.lines)
    yield (
        f"{number(earned)} of {number(possible)} points; {grade.count(State.MET)} requirements met, "
        f"{grade.count(State.PARTLY)} partly, {grade.count(State.NOT_MET)} not, "
        f"{grade.count(State.NOT_SHOWN)} not shown, {grade.count(State.LEFT_OUT)} left out"
    )


def heading(line: Line) -> str:
    """Return a requirement, what it earned, and why."""
    points = "-" if line.state is State.LEFT_OUT else f"{number(line.earned)}/{number(line.possible)}"
    row = line.requirement
    return f"  {points:<10} {row.id} {line.level} {line.state}: {line.reason}. {row.text}"


def evidence(line: Line) -> Iterator[str]:
    """Yield what shows best that a requirement is not met: its first failure, and the names of the others."""
    if not line.failures:
        return
    first, *others = line.failures
    yield f"{first.scenario}: {first.title}"
    yield from (f"{name:<9} {value}" for name, value in facts(first))
    if others:
        yield f"also failed: {', '.join(row.scenario for row in others)}"


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """Yield what was sent, expected and seen, and how to see it again, as pairs of name and text."""
    again = result.reproduce[0] if result.reproduce else ""
    for name, value in (
        ("sent", result.sent),
        ("expected", result.expected),
        ("got", result.got),
        ("again", again),
    ):
        if value:
            yield name, value

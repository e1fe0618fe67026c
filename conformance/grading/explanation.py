"""Explain a grade line by line, in the reader's language, with the evidence that a student can check."""

from collections.abc import Iterator, Sequence

from conformance.grading.assessment import Assessment
from conformance.grading.grade import Line, State, number
from conformance.language import gettext, ngettext, translated
from conformance.model.events import DiagnosedCause, Result
from conformance.reports.in_language import in_language

_SHOWN = (State.PARTLY, State.NOT_MET, State.NOT_SHOWN)


def summary(found: Assessment) -> str:
    """Return the grade and what it is made of, in one line."""
    grade = found.grade
    if grade.points is None:
        return gettext("no grade: {reason}", reason=grade.reason)
    of = gettext("{grade} of {scale}", grade=grade.text, scale=number(grade.scale))
    if grade.reason:
        return f"{of}: {translated(grade.reason)}"
    met = gettext("{must} MUST and {should} SHOULD met", must=grade.met_of("MUST"), should=grade.met_of("SHOULD"))
    return f"{of}: {met}"


def explain_grade(found: Assessment, *, everything: bool = False) -> Iterator[str]:
    """Yield the lines of a grade: what earned less than it could, or everything."""
    grade = found.grade
    yield summary(found)
    if grade.points is None or grade.reason:
        return
    yield from (f"  -{number(row.points):<9} {row.cause}: {gettext(row.title)}" for row in grade.deductions)
    for line in grade.lines:
        if everything or line.state in _SHOWN:
            yield heading(line)
            yield from (f"    {text}" for text in evidence(line))
    possible = sum(line.possible for line in grade.lines if line.state is not State.LEFT_OUT)
    earned = sum(line.earned for line in grade.lines)
    yield gettext(
        "{earned} of {possible} points; requirements: {met} met, {partly} partly, {unmet} not, {unshown} not shown, "
        "{out} left out",
        earned=number(earned),
        possible=number(possible),
        met=grade.count(State.MET),
        partly=grade.count(State.PARTLY),
        unmet=grade.count(State.NOT_MET),
        unshown=grade.count(State.NOT_SHOWN),
        out=grade.count(State.LEFT_OUT),
    )


def heading(line: Line) -> str:
    """Return a requirement, what it earned, and why."""
    points = "-" if line.state is State.LEFT_OUT else f"{number(line.earned)}/{number(line.possible)}"
    row = line.requirement
    why = f"{gettext(line.state.value)}: {translated(line.reason)}. {gettext(row.text)}"
    return f"  {points:<10} {row.id} {line.level} {why}"


def evidence(line: Line) -> Iterator[str]:
    """Yield what shows best that a requirement is not met: its first failure, and the names of the others."""
    if not line.failures:
        return
    first, *others = line.failures
    yield f"{first.scenario}: {gettext(first.title)}"
    yield from rows(first)
    if others:
        yield also_failed(others)


def also_failed(others: Sequence[Result]) -> str:
    """Return the names of the failures that are not shown."""
    return gettext("also failed: {scenarios}", scenarios=", ".join(row.scenario for row in others))


def seen_in(cause: DiagnosedCause) -> str:
    """Return where a cause was seen, in a sentence."""
    return ngettext(
        "Seen in {count} scenario: {example}.",
        "Seen in {count} scenarios, such as {example}.",
        len(cause.scenarios),
        example=cause.example,
    )


def rows(result: Result) -> list[str]:
    """Return the facts about a failure, in lines with the names above each other."""
    found = [(gettext(name), value) for name, value in facts(result)]
    width = max((len(name) for name, _ in found), default=0)
    return [f"{name:<{width}}  {value}" for name, value in found]


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """Yield what was sent, expected and seen, and how to see it again: the English name, and the reader's text."""
    result = in_language(result)
    again = result.reproduce[0] if result.reproduce else ""
    for name, value in (
        ("sent", result.sent),
        ("expected", result.expected),
        ("got", result.got),
        ("again", again),
    ):
        if value:
            yield name, value

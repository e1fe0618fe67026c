"""Write a grade as the `results.json` of a Gradescope autograder.

The format: https://gradescope-autograders.readthedocs.io/en/latest/specs/#output-format
"""

import json
from collections.abc import Iterable
from typing import Final

from markupsafe import Markup, escape

from conformance.grading.assessment import Assessment
from conformance.grading.explanation import also_failed, rows, seen_in, summary
from conformance.grading.grade import Line, State
from conformance.language import Message, gettext, translated
from conformance.printable import printable_lines

VISIBILITIES: Final = ("visible", "hidden", "after_due_date", "after_published")


def gradescope(found: Assessment, visibility: str = "visible") -> str:
    """Return the JSON of a grade: one test for each requirement that counts, and one for each deduction."""
    grade = found.grade
    lines = [line for line in grade.lines if line.state is not State.LEFT_OUT]
    possible = sum(line.possible for line in lines)
    factor = grade.scale / possible if possible else 0.0
    tests = [_test(line, factor, visibility) for line in lines]
    tests += [
        {
            "name": gettext("Deduction: {title}", title=Message(row.title)),
            "score": -round(row.points, 4),
            "max_score": 0,
            "status": "failed",
            "output": f"conformance explain {row.cause}",
            "output_format": "text",
            "visibility": visibility,
        }
        for row in grade.deductions
    ]
    document = {
        "score": grade.points or 0.0,
        "execution_time": round(found.seconds),
        "visibility": visibility,
        "output": _html(_paragraphs(found)),
        "output_format": "html",
        "test_output_format": "html",
        "test_name_format": "text",
        "stdout_visibility": "hidden",
        "extra_data": {
            "outcome": found.outcome,
            "dialect": found.run.start.dialect,
            "seed": found.run.start.seed,
            "catalogue": found.run.start.catalogue,
            "has_grade": grade.points is not None,
        },
        "tests": tests,
    }
    return json.dumps(document, indent=2) + "\n"


def _test(line: Line, factor: float, visibility: str) -> dict[str, object]:
    row = line.requirement
    return {
        "name": printable_lines(f"{row.id} {line.level}: {gettext(row.text)}"),
        "number": row.id.removeprefix("HFTP-"),
        "score": round(line.earned * factor, 4),
        "max_score": round(line.possible * factor, 4),
        "status": "passed" if line.state is State.MET else "failed",
        "output": _html(_evidence(line)),
        "output_format": "html",
        "tags": [row.chapter, line.level],
        "visibility": visibility,
    }


def _paragraphs(found: Assessment) -> Iterable[Markup]:
    yield _element("p", summary(found))
    for cause in found.causes:
        texts = (*map(gettext, (cause.severity, cause.title, cause.fix)), seen_in(cause))
        yield Markup("<p><b>{}</b>: {}<br>{} {}</p>").format(*map(printable_lines, texts))
    if found.grade.reason and found.run.end is not None and found.run.end.output:
        yield _element("pre", found.run.end.output)


def _evidence(line: Line) -> Iterable[Markup]:
    yield _element("p", f"{gettext(line.state.value)}: {translated(line.reason)}.")
    for result in line.failures[:1]:
        yield _element("p", f"{result.scenario}: {gettext(result.title)}")
        yield _element("pre", "\n".join(rows(result)))
    if others := line.failures[1:]:
        yield _element("p", also_failed(others))


def _element(tag: str, text: str) -> Markup:
    return Markup("<{0}>{1}</{0}>").format(Markup(tag), escape(printable_lines(text)))  # noqa: S704  (a constant)


def _html(parts: Iterable[Markup]) -> str:
    return str(Markup().join(parts))

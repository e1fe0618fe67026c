"""Write grades as CSV: one row a server for a spreadsheet, or the offline grading worksheet of Moodle.

The columns and the words in them are English in every language, for programs read them; Moodle's feedback, which is
for people, is in the reader's language. Moodle reads the worksheet back by its column `Identifier`:
https://docs.moodle.org/en/Assignment_settings#Offline_grading_worksheet
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from conformance.grading.assessment import Assessment
from conformance.grading.explanation import heading, summary
from conformance.grading.grade import Grade, State, number
from conformance.language import gettext
from conformance.printable import printable

_FORMULAS: Final = ("=", "+", "-", "@")
"""What a spreadsheet takes for the beginning of a formula."""


def csv_of(found: Sequence[Assessment]) -> str:
    """Return a table of the servers, with the points of each requirement."""
    requirements = list(dict.fromkeys(line.requirement.id for row in found for line in row.grade.lines))
    columns = ["name", "id", "email", "outcome", "grade", "of", "dialect", "MUST met", "SHOULD met"]
    columns += ["fail", "warn", "blocked", "flaky", "seconds", "seed", "catalogue", "causes", "note", *requirements]
    return _csv([columns, *(_row(row, requirements) for row in found)])


def _row(found: Assessment, requirements: Sequence[str]) -> list[str]:
    grade, start = found.grade, found.run.start
    counts = found.run.end.counts if found.run.end is not None else {}
    earned = {line.requirement.id: _earned(line.state, line.earned) for line in grade.lines}
    return [
        found.name,
        found.person.identifier,
        found.person.email,
        found.outcome,
        _number(grade),
        number(grade.scale),
        start.dialect,
        *(grade.met_of(level).replace("/", " of ") for level in ("MUST", "SHOULD")),  # 3/4 would become a date
        *(str(counts.get(name, 0)) for name in ("fail", "warn", "blocked", "flaky")),
        f"{found.seconds:.1f}",
        str(start.seed),
        start.catalogue[:12],
        " ".join(cause.id for cause in found.causes),
        grade.reason,
        *(earned.get(name, "") for name in requirements),
    ]


def moodle(found: Sequence[Assessment]) -> str:
    """Return Moodle's offline grading worksheet; a server without a grade has none."""
    columns = ["Identifier", "Full name", "Email address", "Grade", "Maximum grade", "Feedback comments"]
    rows = [
        [
            row.person.identifier,
            row.person.full_name or row.name,
            row.person.email,
            _number(row.grade),
            number(row.grade.scale),
            _feedback(row),
        ]
        for row in found
    ]
    return _csv([columns, *rows])


def _feedback(found: Assessment) -> str:
    lost = [line for line in found.grade.lines if line.state not in {State.MET, State.LEFT_OUT}]
    lines = [summary(found), *(f"{gettext(cause.severity)}: {gettext(cause.title)}" for cause in found.causes)]
    return "\n".join([*lines, *(heading(line).strip() for line in lost if not found.grade.reason)])


def _number(grade: Grade) -> str:
    return number(grade.points) if grade.points is not None else ""


def _earned(state: State, earned: float) -> str:
    return "" if state is State.LEFT_OUT else number(earned)


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _cell(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula, whatever a server or a student wrote."""
    text = printable(text, keep="\n")
    return f"'{text}" if text.startswith(_FORMULAS) else text

"""Write grades as Markdown: the job summary of a continuous integration, or a table of the class; and annotations.

Markdown: https://github.github.com/gfm/. Annotations: the workflow commands of GitHub,
https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from conformance.grading.assessment import Assessment
from conformance.grading.explanation import evidence, seen_in, summary
from conformance.grading.grade import State, number
from conformance.language import gettext, translated
from conformance.model.events import Result
from conformance.model.verdicts import Verdict
from conformance.printable import printable, printable_lines

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@-])")
_ESCAPED_IN_DATA: Final = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_ESCAPED_IN_PROPERTIES: Final = {**_ESCAPED_IN_DATA, ":": "%3A", ",": "%2C"}
_MOST_ANNOTATIONS: Final = 10
"""GitHub shows ten of each kind for a step."""


def markdown(found: Sequence[Assessment]) -> str:
    """Return a table of the servers, and for a single one what it lost."""
    columns = [
        gettext("server"),
        gettext("outcome"),
        gettext("grade"),
        gettext("of"),
        gettext("{level} met", level="MUST"),
        gettext("{level} met", level="SHOULD"),
        gettext("causes"),
    ]
    lines = [
        "# " + gettext("HFTP conformance"),
        "",
        f"| {' | '.join(columns)} |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    lines += [_table_row(row) for row in found]
    if len(found) == 1:
        lines += ["", *_in_full(found[0])]
    return "\n".join(lines) + "\n"


def _table_row(found: Assessment) -> str:
    grade = found.grade
    causes = "; ".join(gettext(cause.title) for cause in found.causes) or translated(grade.reason)
    cells = [found.name, translated(found.outcome), grade.text, number(grade.scale)]
    cells += [grade.met_of("MUST"), grade.met_of("SHOULD"), causes]
    return f"| {' | '.join(map(_plain, cells))} |"


def _in_full(found: Assessment) -> Iterator[str]:
    yield f"{_plain(summary(found))}"
    for row in found.grade.deductions:
        yield f"- {number(-row.points)}: {_plain(gettext(row.title))}"
    for line in found.grade.lines:
        if line.state in {State.MET, State.LEFT_OUT} or found.grade.reason:
            continue
        points = f"{number(line.earned)}/{number(line.possible)}"
        yield ""
        text = f"{gettext(line.state.value)}: {_plain(gettext(line.requirement.text))}"
        yield f"- **{line.requirement.id}** {line.level}, {points}, {text}"
        if lines := list(evidence(line)):
            yield from ("  ```text", *(f"  {_fenced(text)}" for text in lines), "  ```")
        else:
            yield f"  {_plain(translated(line.reason))}"


def annotations(found: Sequence[Assessment]) -> str:
    """Return workflow commands of GitHub: errors for causes and for failures without one, warnings for warnings."""
    lines: list[str] = []
    for row in found:
        if row.grade.reason:
            lines.append(_command("error", row.name, translated(row.grade.reason)))
        lines += [
            _command("error", gettext(cause.title), f"{gettext(cause.fix)} {seen_in(cause)}") for cause in row.causes
        ]
        explained = {name for cause in row.causes for name in cause.scenarios}
        unexplained = [result for result in row.failures if result.scenario not in explained]
        for verdict, kind in ((Verdict.FAIL, "error"), (Verdict.WARN, "warning")):
            some = [result for result in unexplained if result.verdict is verdict][:_MOST_ANNOTATIONS]
            lines += [_command(kind, f"{row.scenario}: {gettext(row.title)}", _seen(row)) for row in some]
    return "".join(f"{line}\n" for line in lines)


def _seen(result: Result) -> str:
    return gettext("expected {expected}, got {got}", expected=result.expected, got=result.got)


def _command(kind: str, title: str, text: str) -> str:
    shown = _replaced(printable(title), _ESCAPED_IN_PROPERTIES)
    return f"::{kind} title={shown}::{_replaced(printable_lines(text), _ESCAPED_IN_DATA)}"


def _replaced(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(letter, letter) for letter in text)


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is, in one line."""
    return _SPECIAL.sub(r"\\\1", printable(" ".join(text.split())))


def _fenced(text: str) -> str:
    """Return a line that ends no fenced block."""
    return printable(text).replace("```", "'''")

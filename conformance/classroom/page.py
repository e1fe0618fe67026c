"""The page about a class: one file with a matrix of servers and requirements, the causes that they share, and details.

This module prepares the data, which the page reads when it needs it; the markup is the template `page.jinja`, the style
`page.css`, and what the page does `page.js`.
"""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup

from conformance.classroom.overview import choices, shared_causes
from conformance.classroom.page_words import words
from conformance.grading.assessment import Assessment
from conformance.grading.explanation import facts, summary
from conformance.grading.grade import Line, State, number
from conformance.language import gettext, language, translated
from conformance.model.verdicts import Exit
from conformance.printable import printable_lines
from conformance.reports.in_language import verdict_name
from conformance.reports.templates import environment
from conformance.spec.reader import specification

_CELLS: Final = {
    State.MET: "m",
    State.PARTLY: "p",
    State.NOT_MET: "n",
    State.NOT_SHOWN: "s",
    State.LEFT_OUT: "x",
}
_TONES: Final = {
    Exit.CONFORMANT: "pass",
    Exit.NOT_CONFORMANT: "fail",
    Exit.USAGE: "error",
    Exit.INCOMPLETE: "warn",
    Exit.SUITE_FAULT: "none",
}
_MARKS: Final = {"m": "·", "p": "◐", "n": "\u2715", "s": "\u2013", "x": ""}
_SHOWN_HASH: Final = 12


def page(found: Sequence[Assessment], *, title: str, is_anonymous: bool = False) -> str:
    """Render the page; if it is anonymous, nothing in it says which server is whose."""
    found = list(found)
    names = [row.name for row in found]
    if is_anonymous:
        random.Random(sum(map(ord, "".join(names)))).shuffle(found)  # noqa: S311  (an order, not a secret)
        names = [gettext("Server {number}", number=count) for count in range(1, len(found) + 1)]
    renamed = dict(zip((row.name for row in found), names, strict=True))
    rules = [rule for rule in specification() if any(_line(row, rule.id) for row in found)]
    scenarios = _scenarios(found)
    data = {
        "title": title,
        "words": words(),
        "marks": _MARKS,
        "states": _states(),
        "rules": [
            {"id": rule.id, "level": _level(found, rule.id), "chapter": rule.chapter, "text": gettext(rule.text)}
            for rule in rules
        ],
        "scenarios": [[name, [rule, gettext(text)]] for name, (rule, text) in scenarios.items()],
        "causes": [
            {
                "id": one.cause.id,
                "title": gettext(one.cause.title),
                "severity": one.cause.severity,
                "severityName": gettext(one.cause.severity),
                "why": gettext(one.cause.why),
                "fix": gettext(one.cause.fix),
                "servers": [names.index(renamed[name]) for name in one.names],
            }
            for one in shared_causes(found)
        ],
        "choices": [
            {
                "scenario": scenario,
                "ways": [[translated(what), [renamed[name] for name in who]] for what, who in ways.items()],
            }
            for scenario, ways in choices(found).items()
        ],
        "servers": [
            _server(row, renamed[row.name], [rule.id for rule in rules], is_anonymous=is_anonymous) | {"print": letter}
            for row, letter in zip(found, _fingerprints(found), strict=True)
        ],
    }
    details = [_details(row, list(scenarios), is_anonymous=is_anonymous) for row in found]
    return ENVIRONMENT.get_template("page.jinja").render(
        title=title,
        language=language(),
        marks=_MARKS,
        states=_states(),
        outcomes=Counter(translated(row.outcome) for row in found),
        facts=_facts(found),
        rows=[(renamed[row.name], translated(row.outcome), row.grade.text) for row in found],
        data=_json(data),
        details=map(_json, details),
    )


def _states() -> dict[str, str]:
    """Return what the cells mean, in the reader's language."""
    return {cell: gettext(state.value) for state, cell in _CELLS.items()}


def _line(row: Assessment, rule: str) -> Line | None:
    return next((line for line in row.grade.lines if line.requirement.id == rule), None)


def _level(found: Sequence[Assessment], rule: str) -> str:
    """Return the level of a requirement, in the dialect of the first server that it concerns."""
    return next(line.level for row in found if (line := _line(row, rule)) is not None)


def _scenarios(found: Sequence[Assessment]) -> dict[str, tuple[str, str]]:
    """Return the requirement and the title of each scenario of which something is to be said; titles may be unknown."""
    known: dict[str, tuple[str, str]] = {}
    for row in found:
        for result in row.run.results:
            known.setdefault(result.scenario, (result.requirement, result.title))
    return known


def _server(row: Assessment, name: str, rules: Sequence[str], *, is_anonymous: bool) -> dict[str, object]:
    cells = {line.requirement.id: _CELLS[line.state] for line in row.grade.lines}
    return {
        "name": name,
        "outcome": translated(row.outcome),
        "tone": _TONES[row.exit],
        "grade": row.grade.points,
        "of": row.grade.scale,
        "must": row.grade.met_of("MUST"),
        "should": row.grade.met_of("SHOULD"),
        "summary": "" if is_anonymous and row.grade.reason else summary(row),
        "seconds": round(row.seconds, 1),
        "dialect": row.run.start.dialect,
        "causes": [cause.id for cause in row.causes],
        "cells": "".join(cells.get(rule, "x") for rule in rules),
    }


def _details(row: Assessment, scenarios: Sequence[str], *, is_anonymous: bool) -> dict[str, object]:
    """Return what the page says of a server when it is opened."""
    index = {name: count for count, name in enumerate(scenarios)}
    end = row.run.end
    return {
        "lines": [
            [
                line.requirement.id,
                _CELLS[line.state],
                number(line.earned),
                number(line.possible),
                translated(line.reason),
            ]
            for line in row.grade.lines
            if line.state not in {State.MET, State.LEFT_OUT} and not (is_anonymous and row.grade.reason)
        ],
        "deductions": [[gettext(deduction.title), number(deduction.points)] for deduction in row.grade.deductions],
        "failures": [
            [index[result.scenario], result.verdict.value, _evidence(dict(facts(result)), is_anonymous=is_anonymous)]
            for result in row.failures
        ],
        "others": [
            [index[result.scenario], verdict_name(result.verdict.value), translated(result.got)]
            for result in row.run.results
            if result.verdict.value not in {"fail", "warn", "info"} and not is_anonymous
        ],
        "passed": sum(verdict == "pass" for verdict in row.verdicts.values()),
        "problems": [] if is_anonymous or end is None else list(map(translated, end.problems)),
        "output": "" if is_anonymous or end is None else end.output,
        "command": "" if is_anonymous else row.run.start.command,
    }


def _evidence(found: Mapping[str, str], *, is_anonymous: bool) -> list[tuple[str, str]]:
    return [(gettext(name), value) for name, value in found.items() if not (is_anonymous and name == "again")]


def _fingerprints(found: Sequence[Assessment]) -> list[str]:
    """Return a letter for each server: those with the same one make the same choices; a dash if that is not known."""
    letters: dict[tuple[tuple[str, str], ...], str] = {}
    shown = []
    for row in found:
        chosen = tuple(sorted(row.choices.items()))
        shown.append(letters.setdefault(chosen, _letter(len(letters))) if chosen else "-")
    return shown


def _letter(count: int) -> str:
    """Return A to Z, then AA, AB ..."""
    text = ""
    while count >= 0:
        text = chr(ord("A") + count % 26) + text
        count = count // 26 - 1
    return text


def _facts(found: Sequence[Assessment]) -> dict[str, str]:
    starts = [row.run.start for row in found]
    by_name = {
        gettext("suite"): {start.suite for start in starts},
        gettext("dialect"): {start.dialect for start in starts},
        gettext("seed"): {str(start.seed) for start in starts},
        gettext("catalogue"): {start.catalogue[:_SHOWN_HASH] for start in starts} - {""},
        gettext("judged"): {start.started[:10] for start in starts},
    }
    return {name: ", ".join(sorted(values)) for name, values in by_name.items()}


def _json(value: object) -> Markup:
    """Return JSON that ends no element and does nothing to a page, whatever text is in it."""
    text = json.dumps(_printable(value), ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704


def _printable(value: object) -> object:
    if isinstance(value, str):
        return printable_lines(value)
    if isinstance(value, Mapping):
        return {key: _printable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(one) for one in value]
    return value


ENVIRONMENT: Final = environment("classroom")

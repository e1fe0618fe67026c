"""The HTML report: one self-contained page with the score, the causes, the requirements, and all scenarios.

This module prepares the data. The markup is in the templates of `page/`, one for each part of the page, with the style
sheets and scripts that are put into it; a Content-Security-Policy allows those, by their hashes, and nothing else.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from conformance.language import gettext, language
from conformance.model.events import DiagnosedCause, Event, Result
from conformance.model.verdicts import MEANINGS, Exit
from conformance.reports.conversation import conversation, excerpt
from conformance.reports.in_language import verdict_name
from conformance.reports.requirements import MET, NOT_JUDGED, JudgedRequirement, judged_requirements, scores
from conformance.reports.templates import environment, inlined, policy
from conformance.reports.text import (
    Run,
    explained,
    explanation,
    failures_of,
    gathered,
    notes_on_dialect,
    printed,
    printed_error,
)
from conformance.spec.glossary import glossary
from conformance.spec.reader import specification

KNOWN: Final = "known"
STYLES: Final = ("base.css", "summary.css", "cards.css", "conversation.css", "tables.css", "media.css")
SCRIPTS: Final = ("anchors.js", "filter.js", "keyboard.js")
OPEN_CAUSES: Final = 3
"""How many causes are open at first."""
LISTED: Final = 8
"""How many failures without a cause, and reasons, are listed before a click."""
_TONES: Final = {
    Exit.CONFORMANT: "pass",
    Exit.NOT_CONFORMANT: "fail",
    Exit.INCOMPLETE: "warn",
    Exit.SUITE_FAULT: "error",
}
_LITERAL: Final = frozenset({"sent", "expected", "got", "again"})
_SHORT_HASH: Final = 12
PAGE: Final = Path(__file__).with_name("page")


def html(events: Iterable[Event]) -> str:
    """Render the page of an event stream."""
    runs = [_shown(run, number) for number, run in enumerate(gathered(events), 1)]
    style, script = inlined(PAGE, STYLES), inlined(PAGE, SCRIPTS)
    title = ", ".join(str(run["name"]) for run in runs)
    return ENVIRONMENT.get_template("page.jinja").render(
        title=title,
        runs=runs,
        style=style,
        script=script,
        policy=policy(style, script),
    )


def _shown(run: Run, number: int) -> Mapping[str, Any]:
    """Return the template's data for a run."""
    requirements = judged_requirements(run.results, run.start.dialect)
    covered = {name for cause in run.causes for name in cause.scenarios}
    return {
        "name": run.name,
        "prefix": "" if number == 1 else f"run-{number}-",  # keeps ids unique on a page with several runs
        "start": run.start,
        "date": _date(run.start.started),
        "verdict": _capitalized(run.verdict),
        "judged_as": [f"{_capitalized(text)}." for text in notes_on_dialect(run.start, run.end)],
        "tone": _TONES.get(run.end.exit, "error") if run.end else "error",
        "problems": run.end.problems if run.end else [],
        "scores": scores(requirements),
        "not_judged": sum(row.standing == NOT_JUDGED for row in requirements),
        "counts": run.end.counts if run.end else {},
        "diagnosis": explained(run.diagnosis),
        "causes": [_cause(cause, run.results) for cause in run.causes],
        "unexplained": [result for result in failures_of(run) if result.scenario not in covered],
        "left_out": _left_out(run.results),
        "requirements": [_chapter(*row) for row in groupby(requirements, key=lambda row: row.chapter)],
        "chapters": _by_chapter(run.results),
        "tested": {result.requirement for result in run.results},
        "facts": _facts(run),
        "deselected": run.start.deselected,
        "output": run.end.output if run.end else "",
    }


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _date(started: str) -> str:
    """Return date and time for a reader, or what was recorded if that is no date."""
    try:
        return datetime.fromisoformat(started).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return started


def verdict_of(result: Result) -> str:
    """Return the verdict, or that a failure is known."""
    return KNOWN if result.known else result.verdict.value


def _cause(cause: DiagnosedCause, results: Sequence[Result]) -> Mapping[str, Any]:
    """Return a cause, with the result that shows it best, and the requirements that it breaks."""
    shown = [result for result in results if result.scenario in set(cause.scenarios)]
    example = next((result for result in shown if result.scenario == cause.example), None)
    return {"is": cause, "example": example, "requirements": list(dict.fromkeys(row.requirement for row in shown))}


def _chapter(slug: str, rows: Iterable[JudgedRequirement]) -> Mapping[str, Any]:
    """Return a chapter with its requirements, and how many of them are met."""
    found = list(rows)
    judged = scores(found)
    titles = {row.slug: row.title for row in specification().chapters}
    return {
        "slug": slug,
        "title": gettext(titles.get(slug, slug)),
        "rows": found,
        "met": sum(score.met for score in judged),
        "judged": sum(score.judged for score in judged),
    }


def _by_chapter(results: Sequence[Result]) -> dict[str, list[Result]]:
    chapters: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        chapters[result.chapter].append(result)
    return chapters


def _left_out(results: Sequence[Result]) -> dict[tuple[str, str], list[str]]:
    """Return the scenarios that did not run, by verdict and reason."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for result in results:
        if not MEANINGS[result.verdict].has_run:
            reasons[result.verdict.value, result.got].append(result.scenario)
    return reasons


def _facts(run: Run) -> dict[str, str]:
    """Return the facts that identify the run, by name."""
    facts = run.facts | {"catalogue": run.start.catalogue[:_SHORT_HASH], "started": run.start.started}
    facts["duration"] = gettext("{seconds} s", seconds=run.end.seconds) if run.end else gettext("unknown")
    facts["timeout"] = gettext("{seconds} s per wait", seconds=run.start.patience_seconds)
    return {name: value for name, value in facts.items() if value and name not in {"deselected", "deviations"}}


ENVIRONMENT: Final = environment("reports/page")
ENVIRONMENT.globals |= {
    "MET": MET,
    "OPEN_CAUSES": OPEN_CAUSES,
    "LISTED": LISTED,
    "titles": {row.slug: row.title for row in specification().chapters},
    "glossary": glossary(),
    "meanings": MEANINGS,
    "literal": _LITERAL,
    "language": language,
    "verdict_name": verdict_name,
    "explanation": explanation,
    "conversation": conversation,
    "excerpt": excerpt,
    "printed": printed,
    "printed_error": printed_error,
    "verdict_of": verdict_of,
}

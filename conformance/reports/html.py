"""The HTML report: one self-contained page with a summary, the causes, the failures, and all results.

This module prepares the data; the markup is the template `html.jinja`, the style `html.css`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from conformance.model.events import Event, Result
from conformance.model.verdicts import MEANINGS, Exit, Verdict
from conformance.printable import printable_lines
from conformance.reports.text import Run, explained, explanation, gathered, printed, printed_error, symptoms, traffic
from conformance.spec.reader import specification

KNOWN: Final = "known"
_EXPLAINED: Final = (Verdict.FAIL, Verdict.ERROR, Verdict.WARN, Verdict.FLAKY)
"""The verdicts that are explained in full, the most serious first."""
_ORDER: Final = (*(verdict.value for verdict in Verdict), KNOWN)
_TONES: Final = {
    Exit.CONFORMANT: "pass",
    Exit.NOT_CONFORMANT: "fail",
    Exit.INCOMPLETE: "warn",
    Exit.SUITE_FAULT: "error",
}
_LITERAL: Final = frozenset({"sent", "expected", "got", "again"})
_SHORT_HASH: Final = 12


def html(events: Iterable[Event]) -> str:
    """Render the page of an event stream."""
    runs = gathered(events)
    title = f"HFTP conformance of {', '.join(run.start.target for run in runs)}" if runs else "HFTP conformance: no run"
    page = ENVIRONMENT.get_template("html.jinja")
    return page.render(title=title, runs=[_shown(run, number) for number, run in enumerate(runs, 1)])


def _shown(run: Run, number: int) -> dict[str, object]:
    """Return the template's data for a run."""
    outcome = run.outcome
    return {
        "target": run.start.target,
        "prefix": "" if number == 1 else f"run-{number}-",  # keeps ids unique on a page with several runs
        "outcome": outcome[:1].upper() + outcome[1:],
        "tone": _TONES.get(run.end.exit, "error") if run.end else "error",
        "problems": run.end.problems if run.end else [],
        "deviations": run.start.deviations,
        "counts": _counts(run.results),
        "diagnosis": explained(run.diagnosis) if run.diagnosis else "",
        "causes": run.diagnosis.causes if run.diagnosis else [],
        "unexplained": len(run.diagnosis.unexplained) if run.diagnosis else 0,
        "explained": [row for verdict in _EXPLAINED for row in run.results if row.verdict == verdict and not row.known],
        "left_out": _left_out(run.results),
        "chapters": _by_chapter(run.results),
        "facts": _facts(run),
        "deselected": run.start.deselected,
        "output": run.end.output if run.end else "",
    }


def _verdict(result: Result) -> str:
    return KNOWN if result.known else result.verdict.value


def _by_chapter(results: Sequence[Result]) -> dict[str, list[Result]]:
    chapters: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        chapters[result.chapter].append(result)
    return chapters


def _counts(results: Sequence[Result]) -> dict[str, object]:
    """Count the verdicts by chapter."""
    total = Counter(map(_verdict, results))
    return {
        "verdicts": [name for name in _ORDER if total[name]],
        "chapters": {chapter: Counter(map(_verdict, rows)) for chapter, rows in _by_chapter(results).items()},
        "total": total,
    }


def _left_out(results: Sequence[Result]) -> dict[tuple[str, str], list[str]]:
    """Return the scenarios that did not run, by verdict and reason."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for result in results:
        if not MEANINGS[result.verdict].has_run:
            reasons[result.verdict.value, result.got].append(result.scenario)
    return reasons


def _wire(result: Result) -> Iterator[tuple[str, str, str]]:
    """Yield the lines of the recorded traffic: a mark, a CSS class, and the text."""
    for mark, text in traffic(result.transcript):
        yield mark, {"C": "c", "S": "s"}.get(mark[-1], "n"), text


def _facts(run: Run) -> dict[str, str]:
    """Return the facts that identify the run, by name."""
    facts = run.facts | {"catalogue": run.start.catalogue[:_SHORT_HASH], "started": run.start.started}
    facts["duration"] = f"{run.end.seconds:.1f} s" if run.end else "unknown"
    facts["timeout"] = f"{run.start.patience_seconds:.1f} s per wait"
    return {name: value for name, value in facts.items() if value and name not in {"deselected", "deviations"}}


def _printed(value: object) -> object:
    """Return a value as printable text, before it is escaped."""
    return value if isinstance(value, Markup) else printable_lines(str(value))


ENVIRONMENT: Final = Environment(
    loader=PackageLoader("conformance", "reports"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_printed,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals |= {
    "titles": {row.slug: row.title for row in specification().chapters},
    "meanings": MEANINGS,
    "literal": _LITERAL,
    "explanation": explanation,
    "printed": printed,
    "printed_error": printed_error,
    "symptoms": symptoms,
    "verdict_of": _verdict,
    "wire_of": _wire,
}

"""The page about two runs of a server, or of a class: what is better, worse and flaky in the second.

This module prepares the data; the markup is the template `comparison.jinja`. The style is that of the report, and
`comparison.css`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from conformance.grading.assessment import Assessment
from conformance.grading.comparison import (
    Comparison,
    in_short,
    not_compared,
    result_of,
    unlike,
    verdicts_of,
)
from conformance.grading.explanation import facts
from conformance.language import gettext, language, translated
from conformance.model.verdicts import Exit
from conformance.reports.html import PAGE
from conformance.reports.in_language import verdict_name
from conformance.reports.templates import environment, inlined, policy

_STYLES: Final = ("base.css", "summary.css", "cards.css", "tables.css", "media.css")
_KINDS: Final = ("worse", "flaky", "better")
_TONES: Final = {
    Exit.CONFORMANT: "pass",
    Exit.NOT_CONFORMANT: "fail",
    Exit.USAGE: "error",
    Exit.INCOMPLETE: "warn",
    Exit.SUITE_FAULT: "known",
}


def comparison_page(before: str, after: str, pairs: Sequence[Comparison], only: Mapping[str, Sequence[str]]) -> str:
    """Render the page; `before` and `after` are what was compared, `only` is what only one of them has."""
    style = inlined(PAGE, _STYLES) + inlined(Path(__file__).parent, ["comparison.css"])
    return ENVIRONMENT.get_template("comparison.jinja").render(
        before=before,
        after=after,
        servers=[_shown(pair) for pair in pairs],
        in_short=in_short(pairs),
        only={where: names for where, names in only.items() if names},
        style=style,
        policy=policy(style),
    )


def _shown(found: Comparison) -> Mapping[str, Any]:
    return {
        "name": found.name,
        "runs": [_run(found.before), _run(found.after)],
        "tone": "fail" if found.worse else "pass" if found.better else "known",
        "gone": found.causes_gone,
        "new": found.causes_new,
        "counts": {kind: len(getattr(found, kind)) for kind in _KINDS},
        "kinds": {kind: list(_rows(found, kind)) for kind in _KINDS if getattr(found, kind)},
        "notes": [*unlike(found), *([not_compared(found.only_in_one)] if found.only_in_one else [])],
    }


def _run(found: Assessment) -> Mapping[str, str]:
    return {"outcome": translated(found.outcome), "grade": found.grade.text, "tone": _TONES[found.exit]}


def _rows(found: Comparison, kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield the scenarios of a kind: what is worse, with what was seen."""
    for scenario in getattr(found, kind):
        after = result_of(found.after, scenario)
        known = after or result_of(found.before, scenario)
        seen = list(facts(after)) if after is not None and kind != "better" else []
        yield {
            "id": scenario,
            "title": gettext(known.title) if known is not None else gettext("the server starts"),
            "verdicts": verdicts_of(found, scenario),
            "facts": [(gettext(name), value) for name, value in seen],
        }


ENVIRONMENT: Final = environment("grading")
ENVIRONMENT.globals |= {
    "language": language,
    "verdict_name": verdict_name,
}

"""One page for a student and a teacher, without other files or scripts: a summary, then failures, then everything."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Final

from conformance.model.events import Event, Result
from conformance.model.verdicts import MEANINGS, Exit, Verdict
from conformance.reports.text import Run, conversation, explanation, gathered, printable
from conformance.spec.reader import specification

KNOWN: Final = "known"
_EXPLAINED: Final = (Verdict.FAIL, Verdict.ERROR, Verdict.WARN, Verdict.FLAKY)
"""The verdicts that are explained in full, the gravest first."""
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
    """Return the page of an event stream."""
    runs = gathered(events)
    style = files("conformance.reports").joinpath("html.css").read_text("utf-8")
    title = f"HFTP conformance of {', '.join(run.start.target for run in runs)}" if runs else "HFTP conformance: no run"
    parts = [part for run in runs for part in _run(run)] or [f"<h1>{_text(title)}</h1>"]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _run(run: Run) -> Iterator[str]:
    yield f"<h1>{_text(run.start.target)}</h1>"
    tone = _TONES.get(Exit(run.end.exit), "error") if run.end else "error"
    yield f'<p class="outcome {tone}">{_text(run.outcome[:1].upper() + run.outcome[1:])}</p>'
    yield from (
        f'<p class="warn outcome small">{_text(problem)}</p>' for problem in (run.end.problems if run.end else [])
    )
    yield _counts(run.results)
    explained = [row for verdict in _EXPLAINED for row in run.results if row.verdict == verdict and not row.known]
    if explained:
        yield "<h2>What went wrong</h2>"
        yield from map(_card, explained)
    yield from _left_out(run.results)
    yield "<h2>Everything that was asked</h2>"
    for chapter, results in _by_chapter(run.results).items():
        yield _chapter(chapter, results)
    yield from _circumstances(run)


def _verdict(result: Result) -> str:
    return KNOWN if result.known else result.verdict


def _by_chapter(results: Sequence[Result]) -> dict[str, list[Result]]:
    chapters: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        chapters[result.chapter].append(result)
    return chapters


def _counts(results: Sequence[Result]) -> str:
    """Return the table of verdicts by chapter."""
    rows = {chapter: Counter(map(_verdict, of_it)) for chapter, of_it in _by_chapter(results).items()}
    total = Counter(map(_verdict, results))
    shown = [name for name in _ORDER if total[name]]
    head = "".join(f'<th scope="col">{name}</th>' for name in shown)
    body = "\n".join(
        f'<tr><th scope="row"><a href="#{_text(chapter)}">{_text(chapter)}</a></th>{_cells(counts, shown)}</tr>'
        for chapter, counts in rows.items()
    )
    return (
        f'<div class="scroll"><table>\n<thead><tr><th scope="col">chapter</th>{head}</tr></thead>\n<tbody>\n{body}\n'
        f'</tbody>\n<tfoot><tr><th scope="row">all</th>{_cells(total, shown)}</tr></tfoot>\n</table></div>'
    )


def _cells(counts: Counter[str], shown: Sequence[str]) -> str:
    return "".join(f'<td class="{name}">{counts[name] or ""}</td>' for name in shown)


def _card(result: Result) -> str:
    """Return a failure that explains itself."""
    wire = _wire(result)
    folded = f'<details><summary class="small">The conversation</summary>{wire}</details>\n' if wire else ""
    rows = "\n".join(
        f"<dt>{_text(name)}</dt><dd>{f'<code>{_text(value)}</code>' if name in _LITERAL else _text(value)}</dd>"
        for name, value in explanation(result)
    )
    return (
        f'<article class="card {_text(result.verdict)}">\n<header>{_badge(result.verdict)} '
        f'<h3>{_text(result.title)}</h3> <span class="mono quiet">{_text(result.scenario)}</span></header>\n'
        f"<dl>\n{rows}\n</dl>\n{folded}</article>"
    )


def _wire(result: Result) -> str:
    """Return what was on the wire."""
    if not result.transcript:
        return ""
    kinds = {"C": "c", "S": "s", "-": "n"}
    lines = "\n".join(
        f'<span class="quiet">{_text(mark)}</span><span class="{kinds[mark[-1]]}">{_text(text) or "&nbsp;"}</span>'
        for mark, text in conversation(result.transcript)
    )
    return f'<pre class="wire">{lines}</pre>'


def _left_out(results: Sequence[Result]) -> Iterator[str]:
    """Yield why scenarios were not played, by reason."""
    reasons: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        if not MEANINGS[Verdict(result.verdict)].has_run:
            reasons[result.verdict, result.got].append(result)
    if not reasons:
        return
    yield "<h2>What was not played</h2>"
    for (verdict, reason), which in reasons.items():
        names = ", ".join(row.scenario for row in which)
        yield (
            f'<article class="card {verdict}"><header>{_badge(verdict)} <h3>{_text(reason)}</h3></header>'
            f'<details><summary class="small">{len(which)} {"scenario" if len(which) == 1 else "scenarios"}'
            f'</summary><p class="mono">{_text(names)}</p></details></article>'
        )


def _chapter(chapter: str, results: Sequence[Result]) -> str:
    titles = {row.slug: row.title for row in specification().chapters}
    items = "\n".join(map(_item, results))
    about = f'<p class="quiet">{_text(titles[chapter])}</p>\n' if chapter in titles else ""
    return (
        f'<details class="chapter" id="{_text(chapter)}"><summary>{_text(chapter)} '
        f'<span class="quiet">{len(results)}</span></summary>\n'
        f'{about}<ul class="scenarios">\n{items}\n</ul>\n</details>'
    )


def _item(result: Result) -> str:
    said = (
        f'<br><span class="small quiet mono">{_text(result.known or result.got)}</span>'
        if result.known or result.got
        else ""
    )
    line = (
        f'<span class="row">{_badge(_verdict(result))}<span>{_text(result.title)} '
        f'<span class="mono quiet">{_text(result.scenario)}</span>{said}</span></span>'
    )
    rows = "".join(
        f"<p class='small'>{_text(name)}: {_text(value)}</p>" for name, value in list(explanation(result))[:1]
    )
    return f"<li><details><summary>{line}</summary>\n{rows}\n{_wire(result)}</details></li>"


def _circumstances(run: Run) -> Iterator[str]:
    """Yield what identifies the run, and what the server printed."""
    yield "<h2>The run</h2>"
    facts = run.facts | {"catalogue": run.facts["catalogue"][:_SHORT_HASH], "started": run.start.started}
    facts["duration"] = f"{run.end.seconds:.1f} s" if run.end else "unknown"
    facts["patience"] = f"{run.start.patience_seconds:.1f} s a wait"
    left_out = facts.pop("deselected").split()
    rows = "\n".join(f"<dt>{name}</dt><dd class='mono'>{_text(value)}</dd>" for name, value in facts.items() if value)
    yield f'<dl class="facts">\n{rows}\n</dl>'
    if left_out:
        yield (
            f"<details><summary>{len(left_out)} scenarios were left out by the command line</summary>"
            f'<p class="mono">{_text(", ".join(left_out))}</p></details>'
        )
    if run.end and run.end.output.strip():
        yield f"<details><summary>What the server printed last</summary><pre>{_text(run.end.output)}</pre></details>"
    meanings = "".join(
        f"<dt>{_badge(verdict.value)}</dt><dd>{_text(meaning.sentence)}</dd>" for verdict, meaning in MEANINGS.items()
    )
    yield f'<h2>What the verdicts mean</h2>\n<dl class="facts">{meanings}</dl>'


def _badge(verdict: str) -> str:
    return f'<span class="badge {_text(verdict)}">{_text(verdict)}</span>'


def _text(text: str) -> str:
    return escape(printable(text))

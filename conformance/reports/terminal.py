"""The terminal report: progress, then the causes, the failures in full, and a summary that fits on one screen.

Failures are shown when all results are there, so that what is wrong stands before what it leads to.
"""

from collections import defaultdict
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.model.activity import Activity
from conformance.model.events import DiagnosedCause, Diagnosis, Event, Result, RunEnd, RunStart
from conformance.model.verdicts import MEANINGS, Exit, Verdict
from conformance.printable import printable
from conformance.reports.status_line import StatusLine
from conformance.reports.text import advice, explained, judged_as, printed, printed_error, symptoms

EXPLAINED: Final = (Verdict.FAIL, Verdict.ERROR, Verdict.WARN, Verdict.FLAKY)
"""The verdicts that are explained in full, the most serious first."""
MENTIONED: Final = (Verdict.UNSUPPORTED, Verdict.INCOMPLETE, Verdict.BLOCKED)
_REASONS: Final = 3
"""How many reasons are shown for each verdict of scenarios that did not run."""
_IN_FULL: Final = 20
"""How many failures are explained in full; later ones get one line each, because many failures share one cause."""
_SEVERITIES: Final = {"security": "bold red", "data loss": "red", "wrong answer": "yellow", "style": "cyan"}
_SENTENCES: Final = {
    Exit.CONFORMANT: ("green", "conformant"),
    Exit.NOT_CONFORMANT: ("bold red", "not conformant"),
    Exit.INCOMPLETE: ("yellow", "incomplete: nothing failed, but some scenarios did not run"),
    Exit.SUITE_FAULT: ("bold white on red", "no verdict: the suite itself failed"),
    Exit.USAGE: ("bold red", "no verdict: the server did not start"),
}


def _text(*parts: str | tuple[str, str]) -> Text:
    """Return printable text; a part is a text, or a text and its style."""
    return Text.assemble(
        *(printable(part) if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts)
    )


class TerminalReport:
    """A sink that prints; `is_verbose` shows every scenario, with what was observed where the server has a choice."""

    def __init__(self, console: Console, *, is_verbose: bool = False, activity: Activity | None = None) -> None:
        self._console = console
        self._is_verbose = is_verbose
        self._results: list[Result] = []
        self._unshown: list[Result] = []
        self._start: RunStart | None = None
        self._status = StatusLine(console, activity) if activity is not None else None

    def __call__(self, event: Event) -> None:
        """Print an event."""
        if isinstance(event, RunStart):
            self._begin(event)
        elif isinstance(event, Result):
            self._take(event)
        elif isinstance(event, Diagnosis):
            self._show_diagnosis(event)
        elif isinstance(event, RunEnd):
            self.close()
            self._finish(event)

    def open(self) -> None:
        """Begin the status line, if there is to be one."""
        if self._status is not None:
            self._status.start()

    def close(self) -> None:
        """End the status line, and show the failures of a run that was cut short."""
        self._stop_status()
        self._show_failures()

    def _stop_status(self) -> None:
        if self._status is not None:
            self._status.stop()

    def _begin(self, start: RunStart) -> None:
        self._start = start
        self._results = []
        self._unshown = []
        left = f", {len(start.deselected)} deselected" if start.deselected else ""
        basis = f" ({start.dialect_basis})" if start.dialect_basis else ""
        clients = "" if start.is_concurrent else ", one client at a time"
        facts = (
            f": dialect {start.dialect}{basis}, files {start.fixtures}{clients}; "
            f"{start.selected} scenario{'' if start.selected == 1 else 's'}{left}; suite {start.suite}, "
            f"catalogue {start.catalogue[:12]}, seed {start.seed}"
        )
        self._console.print(_text((start.target, "bold"), facts), soft_wrap=True)
        if start.sandbox:
            self._console.print(_text(("sandbox: ", "dim"), start.sandbox), soft_wrap=True)
        for text in start.deviations:
            self._console.print(_text(("always: ", "yellow"), text), soft_wrap=True)
        if self._status is not None:
            self._status.total = start.selected

    def _take(self, result: Result) -> None:
        self._results.append(result)
        verdict = Verdict(result.verdict)
        if self._status is not None:
            self._status.count(verdict, is_known=bool(result.known))
        if verdict in EXPLAINED and not result.known:
            self._unshown.append(result)
        elif self._is_verbose:
            detail = f": {result.known or result.got}" if result.known or result.got else ""
            self._console.print(
                _text((f"{verdict.value:<11} ", MEANINGS[verdict].style), result.scenario, (detail, "dim")),
                soft_wrap=True,
            )

    def _show_diagnosis(self, diagnosis: Diagnosis) -> None:
        """Print the causes, two lines each, and then the failures."""
        self._stop_status()
        if said := explained(diagnosis):
            self._console.print(_text((said, "bold")))
            for cause in diagnosis.causes:
                self._show_cause(cause)
            left = len(diagnosis.unexplained)
            if left:
                self._console.print(_text((f"  {left} without a known cause", "dim")))
            self._console.print()
        self._show_failures()

    def _show_cause(self, cause: DiagnosedCause) -> None:
        style = _SEVERITIES.get(cause.severity, "")
        self._console.print(_text((f"  {cause.severity:<12} ", style), (cause.title, "bold")), soft_wrap=True)
        rest = f"{symptoms(cause)}; {advice(cause)}"
        self._console.print(_text(f"  {'':<12} ", (rest, "dim")), soft_wrap=True)

    def _show_failures(self) -> None:
        """Print the failures that are not shown yet: some in full, further ones in one line each."""
        for number, result in enumerate(self._unshown):
            verdict = Verdict(result.verdict)
            if number < _IN_FULL or self._is_verbose:
                self._explain(result, verdict)
                continue
            if number == _IN_FULL:
                self._console.print("further failures, one line each (in full: -v, --html, or -t ID)", style="dim")
            self._summarize(result, verdict)
        self._unshown = []

    def _explain(self, result: Result, verdict: Verdict) -> None:
        """Print the requirement, what was sent, expected and got, the likely cause, and how to reproduce it."""
        head = _text((verdict.value.upper(), MEANINGS[verdict].style), f" {result.scenario}: ", (result.title, "bold"))
        self._console.print(head, soft_wrap=True)
        rows = [(result.requirement, f"{result.level}: {result.text}")]
        if result.sent:
            rows.append(("sent", result.sent))
        if result.expected:
            rows.append(("expected", result.expected))
        rows.append(("got", result.got))
        if result.cause:
            rows.append(("likely", result.cause))
        if not self._is_verbose and (error := printed_error(result)):
            rows.append(("printed", error))
        rows += [("again", command) for command in result.reproduce]
        if self._is_verbose:
            rows += [("" if number else "printed", line) for number, line in enumerate(printed(result))]
        for name, value in rows:
            self._console.print(_text((f"  {name:<9} ", "dim"), value), soft_wrap=True)

    def _summarize(self, result: Result, verdict: Verdict) -> None:
        detail = f": expected {result.expected}, got {result.got}" if result.expected else f": {result.got}"
        head = (verdict.value.upper(), MEANINGS[verdict].style)
        self._console.print(_text(head, f" {result.scenario}", detail), soft_wrap=True)

    def _finish(self, end: RunEnd) -> None:
        print_ = self._console.print
        if self._results:
            print_(self._table())
        for verdict in MENTIONED:
            self._mention(verdict)
        if end.problems:
            for problem in end.problems:
                print_(_text((f"  {problem}", "yellow")), soft_wrap=True)
        if end.output.strip() and self._needs_output(end):
            print_("the server's output ends with:", style="dim")
            for line in end.output.strip().splitlines()[-5:]:
                print_(_text((f"  {line.rstrip()}", "dim")), soft_wrap=True)
        style, sentence = _SENTENCES.get(Exit(end.exit), ("", str(end.exit)))
        counts = ", ".join(f"{count} {name}" for name, count in end.counts.items())
        sentence += judged_as(self._start, end)
        print_(
            _text((sentence, style), f" ({counts or 'no scenario ran'}; {end.seconds:.1f} s)"),
            soft_wrap=True,
        )

    def _needs_output(self, end: RunEnd) -> bool:
        """Return whether the end of the server's output may explain what no scenario's output does."""
        if end.exit in {Exit.CONFORMANT, Exit.INCOMPLETE}:
            return False
        return not any(result.output for result in self._results)

    def _table(self) -> Table:
        """Return the counts by chapter."""
        counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for result in self._results:
            counts[result.chapter]["known" if result.known else result.verdict] += 1
        columns = [
            name for name in (*[v.value for v in Verdict], "known") if any(name in row for row in counts.values())
        ]
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("chapter")
        for name in columns:
            style = MEANINGS[Verdict(name)].style if name in {v.value for v in Verdict} else "dim"
            table.add_column(name, justify="right", style=style)
        for chapter, row in counts.items():
            table.add_row(_text(chapter), *(str(row[name]) if row[name] else "" for name in columns))
        return table

    def _mention(self, verdict: Verdict) -> None:
        """Print why scenarios did not run, grouped by reason."""
        reasons: dict[str, list[str]] = defaultdict(list)
        for result in self._results:
            if result.verdict == verdict:
                reasons[result.got].append(result.scenario)
        by_count = sorted(reasons.items(), key=lambda row: -len(row[1]))
        for reason, names in by_count[:_REASONS]:
            which = names[0] if len(names) == 1 else f"{len(names)} scenarios, first {names[0]}"
            self._console.print(
                _text((verdict.value, MEANINGS[verdict].style), f" {which}: {reason}"),
                soft_wrap=True,
            )
        if left := sum(len(names) for _, names in by_count[_REASONS:]):
            others = _text((verdict.value, MEANINGS[verdict].style), f" {left} more, for other reasons (-v)")
            self._console.print(others)

"""The terminal report: the state of the run while it goes on, and then what it comes to, on one screen.

Details come only when they are asked for, and before the summary, which is then the last thing on the screen.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.language import Message, gettext
from conformance.model.activity import Activity
from conformance.model.events import DiagnosedCause, Event, Result, RunEnd, RunStart
from conformance.model.verdicts import MEANINGS, Verdict
from conformance.reports.first_screen import NOT_RUN, first_screen, output_end, reasons
from conformance.reports.in_language import verdict_name
from conformance.reports.status_line import StatusLine
from conformance.reports.styled import SEVERITIES, failure_in_full, styled
from conformance.reports.text import EXPLAINED, Run, failures_of, gathered

ROWS: Final = 24
"""How high the screen is taken to be where there is none."""
_DIALECT: Final = Message("{target}: dialect {dialect} ({basis}), files {fixtures}, {clients}")
_SUITE: Final = Message(
    "suite {suite}, catalogue {catalogue}, seed {seed}; {selected} scenarios, {deselected} deselected"
)
_CLIENTS: Final = {True: Message("several clients at once"), False: Message("one client at a time")}
_SANDBOX: Final = Message("sandbox: ")
_ALWAYS: Final = Message("always: ")


class TerminalReport:
    """A sink that prints, at the end of a run, a screen about it.

    `is_verbose` explains every cause and failure before that; `shows_all` also shows every scenario as it ends, with
    what was observed where the server has a choice.
    """

    def __init__(
        self,
        console: Console,
        *,
        is_verbose: bool = False,
        shows_all: bool = False,
        activity: Activity | None = None,
    ) -> None:
        self._console = console
        self._is_verbose = is_verbose or shows_all
        self._shows_all = shows_all
        self._events: list[Event] = []
        self._status = StatusLine(console, activity) if activity is not None else None

    def __call__(self, event: Event) -> None:
        """Keep an event, and print what is to be seen of it at once."""
        if isinstance(event, RunStart):
            self._finish()
            if self._status is not None:
                self._status.total = event.selected
        self._events.append(event)
        if isinstance(event, RunEnd):
            self.close()
        elif isinstance(event, Result):
            if self._status is not None:
                self._status.count(event.verdict, is_known=bool(event.known))
            if self._shows_all:
                self._show_scenario(event)

    def open(self) -> None:
        """Begin the status line, if there is to be one."""
        if self._status is not None:
            self._status.start()

    def close(self) -> None:
        """End the status line, and show the last run, also one that was cut short."""
        if self._status is not None:
            self._status.stop()
        self._finish()

    def _finish(self) -> None:
        """Print the run that the events so far make."""
        events, self._events = self._events, []
        for run in gathered(events):
            if self._is_verbose:
                self._show_details(run)
            height = self._console.height if self._console.is_terminal else ROWS
            for line in first_screen(run, self._console.width, height - 1):  # the last row is for the prompt
                self._print(line)

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)

    # --- On demand -------------------------------------------------------------------------------

    def _show_scenario(self, result: Result) -> None:
        if result.verdict in EXPLAINED and not result.known:
            return  # it is explained later
        detail = f": {result.known or result.got}" if result.known or result.got else ""
        head = (f"{verdict_name(result.verdict):<11} ", MEANINGS[result.verdict].style)
        self._print(styled(head, result.scenario, (detail, "dim")))

    def _show_details(self, run: Run) -> None:
        """Print the facts of a run, its causes and failures in full, and the number of verdicts by chapter."""
        for line in _facts(run):
            self._print(line)
        for cause in run.causes:
            self._print(Text())
            for line in _cause(cause):
                self._print(line)
        for result in failures_of(run):
            self._print(Text())
            for line in failure_in_full(result, with_output=True):
                self._print(line)
        if run.results:
            self._print(Text())
            self._console.print(_table(run))
        for verdict in NOT_RUN:
            for line in reasons(run, verdict):
                self._print(line)
        for line in output_end(run):
            self._print(line)
        self._print(Text())


def _facts(run: Run) -> Iterator[Text]:
    start = run.start
    yield styled(
        gettext(
            _DIALECT,
            target=start.target,
            dialect=start.dialect,
            basis=start.dialect_basis,
            fixtures=start.fixtures,
            clients=_CLIENTS[start.is_concurrent],
        )
    )
    yield styled(
        gettext(
            _SUITE,
            suite=start.suite,
            catalogue=start.catalogue[:12],
            seed=start.seed,
            selected=start.selected,
            deselected=len(start.deselected),
        )
    )
    if start.sandbox:
        yield styled((gettext(_SANDBOX), "dim"), start.sandbox)
    for text in start.deviations:
        yield styled((gettext(_ALWAYS), "yellow"), text)


def _cause(cause: DiagnosedCause) -> Iterator[Text]:
    """Yield a cause in full: what is wrong, why it matters, how to mend it, and all that shows it."""
    yield styled(
        (f"{gettext(cause.severity)} ", SEVERITIES.get(cause.severity, "")), (cause.title, "bold"), f" ({cause.id})"
    )
    for name, value in (("why", cause.why), ("mend", cause.fix), ("shown by", ", ".join(cause.scenarios))):
        yield styled((f"  {gettext(name):<9} ", "dim"), value)


def _table(run: Run) -> Table:
    """Return the number of verdicts by chapter."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for result in run.results:
        counts[result.chapter]["known" if result.known else result.verdict] += 1
    verdicts = [verdict.value for verdict in Verdict]
    columns = [name for name in (*verdicts, "known") if any(name in row for row in counts.values())]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(gettext("chapter"))
    for name in columns:
        style = MEANINGS[Verdict(name)].style if name in verdicts else "dim"
        table.add_column(verdict_name(name), justify="right", style=style)
    for chapter, row in counts.items():
        table.add_row(styled(chapter), *(str(row[name]) if row[name] else "" for name in columns))
    return table

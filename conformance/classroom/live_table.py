"""Show a class while it is judged: a line for each target that is done, and on a terminal a table of those that run."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from conformance.classroom.target_run import TargetRun
from conformance.grading.assessment import Assessment
from conformance.grading.explanation import summary
from conformance.language import gettext, ngettext, translated
from conformance.model.verdicts import Exit
from conformance.printable import printable

if TYPE_CHECKING:
    from typing_extensions import Self

_REFRESHES: Final = 4
_STYLES: Final = {
    Exit.CONFORMANT: "green",
    Exit.NOT_CONFORMANT: "red",
    Exit.USAGE: "bold red",
    Exit.INCOMPLETE: "yellow",
    Exit.SUITE_FAULT: "bold white on red",
}


class LiveTable:
    """A context manager that shows the runs of a class; `look` is called before the table is drawn."""

    def __init__(self, console: Console, runs: Sequence[TargetRun], look: Callable[[], None] = lambda: None) -> None:
        self._console = console
        self._look = look
        self._runs = runs
        self._total = len(runs)
        self._done = 0
        self._width = max((len(printable(run.target.name)) for run in runs), default=0)
        self._live: Live | None = None

    def __enter__(self) -> "Self":
        console = self._console
        if console.is_interactive and not console.is_dumb_terminal and console.file.isatty():
            self._live = Live(self, console=console, transient=True, refresh_per_second=_REFRESHES)
            self._live.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, found: Assessment) -> None:
        """Show a target that is done."""
        self._done += 1
        self._console.print(result_line(found, f"{self._done}/{self._total}", self._width), soft_wrap=True)

    def __rich__(self) -> Table:
        self._look()
        table = Table(box=None, pad_edge=False, show_header=False)
        running = [run for run in self._runs if run.is_running]
        waiting = sum(not run.began for run in self._runs)
        table.add_row(Text(self._title(waiting), "bold"))
        for run in running[: max(1, self._console.height - 3)]:
            follower = run.follower
            how_far = f"{follower.done}/{follower.selected}" if follower.selected else gettext("starting")
            failed = ngettext("{count} failed", "{count} failed", follower.failed) if follower.failed else ""
            table.add_row(
                Text(printable(run.target.name), "cyan"), how_far, Text(failed, "red"), f"{run.seconds:.0f} s"
            )
        return table

    def _title(self, waiting: int) -> str:
        return gettext("{done} of {total} done, {waiting} waiting", done=self._done, total=self._total, waiting=waiting)


def result_line(found: Assessment, number: str, width: int) -> Text:
    """Return a target that is done in one line."""
    outcome = (f"{translated(found.outcome):<15}", _STYLES[found.exit])
    causes = f"; {gettext(found.causes[0].title)}" if found.causes else ""
    others = ngettext("{count} more cause", "{count} more causes", len(found.causes) - 1)
    more = f" ({others})" if len(found.causes) > 1 else ""
    name = printable(found.name)
    return Text.assemble(f"{number:>7} {name:<{width}} ", outcome, printable(f" {summary(found)}{causes}{more}"))

"""The status line says how far a run is and what it waits for, on a terminal only."""

import io
import os
import pty
from collections.abc import Iterator

import pytest
from rich.console import Console

from conformance.model.activity import Activity
from conformance.model.verdicts import Verdict
from conformance.reports import status_line
from conformance.reports.status_line import StatusLine


def counted(*verdicts: Verdict, activity: Activity | None = None, console: Console | None = None) -> StatusLine:
    line = StatusLine(console or Console(file=io.StringIO()), activity or Activity())
    line.total = 10
    for verdict in verdicts:
        line.count(verdict, is_known=False)
    return line


def test_it_counts_results_and_failures() -> None:
    assert counted().__rich__().plain == "0 of 10"
    line = counted(Verdict.PASS, Verdict.FAIL, Verdict.WARN, Verdict.FAIL)
    assert line.__rich__().plain == "4 of 10, 2 failed, 1 warned"
    line.count(Verdict.FAIL, is_known=True)
    assert line.__rich__().plain == "5 of 10, 2 failed, 1 warned"


def test_what_is_waited_for_is_told_once_the_wait_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    activity = Activity()
    line = counted(Verdict.PASS, activity=activity)
    with activity.waiting("\x1b[31mthe server"):
        assert line.__rich__().plain == "1 of 10"
        monkeypatch.setattr(status_line, "LONG_SECONDS", 0.0)
        assert line.__rich__().plain == r"1 of 10; waiting 0 s for \x1b[31mthe server"
        line.total = 0
        assert line.__rich__().plain == r"waiting 0 s for \x1b[31mthe server"


@pytest.fixture
def terminal() -> Iterator[tuple[int, Console]]:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as file:
        yield ours, Console(file=file, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    os.close(ours)


def test_it_is_one_line_on_a_terminal_which_is_removed_in_the_end(terminal: tuple[int, Console]) -> None:
    ours, console = terminal
    activity = Activity()
    with activity.waiting("x" * 200), pytest.MonkeyPatch.context() as patch:
        patch.setattr(status_line, "LONG_SECONDS", 0.0)
        line = counted(Verdict.FAIL, activity=activity, console=console)
        line.start()
        line.stop()
    shown = ""
    while not shown.endswith("\x1b[2K"):  # a terminal hands on what was written bit by bit; pytest's limit bounds this
        shown += os.read(ours, 1 << 16).decode()
    assert "1 of 10" in shown
    assert "1 failed" in shown
    assert "x" * 81 not in shown


def test_nothing_is_shown_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    line = counted(Verdict.FAIL, console=Console(file=file, force_terminal=True))
    line.start()
    line.stop()
    assert file.getvalue() == ""

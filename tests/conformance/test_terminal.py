"""The terminal shows causes before failures, and failures although the run was cut short."""

import io

from rich.console import Console

from conformance.model.events import DiagnosedCause, Diagnosis, Event, Result, RunEnd, RunStart
from conformance.model.verdicts import Exit, Verdict
from conformance.reports.terminal import TerminalReport

START = RunStart("1", "", 1, "2026", "127.0.0.1:19500", 30)
FAILURES = [Result(f"framing.case-{number}", "HFTP-1.1", "MUST", Verdict.FAIL, kind="status") for number in range(30)]
NAMES = [result.scenario for result in FAILURES]
CAUSE = DiagnosedCause(
    "lf-ends-a-line", "A bare LF ends a line", "wrong answer", scenarios=NAMES[:28], example="framing.case-0"
)
END = RunEnd({"fail": 30}, Exit.NOT_CONFORMANT)


def shown(*events: Event) -> str:
    """Return what the terminal shows of a run, to its end."""
    out = io.StringIO()
    report = TerminalReport(Console(file=out, highlight=False, width=120))
    for event in events:
        report(event)
    report.close()
    return out.getvalue()


def test_causes_stand_before_failures_in_two_lines_each() -> None:
    lines = shown(START, *FAILURES, Diagnosis([CAUSE], 30, 28, NAMES[28:]), END).splitlines()
    assert lines[1:5] == [
        "1 cause explains 28 of 30 failures and warnings",
        "  wrong answer A bare LF ends a line",
        "               28 scenarios, such as framing.case-0; how to mend it: conformance explain lf-ends-a-line",
        "  2 without a known cause",
    ]
    assert lines[6].startswith("FAIL framing.case-0")


def test_nothing_is_said_of_causes_if_there_is_none() -> None:
    assert "explain" not in shown(START, *FAILURES, Diagnosis([], 30, 0, NAMES), END)


def test_twenty_failures_are_shown_in_full_and_the_others_in_a_line_each() -> None:
    text = shown(START, *FAILURES, Diagnosis([], 30, 0, NAMES), END)
    assert text.count("  HFTP-1.1") == 20
    assert text.count("further failures, one line each") == 1
    assert all(f"FAIL {name}" in text for name in NAMES)


def test_the_failures_of_a_run_that_is_cut_short_are_shown() -> None:
    text = shown(START, *FAILURES[:2])
    assert text.count("FAIL framing.case-") == 2

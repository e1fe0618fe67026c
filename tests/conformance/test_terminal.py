"""The terminal shows what a run comes to on one screen, and the rest on demand."""

import io
import re

import pytest
from msgspec.structs import replace
from rich.console import Console

from conformance.diagnosis.causes_reader import SEVERITIES
from conformance.model.events import DiagnosedCause, Diagnosis, Event, Result, RunEnd, RunStart
from conformance.model.verdicts import Exit, Verdict
from conformance.reports.terminal import TerminalReport
from tests.conformance.golden import HOSTILE

START = RunStart("1", "", 7, "2019", ":1", 90, name="ana", dialect_basis=f"it {'does not ' * 3}know")
TRY = "conformance try {id} --serve 'python3 server.py -p {{port}} -d {{dir}}' --seed 7"
TITLE = "a title that takes all of the seventy-four columns that it may have,"  # and five more


def failure(number: int, **more: object) -> Result:
    """Return a failure."""
    name = f"framing.case-{number}"
    result = Result(name, "HFTP-1.1", "MUST", Verdict.FAIL, title=f"Title {number}", chapter="framing", kind="status")
    sent, got = f"get_metadata name-{number}.txt\\r\\n", "202 FILE NOT FOUND"
    return replace(result, sent=sent, expected="0 OK", got=got, reproduce=[TRY.format(id=name)], **more)


FAILURES = [failure(number) for number in range(40)]
NAMES = [result.scenario for result in FAILURES]
END = RunEnd({"pass": 50, "fail": 40}, Exit.NOT_CONFORMANT, 12.0, would_fail={"2026": ["a", "b"]})


VERDICT = (
    "ana: not conformant, judged as 2019: it does not does not does not know; "
    "as 2026 at least 2 more scenarios would fail: --dialect 2026"
)


def causes(number: int) -> list[DiagnosedCause]:
    """Return causes of four failures each, the most serious first."""
    return [
        DiagnosedCause(
            f"cause-{place}",
            f"{place:04} {TITLE}",
            SEVERITIES[min(place, 3)],
            scenarios=NAMES[4 * place : 4 * place + 4],
            example=NAMES[4 * place],
        )
        for place in range(number)
    ]


def diagnosis(number: int) -> Diagnosis:
    """Return a diagnosis with so many causes, which leaves the other failures unexplained."""
    return Diagnosis(causes(number), 40, 4 * number, NAMES[4 * number :])


def shown(*events: Event, columns: int = 80, is_verbose: bool = False, shows_all: bool = False) -> str:
    """Return what is shown of a run where there is no terminal."""
    out = io.StringIO()
    report = TerminalReport(
        Console(file=out, highlight=False, width=columns), is_verbose=is_verbose, shows_all=shows_all
    )
    for event in events:
        report(event)
    report.close()
    return out.getvalue()


def rows(text: str, columns: int = 80) -> int:
    """Return how many rows a text takes on a terminal."""
    return sum(max(1, -(-len(line) // columns)) for line in text.splitlines())


def test_the_first_screen() -> None:
    assert shown(START, *FAILURES[:6], Diagnosis(causes(1), 6, 4, NAMES[4:6]), END).splitlines() == [
        VERDICT,
        "requirements met: 0 of 1 MUST",
        "50 pass, 40 fail (12.0 s; seed 7)",
        "",
        "1 cause explains 4 of 6 failures and warnings",
        f"   4 0000 {TITLE}",
        "     security: get_metadata name-0.txt got 202, expected 0 (framing.case-0)",
        "2 without a known cause",
        "FAIL Title 4",
        "     get_metadata name-4.txt got 202, expected 0 (framing.case-4)",
        "FAIL Title 5",
        "     get_metadata name-5.txt got 202, expected 0 (framing.case-5)",
        "",
        "next: conformance explain cause-0",
        "more: -v explains each failure, --all shows every scenario, -t ID runs one",
    ]


@pytest.mark.parametrize("number", range(11))
def test_whatever_a_run_has_it_fits_on_a_screen_with_room_for_the_prompt(number: int) -> None:
    text = shown(START, *FAILURES, diagnosis(number), END)
    assert rows(text) <= 23
    assert max(map(len, text.splitlines()[3:])) <= (80 if number else 160)
    assert re.search(rf"{40 - 4 * number} without a known cause|failures and warnings: 40", text) or number == 10
    assert text.count(TITLE) >= min(number, 6)
    hidden = number - text.count(TITLE)
    assert (f"and {hidden} more (-v)" in text) == (hidden > 0)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_line_that_a_server_has_blown_up_is_cut(columns: int) -> None:
    first = replace(FAILURES[0], got=HOSTILE * 3, sent=HOSTILE)
    text = shown(START, first, *FAILURES[1:4], Diagnosis(causes(1), 4, 4), END, columns=columns)
    line = next(line for line in text.splitlines() if line.startswith("     security"))
    assert len(line) <= columns
    assert line.isprintable()


def test_what_the_server_printed_stands_with_the_example() -> None:
    output = "Traceback (most recent call last):\n  File\nValueError: no number\n"
    first = replace(FAILURES[0], got="the end of the stream", output=output)
    text = shown(START, first, *FAILURES[1:4], Diagnosis(causes(1), 4, 4), END, columns=140)
    assert "got the end of the stream, printed ValueError: no number (framing.case-0)" in text


def test_without_causes_the_next_command_shows_the_first_failure() -> None:
    text = shown(START, *FAILURES, Diagnosis([], 40, 0, NAMES), END)
    assert f"next: {TRY.format(id='framing.case-0')}" in text
    assert "explain framing" not in text


def test_failures_that_fit_are_explained_in_full_and_those_of_one_scenario_always() -> None:
    one = shown(START, FAILURES[0], Diagnosis([], 1, 0, NAMES[:1]), END)
    assert one.count("  HFTP-1.1  MUST: ") == 1
    assert rows(one) <= 23
    explained = shown(replace(START, selected=1), FAILURES[0], Diagnosis(causes(1), 1, 1), END)
    assert explained.count("  HFTP-1.1  MUST: ") == 1
    many = shown(START, *FAILURES, Diagnosis([], 40, 0, NAMES), END)
    assert many.count("  HFTP-1.1  MUST: ") == 0


def test_verbose_explains_everything_and_ends_with_the_first_screen() -> None:
    text = shown(START, *FAILURES, diagnosis(9), END, is_verbose=True)
    assert text.count("  HFTP-1.1  MUST: ") == 40
    assert text.count("  mend  ") == 9
    assert text.endswith(shown(START, *FAILURES, diagnosis(9), END))


def test_all_shows_every_scenario() -> None:
    passed = Result("framing.fine", "HFTP-1.1", "MUST", Verdict.PASS)
    assert "pass        framing.fine" in shown(START, passed, END, shows_all=True)
    assert "framing.fine" not in shown(START, passed, END, is_verbose=True)


def test_a_conformant_server_gets_no_advice() -> None:
    text = shown(START, Result("a.b", "HFTP-1.1", "MUST", Verdict.PASS), RunEnd({"pass": 1}, Exit.CONFORMANT))
    assert "requirements met: 1 of 1 MUST" in text
    assert "next:" not in text
    assert "more:" not in text


def test_the_failures_of_a_run_that_is_cut_short_are_shown() -> None:
    text = shown(START, *FAILURES[:2])
    assert text.startswith("ana: cut short")
    assert text.count("FAIL framing.case-") == 2


def test_colours_are_for_terminals_and_the_text_is_the_same() -> None:
    out = io.StringIO()
    console = Console(file=out, highlight=False, width=80, height=24, force_terminal=True, color_system="standard")
    report = TerminalReport(console)
    events: list[Event] = [START, *FAILURES, diagnosis(6), END]
    for event in events:
        report(event)
    plain = shown(*events)
    assert "\x1b[" in out.getvalue()
    assert "\x1b[" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()) == plain

"""A constant deviation of a server is learned, reported once, and expected by all other scenarios."""

import pytest

from conformance.client.deviations import Deviation, Deviations, Form
from tests.broken_servers.all_bugs import BUGS
from tests.conformance.in_process import Run, judge, judge_command
from tests.conformance.small_servers import MODULE

pytestmark = pytest.mark.once

WIDE = (
    *("framing.[b-n]*", "framing.pipelin*", "framing.tab", "replies.alone*", "replies.closes*", "replies.goes*"),
    *("replies.client-first", "replies.status-line", "commands.unknown*", "commands.quit*", "commands.metadata*"),
    *("commands.slice*", "commands.unreadable*", "commands.m*", "listings.form", "listings.then-others"),
    *("metadata.form", "metadata.size*", "metadata.p*", "slices.whole*", "slices.p*", "slices.e*", "slices.ra*"),
    *("arguments.minus-one*", "paths.parent", "paths.absolute", "clients.two-at-once"),
)
"""Scenarios of all chapters, which are quick."""

KNOWN: dict[str, str] = {
    "quit-extra-line": "an empty line follows the reply to quit",
    "quit-extra-line-loop": "an empty line follows the reply to quit",
    "quit-answered-twice": "follows the reply to quit",
    "quit-answered-twice-sequential": "follows the reply to quit",
    "error-with-empty-line": "an empty line follows the status line of 100, 101",
    "error-with-empty-line-loop": "an empty line follows the status line of 100, 101",
    "error-with-empty-line-threads": "an empty line follows the status line of 100, 200",
    "error-then-ok": "follows the status line of 100, 101",
    "error-then-ok-streams": "follows the status line of 100, 101",
    "status-203-without-space": "203OFFSET EXCEEDS FILE SIZE",
    "status-203-without-space-loop": "203OFFSET EXCEEDS FILE SIZE",
    "status-202-without-space": "202FILE NOT FOUND",
    "status-202-without-space-streams": "202FILE NOT FOUND",
    "status-three-digits": "000 OK",
    "slice-extra-line-2019": "an empty line follows the reply to get_slice",
    "slice-extra-line-2019-sequential": "an empty line follows the reply to get_slice",
    "slice-extra-line-2018": "an empty line follows the reply to get_slice",
    "slice-extra-line-2018-loop": "an empty line follows the reply to get_slice",
    "slice-extra-line-raw": "an empty line follows the reply to get_slice ... raw",
    "slice-extra-line-raw-loop": "an empty line follows the reply to get_slice ... raw",
    "listing-extra-line": "an empty line follows the reply to get_file_listing",
    "listing-extra-line-loop": "an empty line follows the reply to get_file_listing",
    "size-with-space": "a size has a space around its digits",
    "size-with-space-streams": "a size has a space around its digits",
    "size-with-unit": "around its digits",
    "reply-lf-only": "all lines of replies end in a bare LF",
    "reply-lf-only-streams": "all lines of replies end in a bare LF",
    "error-closes": "the connection closes after 200, 201, 202 and 203",
    "one-command-a-connection": "the connection closes after 200, 201, 202, 203, get_file_listing",
    "fatal-stays-open": "the connection stays open after 100",
    "quit-stays-open": "the connection stays open after quit",
    "quit-without-reply": "quit has no reply",
    "arguments-wrong-200": "answers 200 where 201",
    "greeting": "Welcome to HFTP!",
    "echo": "each command line is echoed",
    "prompt": "follows each reply",
}
"""The text of each planted deviation; the same mistake in two styles is in adjacent lines."""


def judged(name: str) -> Run:
    """Judge a planted deviation by many scenarios."""
    return judge(name, *WIDE, dialect=BUGS[name].dialects[0])


def check_reported_once(run: Run) -> None:
    """Assert that one scenario fails, that the blocked ones point to it, and that all others pass."""
    results = run.results
    failed = run.with_verdict("fail", "warn")
    text = run.start.deviations[0]
    assert len(failed) == 1, failed
    reporter = results[failed[0]]
    for name in run.with_verdict("blocked"):
        why = results[name].got
        assert why in {f"{reporter.scenario} did not pass", f"{reporter.scenario} reports it: {text}"}, name
    repeated = {results[name].requirement for name in run.with_verdict("blocked") if "reports it" in results[name].got}
    assert len(repeated) <= 1  # that of the deviation
    others = {results[name].verdict for name in results if name not in failed}
    assert others <= {"pass", "info", "unsupported", "blocked"}


SECOND_STYLES = ("-loop", "-streams", "-sequential", "-threads")
ALIKE = ("quit-answered-twice", "error-then-ok", "status-202-without-space", "slice-extra-line-2018", "size-with-unit")
"""Each has the form of another one."""
EXECUTES_MORE = "it executes what must not be executed, which several requirements forbid"
WITH_SEVERAL_FORMS = {
    "fatal-stays-open": EXECUTES_MORE,
    "quit-stays-open": EXECUTES_MORE,
}
"""Deviations of which more than one scenario fails, and why."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long) if name.endswith((*SECOND_STYLES, *ALIKE)) else name
        for name in KNOWN
        if name not in WITH_SEVERAL_FORMS
    ],
)
def test_deviation_is_reported_at_the_start_and_fails_one_scenario(name: str) -> None:
    run = judged(name)
    run.assert_complete()
    assert KNOWN[name] in "; ".join(run.start.deviations)
    assert len(run.start.deviations) == 1
    check_reported_once(run)
    assert run.end.exit == 1
    assert len(run.with_verdict("pass")) > 80


@pytest.mark.parametrize(
    ("name", "select"),
    [
        ("quit-extra-line", "commands.quit*"),
        ("listing-extra-line", "listings.[fht]*"),
        ("size-with-space", "metadata.[fp]*"),
        ("arguments-wrong-200", "commands.[ms]*"),
    ],
)
def test_deviation_is_reported_under_its_requirement(name: str, select: str) -> None:
    run = judge(name, select, "slices.whole-text", "framing.pipelining")
    (failed,) = run.with_verdict("fail")
    assert run.results[failed].requirement == BUGS[name].requirement
    alike = [row for row, result in run.results.items() if result.requirement == BUGS[name].requirement]
    assert run.with_verdict("blocked") == [row for row in alike if row != failed]


@pytest.mark.parametrize("name", WITH_SEVERAL_FORMS)
def test_deviation_with_several_forms_is_reported(name: str) -> None:
    select = ("replies.goes*", "replies.closes-101", "commands.quit", "slices.whole-t*", "metadata.size-of-[teb]*")
    run = judge(name, *select, "clients.two-at-once")
    assert KNOWN[name] in "; ".join(run.start.deviations)
    assert len(run.with_verdict("fail", "warn")) == 1
    assert run.with_verdict("unsupported", "incomplete", "flaky") == []


def test_server_without_a_deviation_passes() -> None:
    run = judge("correct-threads", *WIDE)
    assert run.start.deviations == []
    assert run.with_verdict("fail", "warn", "flaky", "blocked", "incomplete") == []
    assert run.end.exit == 0


def test_deviation_is_found_without_the_dialect_option() -> None:
    run = judge("size-with-space", "metadata.form", "metadata.size-of-text")
    assert run.start.dialect == "2026"
    assert run.verdicts() == {"metadata.form": ("fail", "malformed"), "metadata.size-of-text": ("pass", "")}


def test_occasional_mistake_is_no_deviation() -> None:
    run = judge_command(f"{MODULE} sometimes-extra-line", "replies.alone-20*", "commands.one-letter", jobs=1)
    assert run.start.deviations == []
    assert run.with_verdict("fail", "flaky")


def test_changing_form_is_no_deviation() -> None:
    run = judge_command(f"{MODULE} changing-forms", "slices.past-end-by*", "slices.whole-text", "commands.unknown")
    assert run.start.deviations == []
    past_end = [name for name in run.results if "past-end" in name]
    assert run.with_verdict("pass") == [name for name in run.results if name not in past_end]
    assert set(run.with_verdict("fail")) > {"slices.past-end-by-one", "slices.past-end-by-offset"}
    assert {run.results[name].kind for name in run.with_verdict("fail")} == {"malformed"}


def test_changing_status_texts_pass() -> None:
    run = judge_command(f"{MODULE} changing-texts", "replies.*-20?", "slices.past-end-by*", "commands.unknown")
    assert run.start.deviations == []
    assert run.with_verdict("fail", "warn", "blocked", "flaky") == []


def test_mistake_beside_a_deviation_is_found() -> None:
    select = ("replies.alone-202", "slices.past-end-by-one", "slices.whole-text", "commands.unknown", "slices.last-two")
    run = judge_command(f"{MODULE} extra-line-and-short-slices", *select)
    assert any("an empty line follows the status line of" in text for text in run.start.deviations)
    assert set(run.with_verdict("fail")) == {"replies.alone-202", "slices.past-end-by-one"}
    assert set(run.with_verdict("pass")) == {"slices.whole-text", "commands.unknown", "slices.last-two"}


def test_finds_deviations_by_form_and_reply() -> None:
    quit_ = Deviation("HFTP-3.6", "an empty line follows the reply to quit", Form.EXTRA, {"quit": b"\r\n"})
    size = Deviation("HFTP-5.1", "a size has a space", Form.SIZE, {"suffix": b" "})
    both = Deviations([quit_, size])
    assert both.find(Form.EXTRA, "quit") == (b"\r\n", quit_)
    assert both.find(Form.EXTRA, "200") is None
    assert both.find(Form.SIZE, "quit") is None
    assert both.without(quit_).rows == (size,)
    assert both.without(quit_).without(size).rows == ()

"""`run --deep` explores a server that passes: what it finds counts for the exit status, and for no grade."""

from collections.abc import Iterator

import pytest

from conformance.cli_explore import deep_run
from conformance.explorer import exploration
from conformance.explorer.conversation import Conversation, Send
from conformance.explorer.deep import DeepRun
from conformance.grading.grade import grade
from conformance.grading.points import PointsMap
from conformance.model.events import Event, Result, RunEnd, RunStart
from conformance.model.verdicts import Exit, Verdict
from conformance.reports.text import Run
from conformance.runner.outcome import Outcome
from conformance.runner.results import Results
from conformance.runner.runner import Afterwards, Runner
from conformance.scenarios import catalogue
from conformance.spec.reader import specification
from conformance.target.environment import Environment
from tests.broken_servers import forking
from tests.conformance.in_process import make_options

pytestmark = pytest.mark.once

WRONG = Conversation((Send(("get_metadata",)),))
PASSED = "framing.one-command"
SECONDS = 30
"""Long enough for a busy machine: each exploration here ends much earlier."""


def judged(name: str, *select: str, afterwards: Afterwards | None = None) -> tuple[list[Event], str]:
    """Run some scenarios and, unless something else is to follow, explore; return the events and the account."""
    options = make_options(f"{name} --dialect 2026", *select, dialect="2026", deep=SECONDS, seed=3)
    events: list[Event] = []
    exploring = deep_run(options)
    assert isinstance(exploring, DeepRun)
    with (
        Environment(options, forking.launch) as environment,
        Runner(options, catalogue(), events.append, environment, afterwards or exploring) as runner,
    ):
        runner.run()
    return events, exploring.account


def results(events: list[Event]) -> list[Result]:
    """Return the results."""
    return [event for event in events if isinstance(event, Result)]


@pytest.fixture
def wrong_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an exploration begin with a conversation that shows a bug, and end with the first finding."""
    monkeypatch.setattr(exploration, "opening", lambda *_given, **_more: [WRONG])
    monkeypatch.setattr("conformance.explorer.deep.MOST_FINDINGS", 1)


@pytest.mark.usefixtures("wrong_first")
def test_what_is_found_is_a_result_that_no_grade_counts() -> None:
    events, account = judged("arguments-missing-crash", PASSED)
    passed, found = results(events)
    assert (passed.scenario, passed.is_explored) == (PASSED, False)
    assert found.is_explored
    assert found.scenario.startswith("explored.")
    assert found.verdict == "fail"
    assert found.reproduce[0].startswith("conformance explore")
    assert "--seed 3" in found.reproduce[0]
    assert account.startswith("explored: ")
    start, end = events[0], events[-1]
    assert isinstance(start, RunStart)
    assert start.command.endswith(f"--deep {SECONDS}")
    assert isinstance(end, RunEnd)
    assert end.exit is Exit.NOT_CONFORMANT
    assert not end.problems
    points = PointsMap(levels={"MUST": 3, "SHOULD": 1})
    with_it, without = (grade(Run(start, rows, end), points) for rows in ([passed, found], [passed]))
    assert with_it.points == without.points == 100
    assert with_it.lines == without.lines


@pytest.mark.usefixtures("wrong_first")
def test_what_the_run_has_warned_of_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Verdict, ...]] = []

    def requirements(_self: Results, *verdicts: Verdict) -> frozenset[str]:
        asked.append(verdicts)
        return frozenset() if Verdict.FAIL in verdicts else frozenset(row.id for row in specification())

    monkeypatch.setattr(Results, "requirements", requirements)
    monkeypatch.setattr(exploration.Exploration, "_is_over", lambda self: self.conversations > 0)
    events, account = judged("arguments-missing-crash", PASSED)
    assert [row.scenario for row in results(events)] == [PASSED]
    assert account == "explored: 1 conversations"
    assert asked == [(Verdict.FAIL,), (Verdict.WARN, Verdict.FLAKY)]


def test_a_server_that_fails_is_not_explored() -> None:
    def explore(*_arguments: object) -> Iterator[Outcome]:
        pytest.fail("explored")

    events, _ = judged("lf-ends-a-line", "framing.lf-inside", afterwards=explore)
    assert [row.verdict.value for row in results(events)] == ["fail"]


def test_nothing_is_explored_unless_that_is_asked_for() -> None:
    assert deep_run(make_options("correct-threads")) is None

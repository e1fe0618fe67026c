"""A time-out is held against a server after a patient wait alone, and otherwise not judged."""

from time import sleep

import pytest

from conformance import patience
from conformance.engine import Session
from conformance.events import Event, Result
from conformance.failure import Failure, Kind
from conformance.options import Options
from conformance.patience import ALONE, CONFIRMED_TIMEOUTS, HASTE, UTMOST_HASTE, Patience
from conformance.scenario import Catalogue, Scenario, Stage
from conformance.scenarios import catalogue
from tests.conformance.test_cli import CORRECT, ROOT

LATE_SECONDS = 0.02


def test_haste_begins_with_confirmed_time_outs_and_ends_with_the_time() -> None:
    left = Patience(scale=1.0)
    assert (left.factor(is_alone=False), left.factor(is_alone=True)) == (1.0, ALONE)
    for _ in range(CONFIRMED_TIMEOUTS):
        left.confirm()
    assert (left.factor(is_alone=False), left.factor(is_alone=True)) == (HASTE, 1.0)
    left.waste(patience.WASTED_SECONDS)
    assert left.is_at_its_end
    assert left.factor(is_alone=True) == UTMOST_HASTE


def late(stage: Stage) -> None:
    sleep(LATE_SECONDS)
    raise Failure(Kind.TIMEOUT, "an answer", f"nothing within {stage.patience_seconds} s")


def soon(stage: Stage) -> None:
    stage.probe()


def wrong(stage: Stage) -> None:
    raise Failure(Kind.BODY, "this", f"that, within {stage.patience_seconds} s")


def judged(plays: int, jobs: int) -> dict[str, Result]:
    rows = [catalogue()["framing.one-command"]]
    rows += [Scenario(f"mine.late-{number}", "HFTP-3.6", late, "Is late") for number in range(plays)]
    rows += [Scenario("mine.soon", "HFTP-3.6", soon, "Is not late")]
    rows += [Scenario("mine.wrong", "HFTP-3.6", wrong, "Is wrong")]
    events: list[Event] = []
    options = Options(serve=CORRECT, cwd=str(ROOT), large_bytes=1000, jobs=jobs, select=("mine",))
    with Session(options, Catalogue(rows), events.append) as session:
        session.run()
    return {event.scenario: event for event in events if isinstance(event, Result)}


@pytest.mark.parametrize("jobs", [1, 4])
def test_every_time_out_is_confirmed_as_long_as_there_is_time(jobs: int) -> None:
    results = judged(8, jobs)
    for number in range(8):
        result = results[f"mine.late-{number}"]
        assert (result.verdict, result.attempts) == ("fail", 2)
        assert float(result.got.split()[2]) >= 2.0


@pytest.mark.parametrize("jobs", [1, 4])
def test_what_there_is_no_time_to_confirm_is_not_judged(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WASTED_SECONDS", 8 * LATE_SECONDS)
    results = judged(16, jobs)
    late_ones = [results[f"mine.late-{number}"] for number in range(16)]
    assert {result.verdict for result in late_ones} == {"fail", "blocked"}
    for result in late_ones:
        if result.verdict == "blocked":
            assert "no time was left" in result.got
        else:
            assert float(result.got.split()[2]) >= 2.0
    assert results["mine.soon"].verdict == "pass"
    assert results["mine.wrong"].verdict == "fail"

"""Timeouts are short at first, full before they count, and short again once their kind is confirmed."""

import pytest

from conformance.failures import Failure, Kind
from conformance.model.context import ScenarioContext
from conformance.model.scenario import Catalogue, Scenario
from conformance.runner.timeouts import BASE_SECONDS, REPLIES, SAMPLE, SHORT_SECONDS, Timeouts, timeout_seconds
from conformance.scenarios import catalogue
from tests.conformance.in_process import TIMEOUT_SCALE, Run, judge_command, make_options, run
from tests.conformance.small_servers import MODULE

pytestmark = pytest.mark.once

KIND = ("HFTP-6.4", "timeout")
FULL_SECONDS = BASE_SECONDS * TIMEOUT_SCALE
PAST_END = "slices.past-end*"


def test_full_timeout_grows_with_round_trip_and_scale() -> None:
    assert timeout_seconds(0.0, 1.0) == BASE_SECONDS
    assert timeout_seconds(0.1, 1.0) > BASE_SECONDS + 1.0
    assert timeout_seconds(0.1, 3.0) == pytest.approx(3.0 * timeout_seconds(0.1, 1.0))


def test_short_timeout_grows_for_a_slow_server() -> None:
    left = Timeouts(1.0)
    assert left.short_factor(2.0) == pytest.approx(SHORT_SECONDS / 2.0)
    for _ in range(100):
        left.answered(0.25)
    assert left.short_factor(2.0) == pytest.approx(REPLIES * 0.25 / 2.0)
    assert left.short_factor(0.5) == 1.0


def test_single_slow_reply_does_not_change_the_short_timeout() -> None:
    left = Timeouts(1.0)
    for seconds in [0.001] * 100 + [1.9]:
        left.answered(seconds)
    assert left.short_factor(2.0) == pytest.approx(SHORT_SECONDS / 2.0)


def test_short_timeout_grows_with_the_scale() -> None:
    assert Timeouts(4.0).short_factor(8.0) == pytest.approx(Timeouts(1.0).short_factor(2.0))


def test_short_timeout_is_repeated_in_full_first() -> None:
    left = Timeouts(1.0)
    assert not any(left.is_enough(KIND) for _ in range(10))
    left.confirm(KIND)
    assert left.is_enough(KIND)
    assert not left.is_enough(("HFTP-6.4", "open"))
    assert not left.is_enough(("HFTP-6.1", "timeout"))


def test_sample_of_a_confirmed_kind_gets_the_full_timeout() -> None:
    left = Timeouts(1.0)
    left.confirm(KIND)
    found = [left.is_enough(KIND) for _ in range(4 * SAMPLE)]
    assert found.count(False) == 4
    assert all(found[: SAMPLE - 1])


def test_refuted_kind_gets_the_full_timeout_again() -> None:
    left = Timeouts(1.0)
    left.confirm(KIND)
    assert left.is_enough(KIND)
    assert left.refute(KIND)
    assert not any(left.is_enough(KIND) for _ in range(10))


def test_unconfirmed_kind_has_no_short_timeouts_to_repeat() -> None:
    assert not Timeouts(1.0).refute(KIND)


def timeouts_of(found: Run) -> list[float]:
    """Return how long each scenario waited that timed out."""
    results = [result for result in found.results.values() if result.kind == "timeout"]
    return [float(result.got.split("within ")[1].split()[0]) for result in results]


def test_only_samples_of_a_kind_get_the_full_timeout() -> None:
    found = judge_command(f"{MODULE} silent-past-the-end", PAST_END, "slices.whole-text", "commands.unknown", jobs=1)
    assert set(found.with_verdict("pass")) == {"slices.whole-text", "commands.unknown"}
    assert found.with_verdict("flaky", "incomplete", "error") == []
    waits = timeouts_of(found)
    assert waits.count(max(waits)) < len(waits)
    assert max(waits) >= FULL_SECONDS
    assert found.end.exit == 1


def slow_by_turns(context: ScenarioContext) -> None:
    """Fail where the wait is short, and pass where it is in full."""
    context.probe()
    if context.timeout_seconds < context.run_context.timeout_seconds:
        raise Failure(Kind.TIMEOUT, "an answer", f"nothing within {context.timeout_seconds} s")


def silent(context: ScenarioContext) -> None:
    """Fail however long the wait is."""
    context.probe()
    raise Failure(Kind.TIMEOUT, "an answer", f"nothing within {context.timeout_seconds} s")


def wrong(context: ScenarioContext) -> None:
    """Fail at once."""
    raise Failure(Kind.BODY, "this", f"that, within {context.timeout_seconds} s")


def own(*rows: Scenario, jobs: int) -> Run:
    """Judge a correct server by scenarios of the test's own."""
    known = Catalogue([catalogue()["framing.one-command"], *rows])
    return run(make_options("correct-threads", "mine", jobs=jobs), known)


@pytest.mark.parametrize("jobs", [1, 4])
def test_passes_if_the_reply_arrives_within_the_full_timeout(jobs: int) -> None:
    rows = [Scenario(f"mine.slow-{number}", "HFTP-3.6", slow_by_turns, "Is slow") for number in range(8)]
    found = own(*rows, jobs=jobs)
    assert found.with_verdict("pass") == [row.id for row in rows]


@pytest.mark.parametrize("jobs", [1, 4])
def test_sample_that_is_answered_makes_its_kind_pass(jobs: int) -> None:
    rows = [Scenario("mine.silent", "HFTP-3.6", silent, "Is silent")]
    rows += [Scenario(f"mine.slow-{number}", "HFTP-3.6", slow_by_turns, "Is slow") for number in range(SAMPLE + 2)]
    found = own(*rows, jobs=jobs)
    assert found.verdicts()["mine.silent"] == ("fail", "timeout")
    assert set(found.with_verdict("pass")) == {row.id for row in rows[1:]}


@pytest.mark.parametrize("jobs", [1, 4])
def test_silence_fails_and_other_failures_do_not_depend_on_timeouts(jobs: int) -> None:
    rows = [Scenario(f"mine.silent-{number}", "HFTP-3.6", silent, "Is silent") for number in range(6)]
    found = own(*rows, Scenario("mine.wrong", "HFTP-3.6", wrong, "Is wrong"), jobs=jobs)
    assert set(found.with_verdict("fail")) == {"mine.wrong", *(row.id for row in rows)}
    waits = sorted(timeouts_of(found))
    assert waits[0] < FULL_SECONDS <= waits[-1]

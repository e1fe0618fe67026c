"""Turn an outcome into a result: the verdict, and what explains it."""

from collections.abc import Sequence
from dataclasses import replace

from conformance.client.deviations import Deviation
from conformance.failures import CAUSES, Failure, Kind
from conformance.model.events import Result
from conformance.model.scenario import Scenario
from conformance.model.verdicts import MEANINGS, Verdict, verdict_of_failure, verdict_of_success
from conformance.runner.play import Outcome


def judged(
    scenario: Scenario, outcome: Outcome, *, dialect: str, attempts: int = 1, reproduce: Sequence[str] = ()
) -> Result:
    """Return the result of a scenario; `reproduce` holds command lines that reproduce it."""
    level = scenario.level_for(dialect)
    failure = outcome.failure
    verdict = outcome.verdict or (
        verdict_of_success(level) if failure is None else verdict_of_failure(level, failure.kind)
    )
    return Result(
        scenario=scenario.id,
        requirement=scenario.requirement,
        level=level,
        verdict=verdict,
        title=scenario.title,
        chapter=scenario.chapter,
        text=scenario.row.text,
        kind=failure.kind.value if failure else "",
        expected=failure.expected if failure else "",
        got=failure.got if failure else outcome.reason or "; ".join(dict.fromkeys(outcome.seen)),
        sent=(failure.asked or outcome.record.last_sent()) if failure else "",
        cause=(failure.cause or scenario.causes.get(failure.kind, "") or CAUSES[failure.kind]) if failure else "",
        reproduce=list(reproduce) if MEANINGS[verdict].has_run else [],
        seconds=round(outcome.seconds, 4),
        attempts=attempts,
        transcript=outcome.record.describe(),
    )


def gone(outcome: Outcome) -> Outcome:
    """Return the outcome of a scenario that ends the server, or leaves it unable to serve clients."""
    got = str(outcome.failure.got) if outcome.failure else "the right reply"
    expected = outcome.failure.expected if outcome.failure else "a server that serves other clients afterwards"
    failure = Failure(Kind.GONE, expected, f"{got}; and afterwards the server serves no client")
    return replace(outcome, failure=failure, verdict=None, is_short=False)


def repeated(outcome: Outcome, reporter: str, deviation: Deviation) -> Outcome:
    """Return the outcome of a scenario whose deviation another scenario has reported."""
    return replace(outcome, verdict=Verdict.BLOCKED, reason=f"{reporter} reports it: {deviation.text}")

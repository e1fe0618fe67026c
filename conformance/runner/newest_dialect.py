"""Find what the newest dialect would say of a server that was judged as an older one: at least what fails here.

Only scenarios whose requirement is stricter in the newest dialect are played, and only replies that contradict it
count: a missing reply may be the machine's doing.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from conformance.failures import Kind
from conformance.model.scenario import DESTRUCTIVE, Scenario
from conformance.model.verdicts import Verdict, verdict_of_failure
from conformance.runner.outcome import WIRE_FAILURES, Outcome
from conformance.runner.play import play
from conformance.spec.dialects import DIALECTS
from conformance.target.health import HealthMonitor

NEWEST: Final = DIALECTS[0]


def stricter(scenarios: Iterable[Scenario], dialect: str) -> list[Scenario]:
    """Return the harmless scenarios of the newest dialect that another one lacks, or demands less of."""
    return [
        row
        for row in scenarios
        if row.applies_to(NEWEST)
        and row.isolation != DESTRUCTIVE
        and (not row.applies_to(dialect) or row.levels[dialect] != row.levels[NEWEST])
    ]


def failing(
    scenarios: Iterable[Scenario], health: HealthMonitor, obstacle: Callable[[Scenario], Outcome | None], fail_on: str
) -> list[str]:
    """Play scenarios as in the newest dialect, and return the ids of those that fail; prerequisites come first.

    One that `obstacle` keeps from running, or whose prerequisite fails, is left out, as in a run.
    """
    failed: list[str] = []
    counted = {Verdict.FAIL, Verdict.WARN} if fail_on == "should" else {Verdict.FAIL}
    for scenario in scenarios:
        is_counted = verdict_of_failure(scenario.levels[NEWEST], Kind.STATUS) in counted
        if not is_counted or set(scenario.depends) & set(failed) or obstacle(scenario) is not None:
            continue
        outcome = play(scenario, replace(health.run_context, dialect=NEWEST))
        failure = outcome.failure
        if failure is None:
            continue
        if failure.kind in WIRE_FAILURES:
            health.ensure_well()
        else:
            failed.append(scenario.id)
    return failed

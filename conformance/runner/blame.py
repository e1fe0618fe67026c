"""Find the scenario that passes but makes the server exit later: rerun suspects on a fresh server, by bisection."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from conformance.model.scenario import Scenario
from conformance.runner.outcome import Outcome
from conformance.runner.play import play
from conformance.target.health import HealthMonitor, State

_EXIT_SECONDS: Final = 0.15
"""How long a server may take to exit after its last reply."""


def blamed(suspects: Iterable[Outcome], health: HealthMonitor) -> list[Outcome]:
    """Return the outcomes, of those without a failure, of the scenarios that each end the server, as failures.

    Afterwards the server is freshly started, or given up.
    """
    known = {outcome.scenario.id: outcome for outcome in suspects}
    culprits = find_culprits([outcome.scenario for outcome in known.values()], health)
    found = [known[scenario.id] for scenario in culprits]
    return [replace(outcome.gone(), attempts=outcome.attempts + 1) for outcome in found]


def find_culprits(suspects: Sequence[Scenario], health: HealthMonitor) -> list[Scenario]:
    """Return the scenarios that each end the server alone; empty if only several together do, or if it does not recur.

    Afterwards the server is freshly started, or given up.
    """
    left, found = list(suspects), []
    for _ in suspects:
        if not left or (lost := _lost_after(left, health)) is None:
            break
        culprit = _narrowed(left[:lost], health)
        if culprit is None:
            break
        found.append(culprit)
        left.remove(culprit)
    if not health.given_up:
        health.recover()
    return found


def _narrowed(rows: Sequence[Scenario], health: HealthMonitor) -> Scenario | None:
    """Return the one scenario of a sequence that ends the server, by bisection; None if it takes several."""
    while len(rows) > 1:
        half = len(rows) // 2
        for part in (rows[half:], rows[:half]):  # the later ones are more likely
            if (lost := _lost_after(part, health)) is not None:
                rows = part[:lost]
                break
        else:
            return None
    if not rows or _lost_after(rows, health) is None:
        return None
    return rows[0]


def _lost_after(rows: Sequence[Scenario], health: HealthMonitor) -> int | None:
    """Run scenarios in sequence on a fresh server; return after how many the server is lost, or None."""
    if health.given_up or not health.recover():
        return None
    for number, row in enumerate(rows, 1):
        play(row, health.run_context)
        if not health.server.is_listening:
            return number
    return len(rows) if health.check(_EXIT_SECONDS) in {State.ENDED, State.WEDGED} else None

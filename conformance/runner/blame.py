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
    return [
        replace(
            known[last.scenario.id].gone(),
            attempts=known[last.scenario.id].attempts + 1,
            output=last.printed(0.0),
            is_output_own=True,
        )
        for last in culprits
    ]


def find_culprits(suspects: Sequence[Scenario], health: HealthMonitor) -> list[Outcome]:
    """Return the outcomes, alone, of the scenarios that each end the server.

    Empty if only several together do, or if it does not recur.

    Afterwards the server is freshly started, or given up.
    """
    left: list[Scenario] = list(suspects)
    found: list[Outcome] = []
    for _ in suspects:
        if not left or (lost := _lost_after(left, health)) is None:
            break
        culprit = _narrowed(left[: len(lost)], health)
        if culprit is None:
            break
        found.append(culprit)
        left.remove(culprit.scenario)
    if not health.given_up:
        health.recover()
    return found


def _narrowed(rows: Sequence[Scenario], health: HealthMonitor) -> Outcome | None:
    """Return the outcome of the one scenario that ends the server, by bisection; None if it takes several."""
    while len(rows) > 1:
        half = len(rows) // 2
        for part in (rows[half:], rows[:half]):  # the later ones are more likely
            if (lost := _lost_after(part, health)) is not None:
                rows = part[: len(lost)]
                break
        else:
            return None
    lost = _lost_after(rows, health) if rows else None
    return lost[-1] if lost else None


def _lost_after(rows: Sequence[Scenario], health: HealthMonitor) -> list[Outcome] | None:
    """Run scenarios in sequence on a fresh server; return the outcomes of those after which it is lost, or None."""
    if health.given_up or not health.recover():
        return None
    played = []
    for row in rows:
        played.append(play(row, health.run_context))
        if not health.server.is_listening:
            return played
    return played if health.check(_EXIT_SECONDS) in {State.ENDED, State.WEDGED} else None

"""Find the scenario that passes but makes the server exit later: rerun suspects on a fresh server, by bisection."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from conformance.failures import Failure, Incomplete
from conformance.model.scenario import Scenario
from conformance.runner.outcome import Outcome
from conformance.runner.play import play
from conformance.target.health import HealthMonitor, State

_EXIT_SECONDS: Final = 0.15
"""How long a server may take to exit after its last reply."""
_FATAL_SECONDS: Final = 0.3
"""How long a server may take to report a fatal error; some wait for CR LF instead."""
_SEVERAL: Final = 2
"""From so many clients on, their number may be what wedges a server."""


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


def wedges_by_number(outcome: Outcome, health: HealthMonitor) -> bool:
    """Return whether as many other clients wedge a fresh server, too, so that the scenario is not to blame.

    Each of them ends a line with LF alone, which is a fatal error, and closes without quit. Afterwards the server is
    freshly started, or given up.
    """
    count = outcome.record.connections
    if count < _SEVERAL or not health.recover():
        return False
    for _ in range(count):
        with contextlib.suppress(Failure, Incomplete), health.connecting() as connect:
            client = connect()
            client.timeout_seconds = min(client.timeout_seconds, _FATAL_SECONDS)
            with contextlib.suppress(Failure):
                client.send(client.words.unknown + b"\n")
                client.status()
            client.close()
    is_wedged = health.check() is State.WEDGED
    health.recover()
    return is_wedged


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

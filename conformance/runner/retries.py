"""Retry a scenario alone, with full timeouts, on a server that is well, and say what its outcomes mean together."""

from dataclasses import replace
from typing import Final

from conformance.language import Message
from conformance.model.scenario import DESTRUCTIVE, Scenario
from conformance.model.verdicts import Verdict
from conformance.runner.blame import wedges_by_number
from conformance.runner.outcome import Outcome, not_run
from conformance.runner.play import play
from conformance.runner.round_trip import measure_again
from conformance.runner.timeouts import TimeoutKind, Timeouts
from conformance.target.health import HealthMonitor, State

LOST: Final = frozenset({State.ENDED, State.WEDGED, State.EXHAUSTED})
"""States in which the server cannot be judged further before a restart."""
_TRIES: Final = 3
_DISTURBED: Final = 5
"""If at least this many scenarios fail beside others and pass alone, clients disturb each other."""


class Retries:
    """Retries of one run. Outcomes that later ones may change are kept back until `finish`."""

    def __init__(self, health: HealthMonitor, timeouts: Timeouts) -> None:
        self._health = health
        self._timeouts = timeouts
        self._deferred: dict[TimeoutKind, dict[str, Outcome]] = {}  # by a short timeout of a kind that is confirmed
        self._disturbed: dict[str, Outcome] = {}  # failed beside others, passed alone
        self.are_clients_disturbed = False
        """Whether clients disturb each other; then scenarios run one at a time."""

    def run(
        self, scenario: Scenario, first: Outcome | None, *, is_lost: bool, may_wait: bool, has_company: bool
    ) -> dict[str, Outcome]:
        """Retry a scenario after its `first` outcome (None: it did not run), and return the outcomes by id.

        The first outcome stands, and is kept back, if it is a short timeout of a kind that is confirmed. If the retry
        refutes the kind, all others of it are retried, too. `is_lost`: the server was lost meanwhile; `has_company`:
        the scenario ran beside others; `may_wait`: outcomes may be kept back.
        """
        kind = _timeout_kind(first)
        if first and kind and first.is_short and not is_lost and may_wait and self._timeouts.is_enough(kind):
            self._deferred.setdefault(kind, {})[scenario.id] = first
            return {}
        outcome = self._play_alone(scenario)
        if (again := _timeout_kind(outcome)) and not outcome.is_short:
            self._timeouts.confirm(again)
        found = {scenario.id: _after(first, outcome, is_lost=is_lost)}
        if kind and again != kind and self._timeouts.refute(kind):
            for other in self._deferred.pop(kind, {}).values():
                name = other.scenario.id
                found[name] = replace(self._play_alone(other.scenario), attempts=2)
        if has_company and may_wait and found[scenario.id].verdict is Verdict.FLAKY:
            self._disturbed[scenario.id] = found.pop(scenario.id)
            self.are_clients_disturbed = len(self._disturbed) >= _DISTURBED
        return found

    def finish(self) -> list[Outcome]:
        """Return the outcomes that were kept back."""
        found = [outcome for rows in self._deferred.values() for outcome in rows.values()]
        disturbed = list(self._disturbed.values())
        if self.are_clients_disturbed:
            self._health.note(
                Message("{count} scenarios failed beside other clients, and passed alone", count=len(disturbed))
            )
            disturbed = [outcome.passed_alone() for outcome in disturbed]
        self._deferred.clear()
        return found + disturbed

    def _play_alone(self, scenario: Scenario) -> Outcome:
        """Run a scenario with full timeouts on a healthy server; if the server is lost, again on a fresh one."""
        health = self._health
        for _ in range(_TRIES):
            if not health.given_up and not health.server.is_listening:
                health.recover()
            if health.is_exhaustible or self.are_clients_disturbed:
                health.restart_if_used()
            if health.has_given_up():
                return not_run(scenario, Verdict.BLOCKED, health.given_up)
            measure_again(health, self._timeouts)
            was_fresh = health.server.is_fresh
            outcome = play(scenario, health.run_context, is_alone=True)
            is_suspect = scenario.isolation == DESTRUCTIVE or outcome.failure is not None
            state = health.look() if is_suspect or not health.server.is_listening else State.WELL
            if state not in LOST:
                return outcome
            if health.has_given_up() and state is not State.EXHAUSTED:
                return outcome.gone()
            if was_fresh or health.has_given_up():
                is_culprit = state is State.ENDED or (
                    state is State.WEDGED
                    and outcome.may_wedge(health.run_context.capacity)
                    and not wedges_by_number(outcome, health)
                )
                return outcome.gone() if is_culprit else outcome
        return outcome


def _after(first: Outcome | None, outcome: Outcome, *, is_lost: bool) -> Outcome:
    """Return the outcome of a retry; flaky if it passed and nothing explains the first failure."""
    if first is None:
        return outcome
    outcome = replace(outcome, attempts=2)
    if first.failure is None or is_lost or (first.is_timeout and first.is_short) or not outcome.has_passed:
        return outcome
    return outcome.flaky(first)


def _timeout_kind(outcome: Outcome | None) -> TimeoutKind | None:
    if outcome is None or outcome.failure is None or not outcome.is_timeout:
        return None
    return outcome.scenario.requirement, outcome.failure.kind.value

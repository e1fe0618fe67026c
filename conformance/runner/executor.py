"""Run scenarios in concurrent batches, and retry failures alone with full timeouts, until each outcome is final.

After each batch, the health of the server is checked. A failure that another scenario may have caused is retried on a
healthy server. A scenario is blamed for the end of the server only if it ends a fresh one, too. If none of the failed
ones does, the culprit is searched among those that passed.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import sleep
from typing import Final, NamedTuple

from conformance.client.recording import Recording
from conformance.failures import Kind
from conformance.model.scenario import DESTRUCTIVE, EXCLUSIVE, SHARED, Scenario
from conformance.model.verdicts import Verdict
from conformance.runner.blame import find_culprits
from conformance.runner.play import Outcome, play
from conformance.runner.result import gone
from conformance.runner.timeouts import TimeoutKind, Timeouts
from conformance.target.health import HealthMonitor, State

_DWELL_SECONDS: Final = 0.05
"""Pause before a health check: the server may exit shortly after its last reply."""
_SETTLING_SECONDS: Final = 0.25
"""Pause after the last batch."""
_TRIES: Final = 3
_HASTY: Final = frozenset({Kind.TIMEOUT, Kind.REFUSED, Kind.OPEN})
"""Failures that a short timeout may cause."""
_LOST: Final = frozenset({State.ENDED, State.WEDGED, State.WORN})
LARGEST_BATCH: Final = 48
_DESTRUCTIVE_BATCH: Final = 8
"""How many destructive scenarios make a batch, while the server survives them."""
_SMALLEST_BATCH: Final = 4
_DISTURBED: Final = 5
"""If at least this many scenarios fail beside others and pass alone, clients disturb each other."""


class Played(NamedTuple):
    """The final outcome of a scenario, and the number of attempts."""

    outcome: Outcome
    attempts: int = 1


class Executor:
    """Runs batches of scenarios against one server."""

    def __init__(self, health: HealthMonitor, timeouts: Timeouts) -> None:
        self._batch_sizes = {SHARED: LARGEST_BATCH, EXCLUSIVE: LARGEST_BATCH, DESTRUCTIVE: _DESTRUCTIVE_BATCH}
        self.problems: list[str] = []
        """Problems of the server that no single scenario causes."""
        self._health = health
        self._timeouts = timeouts
        self._wears_out = False  # whether several scenarios together exhaust it
        self._is_fresh = False  # whether nothing has run since the server was started
        self._deferred: dict[TimeoutKind, dict[str, tuple[Scenario, Outcome]]] = {}
        self._held: dict[str, tuple[Scenario, Played]] = {}
        self._disturbed: dict[str, Outcome] = {}  # failed beside others, passed alone

    def size_of_batch(self, scenario: Scenario) -> int:
        """Return the batch size for the isolation of a scenario."""
        return self._batch_sizes[scenario.isolation]

    @property
    def pending(self) -> set[str]:
        """The ids of scenarios that have run, but whose outcome is not final."""
        deferred = {name for rows in self._deferred.values() for name in rows}
        return self._held.keys() | self._disturbed.keys() | deferred

    def finish(self, *, is_interrupted: bool = False) -> dict[str, Played]:
        """Return all remaining outcomes, by id.

        Unless the run is interrupted, first pause, and check whether the server exits after the last batch.
        """
        if self._held and not self._health.dead and not is_interrupted:
            sleep(_SETTLING_SECONDS)
            if not self._health.is_up:
                self._renew()
                if not self._blame({}, State.ENDED):
                    self._give_no_blame(State.ENDED)
        found = self._release()
        found |= {name: Played(outcome) for rows in self._deferred.values() for name, (_, outcome) in rows.items()}
        self._deferred.clear()
        if self._is_disturbed:
            self._note(f"{len(self._disturbed)} scenarios failed beside other clients, and passed alone")
        found |= {name: Played(self._undisturbed(outcome), 2) for name, outcome in self._disturbed.items()}
        return found

    @property
    def _is_disturbed(self) -> bool:
        """Whether clients disturb each other; then scenarios run one at a time."""
        return len(self._disturbed) >= _DISTURBED

    def _undisturbed(self, outcome: Outcome) -> Outcome:
        """Return the outcome of a scenario that failed beside others and passed alone."""
        if not self._is_disturbed:
            return outcome
        return replace(
            outcome, verdict=None, seen=(*outcome.seen, f"beside other clients, {outcome.reason}"), reason=""
        )

    def _release(self) -> dict[str, Played]:
        held, self._held = self._held, {}
        return {name: played for name, (_, played) in held.items()}

    def run(self, batch: Sequence[Scenario], jobs: int = 1, *, may_wait: bool = False) -> dict[str, Played]:
        """Run a batch, and return the outcomes that are now final, by id.

        If they `may_wait`, passed ones are held until the next batch or `finish`, because the server may exit a moment
        later.
        """
        self._renew_if_used()
        outcomes = self._play_all(batch, 1 if self._is_disturbed else jobs)
        # Where clients disturb each other, the previous one may still be connected.
        has_company = (jobs > 1 and len(batch) > 1) or self._is_disturbed
        has_failed = any(outcome is None or outcome.failure is not None for outcome in outcomes)
        if not has_failed and len(batch) == 1 and batch[0].isolation != DESTRUCTIVE:
            sleep(_DWELL_SECONDS / 2)  # a server that is up after that has very likely survived
            state = self._look(is_thorough=False)
        else:
            state = self._look(is_thorough=True)
        # A scenario that ran alone on a healthy server failed by itself, unless the server exited.
        is_own = len(batch) == 1 and has_failed and state is not State.ENDED
        is_lost = state in _LOST and not is_own
        if (state in _LOST and batch[0].isolation != SHARED) or (
            state is not State.WELL and batch[0].isolation == DESTRUCTIVE
        ):
            self._batch_sizes[batch[0].isolation] = 1
        played: dict[str, tuple[Scenario, Played]] = {}
        for row, outcome in zip(batch, outcomes, strict=True):
            if outcome is None or self._may_be_otherwise(outcome, has_company=has_company, is_lost=is_lost):
                played |= self._again(row, outcome, is_lost=is_lost, may_wait=may_wait)
                if has_company and may_wait and row.id in played and played[row.id][1].outcome.verdict is Verdict.FLAKY:
                    self._disturbed[row.id] = played.pop(row.id)[1].outcome
            else:
                played[row.id] = row, Played(outcome)
        if state is State.WORN:
            self._wear_out()
        has_culprit = any(_is_gone(how.outcome) for _, how in played.values())
        if state is State.ENDED or (state is State.WEDGED and not has_culprit):
            found = self._blame(played, state)
            if not found and not has_culprit:
                self._give_no_blame(state)
        released = self._release()
        self._held = {name: (row, how) for name, (row, how) in played.items() if may_wait and _has_passed(how.outcome)}
        return released | {name: how for name, (_, how) in played.items() if name not in self._held}

    def _play_all(self, batch: Sequence[Scenario], jobs: int) -> list[Outcome | None]:
        """Run each scenario once, with short timeouts; stop when the server is lost."""
        if self._health.dead:
            return [self._blocked()] * len(batch)
        if jobs == 1 or len(batch) == 1:
            return [self._play_and_look(row) for row in batch]
        with ThreadPoolExecutor(jobs, thread_name_prefix="scenario") as pool:
            try:
                # Start the slowest first, so that none is left running alone at the end.
                rows = sorted(batch, key=lambda row: -row.timeouts)
                found = dict(zip([row.id for row in rows], pool.map(self._play, rows), strict=True))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [found[row.id] for row in batch]

    def _play_and_look(self, scenario: Scenario) -> Outcome | None:
        """Run a scenario; after a timeout, make sure that the server still replies."""
        outcome = self._play(scenario, is_alone=True)
        if outcome is not None and outcome.is_in_vain:
            self._look(is_thorough=True)
        return outcome

    def _play(self, scenario: Scenario, *, is_alone: bool = False) -> Outcome | None:
        if not self._health.is_up:
            return None
        run_context = self._health.run_context
        self._is_fresh = False
        factor = self._timeouts.short_factor(run_context.timeout_seconds)
        outcome = play(scenario, run_context, factor, is_alone=is_alone)
        if outcome.failure is None:
            self._timeouts.answered(outcome.slowest_seconds)
        return outcome

    def _look(self, *, is_thorough: bool) -> State:
        """Return the server's health, and restart it if it is not healthy."""
        if self._health.dead or (not is_thorough and self._health.is_up):
            return State.WELL
        # If the server can be restarted, mistaking a slow one for a wedged one costs little.
        factor = self._timeouts.short_factor(self._health.run_context.timeout_seconds)
        state = self._health.check(_DWELL_SECONDS, factor if self._health.can_restart else 1.0)
        if state is not State.WELL:
            self._renew()
        if state is State.SPINNING:
            self._note("the server uses a CPU while no client is connected: it keeps reading from closed connections")
        return state

    def _renew(self) -> None:
        self._is_fresh = self._health.recover()

    def _renew_if_used(self, *, or_disturbed: bool = False) -> None:
        """Restart a server that earlier scenarios exhaust, or whose earlier clients may disturb the next."""
        is_used = (self._wears_out or (or_disturbed and self._is_disturbed)) and not self._is_fresh
        if is_used and self._health.can_restart and not self._health.dead:
            self._renew()

    def _may_be_otherwise(self, outcome: Outcome, *, has_company: bool, is_lost: bool) -> bool:
        """Return whether a short timeout or another scenario may have caused a failure."""
        if outcome.failure is None:
            return False
        return has_company or is_lost or outcome.failure.kind in _HASTY

    # --- Retries ---------------------------------------------------------------------------------

    def _again(
        self, scenario: Scenario, first: Outcome | None, *, is_lost: bool, may_wait: bool
    ) -> dict[str, tuple[Scenario, Played]]:
        """Retry a scenario alone, with full timeouts, and the deferred ones of its kind if they are refuted."""
        kind = _timeout_kind(scenario, first)
        is_short = first is not None and kind is not None and first.is_short and not is_lost and may_wait
        if first is not None and kind is not None and is_short and self._timeouts.is_enough(kind):
            self._deferred.setdefault(kind, {})[scenario.id] = scenario, first
            return {}
        outcome = self._play_alone(scenario)
        found = {scenario.id: (scenario, Played(self._with_first(outcome, first, is_lost=is_lost), 2 if first else 1))}
        again = _timeout_kind(scenario, outcome)
        if again and not outcome.is_short:
            self._timeouts.confirm(again)
        if kind and again != kind and self._timeouts.refute(kind):
            for other, _ in self._deferred.pop(kind, {}).values():
                found[other.id] = other, Played(self._play_alone(other), 2)
        return found

    def _with_first(self, outcome: Outcome, first: Outcome | None, *, is_lost: bool) -> Outcome:
        """Return an outcome; flaky if it passed and nothing explains the first failure."""
        if first is None or first.failure is None or is_lost or (first.is_in_vain and first.is_short):
            return outcome
        if outcome.failure is None and outcome.verdict is None:
            return replace(outcome, verdict=Verdict.FLAKY, reason=f"first: {first.failure}")
        return outcome

    def _play_alone(self, scenario: Scenario) -> Outcome:
        """Run a scenario with full timeouts on a healthy server; if the server is lost, again on a fresh one."""
        for _ in range(_TRIES):
            if not self._health.dead and not self._health.is_up:
                self._renew()
            self._renew_if_used(or_disturbed=True)
            if self._health.has_given_up():
                return self._blocked()
            was_fresh, self._is_fresh = self._is_fresh, False
            outcome = play(scenario, self._health.run_context, is_alone=True)
            state = self._look(is_thorough=scenario.isolation == DESTRUCTIVE or outcome.failure is not None)
            if state not in _LOST:
                return outcome
            if self._health.has_given_up() and state is not State.WORN:
                return gone(outcome)
            if was_fresh or self._health.has_given_up():
                return gone(outcome) if state is State.ENDED or self._has_wedged(outcome, state) else outcome
        return outcome

    def _has_wedged(self, outcome: Outcome, state: State) -> bool:
        """Return whether a passed scenario wedged the server, other than by its abandoned or surplus connections."""
        is_used_up = 0 < self._health.run_context.capacity <= outcome.record.connections
        return state is State.WEDGED and outcome.failure is None and not outcome.leaves_open and not is_used_up

    def _wear_out(self) -> None:
        """Note that scenarios which are harmless alone exhaust the server: use smaller batches between restarts."""
        self._wears_out = True
        for isolation in (SHARED, EXCLUSIVE):
            size = self._batch_sizes[isolation]
            self._batch_sizes[isolation] = min(size, max(_SMALLEST_BATCH, size // 3))

    def _blocked(self) -> Outcome:
        return Outcome(Recording(), verdict=Verdict.BLOCKED, reason=self._health.dead)

    # --- Blame -----------------------------------------------------------------------------------

    def _blame(self, played: dict[str, tuple[Scenario, Played]], state: State) -> bool:
        """Find passed scenarios that ended the server; return whether there are any.

        If the server has exited, the previous batch is suspect, too: the exit may be delayed.
        """
        suspects = {
            name: (row, how)
            for name, (row, how) in ({**self._held, **played} if state is State.ENDED else played).items()
            if (_has_passed(how.outcome) if state is State.ENDED else self._has_wedged(how.outcome, state))
        }
        culprits = [] if self._health.dead else find_culprits([row for row, _ in suspects.values()], self._health)
        self._is_fresh = False
        for row in culprits:
            _, (outcome, attempts) = suspects[row.id]
            rows = self._held if row.id in self._held else played
            rows[row.id] = row, Played(gone(outcome), attempts + 1)
        return bool(culprits)

    def _give_no_blame(self, state: State) -> None:
        """Note that the server was lost, and that no scenario does that alone."""
        self._wear_out()
        if state is State.ENDED:
            self._note("the server exited, but does not when the same scenarios run again")

    def _note(self, problem: str) -> None:
        """Add a problem of the server, once."""
        if problem not in self.problems:
            self.problems.append(problem)


def _timeout_kind(scenario: Scenario, outcome: Outcome | None) -> TimeoutKind | None:
    if outcome is None or outcome.failure is None or not outcome.is_in_vain:
        return None
    return scenario.requirement, outcome.failure.kind.value


def _has_passed(outcome: Outcome) -> bool:
    return outcome.failure is None and outcome.verdict is not Verdict.BLOCKED


def _is_gone(outcome: Outcome) -> bool:
    return outcome.failure is not None and outcome.failure.kind is Kind.GONE

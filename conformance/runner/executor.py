"""Plays scenarios until each has an outcome that counts: beside each other first, and what failed alone, in full.

A batch is played, and then the server is looked at. What may be somebody else's doing is played again on a server that
is well; a scenario is only blamed for the end of the server if it ends a fresh one, too. If none of those that failed
does, the one that did it is looked for among those that passed.
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
"""How long the server is left alone before it is looked at: it may end a moment after its last reply."""
_SETTLING_SECONDS: Final = 0.25
"""How long it is left alone after the last batch."""
_TRIES: Final = 3
_HASTY: Final = frozenset({Kind.TIMEOUT, Kind.REFUSED, Kind.OPEN})
"""Failures that may be haste."""
_LOST: Final = frozenset({State.ENDED, State.WEDGED, State.WORN})
LARGEST_BATCH: Final = 48
_DESTRUCTIVE_BATCH: Final = 8
"""So many destructive scenarios are played in a row as long as the server survives them."""
_SMALLEST_BATCH: Final = 4
_DISTURBED: Final = 5
"""So many scenarios that fail beside others, and pass alone, show that clients get in each other's way."""


class Played(NamedTuple):
    """The outcome of a scenario that counts, and after how many attempts."""

    outcome: Outcome
    attempts: int = 1


class Executor:
    """Plays batches of scenarios against one server."""

    def __init__(self, health: HealthMonitor, timeouts: Timeouts) -> None:
        self._batch_sizes = {SHARED: LARGEST_BATCH, EXCLUSIVE: LARGEST_BATCH, DESTRUCTIVE: _DESTRUCTIVE_BATCH}
        self.problems: list[str] = []
        """What is wrong with the server, and no scenario's doing."""
        self._health = health
        self._timeouts = timeouts
        self._wears_out = False  # whether several scenarios together have used it up
        self._is_fresh = False  # whether nothing was played since the server was started
        self._deferred: dict[TimeoutKind, dict[str, tuple[Scenario, Outcome]]] = {}
        self._held: dict[str, tuple[Scenario, Played]] = {}
        self._disturbed: dict[str, Outcome] = {}  # failed beside others, and passed alone

    def size_of_batch(self, scenario: Scenario) -> int:
        """Return how many scenarios of one's isolation are played before the server is looked at."""
        return self._batch_sizes[scenario.isolation]

    @property
    def pending(self) -> set[str]:
        """The ids of scenarios that were played, and whose outcomes may still change."""
        deferred = {name for rows in self._deferred.values() for name in rows}
        return self._held.keys() | self._disturbed.keys() | deferred

    def finish(self, *, is_interrupted: bool = False) -> dict[str, Played]:
        """Return all outcomes that are left, by id.

        Unless the run is interrupted, the server has the time to end of the last batch before.
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
        """Whether clients get in each other's way; only scenarios that are about that then have several."""
        return len(self._disturbed) >= _DISTURBED

    def _undisturbed(self, outcome: Outcome) -> Outcome:
        """Return the outcome of a scenario that failed beside others, and passed alone."""
        if not self._is_disturbed:
            return outcome
        return replace(
            outcome, verdict=None, seen=(*outcome.seen, f"beside other clients, {outcome.reason}"), reason=""
        )

    def _release(self) -> dict[str, Played]:
        held, self._held = self._held, {}
        return {name: played for name, (_, played) in held.items()}

    def run(self, batch: Sequence[Scenario], jobs: int = 1, *, may_wait: bool = False) -> dict[str, Played]:
        """Play a batch, and return the outcomes that count from now on, by id.

        If they `may_wait`, those that passed are returned with the next batch, or by `finish`: one of them may end the
        server a moment later.
        """
        self._renew_if_used()
        outcomes = self._play_all(batch, 1 if self._is_disturbed else jobs)
        # Where clients get in each other's way, the one before may still be there.
        has_company = (jobs > 1 and len(batch) > 1) or self._is_disturbed
        has_failed = any(outcome is None or outcome.failure is not None for outcome in outcomes)
        if not has_failed and len(batch) == 1 and batch[0].isolation != DESTRUCTIVE:
            sleep(_DWELL_SECONDS / 2)  # a server that is up after that has most likely survived
            state = self._look(is_thorough=False)
        else:
            state = self._look(is_thorough=True)
        # What is played alone on a server that was well has failed by itself, unless the server has ended of it.
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
        """Play all once, with short waits; nothing is played any more once the server is gone."""
        if self._health.dead:
            return [self._blocked()] * len(batch)
        if jobs == 1 or len(batch) == 1:
            return [self._play_and_look(row) for row in batch]
        with ThreadPoolExecutor(jobs, thread_name_prefix="scenario") as pool:
            try:
                # What may take longest comes first, so that at the end nobody waits for it.
                rows = sorted(batch, key=lambda row: -row.timeouts)
                found = dict(zip([row.id for row in rows], pool.map(self._play, rows), strict=True))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [found[row.id] for row in batch]

    def _play_and_look(self, scenario: Scenario) -> Outcome | None:
        """Play a scenario; if it has waited in vain, see to it that the next ones find a server that answers."""
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
        """Return how the server is, and start it again if it is not well."""
        if self._health.dead or (not is_thorough and self._health.is_up):
            return State.WELL
        # Where the server can be started again, little is lost if a slow one is taken for one that does not answer.
        factor = self._timeouts.short_factor(self._health.run_context.timeout_seconds)
        state = self._health.check(_DWELL_SECONDS, factor if self._health.can_restart else 1.0)
        if state is not State.WELL:
            self._renew()
        if state is State.SPINNING:
            self._note(
                "the server uses a processor though no client is there: it goes on reading from clients that left"
            )
        return state

    def _renew(self) -> None:
        self._is_fresh = self._health.recover()

    def _renew_if_used(self, *, or_disturbed: bool = False) -> None:
        """Start a server again that is used up by what was played before, or holds clients that disturb the next."""
        is_used = (self._wears_out or (or_disturbed and self._is_disturbed)) and not self._is_fresh
        if is_used and self._health.can_restart and not self._health.dead:
            self._renew()

    def _may_be_otherwise(self, outcome: Outcome, *, has_company: bool, is_lost: bool) -> bool:
        """Tell whether a failure may be haste, or the doing of what was played before or beside it."""
        if outcome.failure is None:
            return False
        return has_company or is_lost or outcome.failure.kind in _HASTY

    # --- Again -----------------------------------------------------------------------------------

    def _again(
        self, scenario: Scenario, first: Outcome | None, *, is_lost: bool, may_wait: bool
    ) -> dict[str, tuple[Scenario, Played]]:
        """Play a scenario alone, with waits in full, and those whose short waits should not have counted."""
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
        """Return an outcome, called flaky if the failure before it has no excuse."""
        if first is None or first.failure is None or is_lost or (first.is_in_vain and first.is_short):
            return outcome
        if outcome.failure is None and outcome.verdict is None:
            return replace(outcome, verdict=Verdict.FLAKY, reason=f"first: {first.failure}")
        return outcome

    def _play_alone(self, scenario: Scenario) -> Outcome:
        """Play a scenario with waits in full on a server that is well; if the server is lost, on a fresh one."""
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
        """Tell whether a scenario that passed has wedged the server by something else than clients that left."""
        is_used_up = 0 < self._health.run_context.capacity <= outcome.record.connections
        return state is State.WEDGED and outcome.failure is None and not outcome.leaves_open and not is_used_up

    def _wear_out(self) -> None:
        """Take note that the server is used up by what is harmless alone: play less between two starts."""
        self._wears_out = True
        for isolation in (SHARED, EXCLUSIVE):
            size = self._batch_sizes[isolation]
            self._batch_sizes[isolation] = min(size, max(_SMALLEST_BATCH, size // 3))

    def _blocked(self) -> Outcome:
        return Outcome(Recording(), verdict=Verdict.BLOCKED, reason=self._health.dead)

    # --- Blame -----------------------------------------------------------------------------------

    def _blame(self, played: dict[str, tuple[Scenario, Played]], state: State) -> bool:
        """Find out which scenarios have ended the server though they passed; return whether there are any.

        Those of the batch before are asked, too, if it has ended: maybe it did so a moment later.
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
        """Take note that the server was lost, and that no scenario does that alone."""
        self._wear_out()
        if state is State.ENDED:
            self._note("the server ended, and does not when the same scenarios are played again")

    def _note(self, problem: str) -> None:
        """Take note of what is wrong with the server, once."""
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

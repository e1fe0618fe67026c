"""Run a batch of scenarios until each outcome is final: once beside each other, then again what others may have caused.

After each batch, the health of the server is checked. A failure that another scenario may have caused is retried on a
healthy server. A scenario is blamed for the end of the server only if it ends a fresh one, too. If none of the failed
ones does, the culprit is searched among those that passed.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from conformance.failures import Kind
from conformance.language import Message
from conformance.model.scenario import DESTRUCTIVE, EXCLUSIVE, SHARED, Scenario
from conformance.model.verdicts import Verdict
from conformance.runner.blame import blamed, wedges_by_number
from conformance.runner.outcome import Outcome, not_run
from conformance.runner.play import play
from conformance.runner.retries import LOST, Retries
from conformance.runner.timeouts import Timeouts
from conformance.target.health import PAUSE_SECONDS, HealthMonitor, State

_SETTLING_SECONDS: Final = 0.25
"""Pause after the last batch."""
_MAYBE_TOO_SHORT: Final = frozenset({Kind.TIMEOUT, Kind.REFUSED, Kind.OPEN})
"""Failures that a short timeout may cause."""
LARGEST_BATCH: Final = 48
_DESTRUCTIVE_BATCH: Final = 8
"""How many destructive scenarios make a batch, while the server survives them."""
_SMALLEST_BATCH: Final = 4


class Executor:
    """Runs batches of scenarios against one server."""

    def __init__(self, health: HealthMonitor, timeouts: Timeouts) -> None:
        self._batch_sizes = {SHARED: LARGEST_BATCH, EXCLUSIVE: LARGEST_BATCH, DESTRUCTIVE: _DESTRUCTIVE_BATCH}
        self._health = health
        self._timeouts = timeouts
        self._retries = Retries(health, timeouts)
        self._held: dict[str, Outcome] = {}  # of the last batch, since the server may exit a moment later

    def size_of_batch(self, scenario: Scenario) -> int:
        """Return the batch size for the isolation of a scenario."""
        return self._batch_sizes[scenario.isolation]

    def run(self, batch: Sequence[Scenario], jobs: int = 1, *, may_wait: bool = False) -> list[Outcome]:
        """Run a batch, and return the outcomes that are now final.

        If they `may_wait`, outcomes without a failure are held until the next batch or `finish`, because the server may
        exit a moment later.
        """
        if self._health.is_exhaustible:
            self._health.restart_if_used()
        is_disturbed = self._retries.are_clients_disturbed
        outcomes = self._run_once(batch, 1 if is_disturbed else jobs)
        done = [outcome for outcome in outcomes if outcome is not None and outcome.failure is None]
        has_failed = len(done) < len(batch)
        state = self._look_after(batch, has_failed=has_failed)
        if has_failed or state is not State.WELL:
            # Where clients disturb each other, the previous one may still be connected.
            has_company = (jobs > 1 and len(batch) > 1) or is_disturbed
            # A scenario that ran alone on a healthy server failed by itself, unless the server exited.
            is_own = len(batch) == 1 and has_failed and state is not State.ENDED
            is_lost = state in LOST and not is_own
            found = self._run_again(batch, outcomes, has_company=has_company, is_lost=is_lost, may_wait=may_wait)
            self._respond_to(state, batch[0].isolation, found)
            done = list(found.values())
        released, self._held = list(self._held.values()), {}
        for outcome in done:
            if may_wait and outcome.may_end_later:
                self._held[outcome.scenario.id] = outcome
            else:
                released.append(outcome)
        return released

    def finish(self, *, is_interrupted: bool = False) -> list[Outcome]:
        """Return all remaining outcomes.

        Unless the run is interrupted, first pause, and check whether the server exits after the last batch.
        """
        if self._held and not self._health.given_up and not is_interrupted:
            self._health.server.clock.sleep(_SETTLING_SECONDS)
            if not self._health.server.is_listening:
                self._health.recover()
                self._blame({}, State.ENDED, has_culprit=False)
        held, self._held = self._held, {}
        return [*held.values(), *self._retries.finish()]

    # --- Once ------------------------------------------------------------------------------------

    def _run_once(self, batch: Sequence[Scenario], jobs: int) -> list[Outcome | None]:
        """Run each scenario once, with short timeouts; the outcome is None if the server was lost before."""
        if self._health.given_up:
            return [not_run(row, Verdict.BLOCKED, self._health.given_up) for row in batch]
        if jobs == 1 or len(batch) == 1:
            return [self._play(row, is_alone=True) for row in batch]
        with ThreadPoolExecutor(jobs, thread_name_prefix="scenario") as pool:
            try:
                # Start the slowest first, so that none is left running alone at the end.
                rows = sorted(batch, key=lambda row: -row.timeouts)
                found = dict(zip([row.id for row in rows], pool.map(self._play, rows), strict=True))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        for outcome in found.values():
            if outcome is not None and outcome.shows_little:
                found[outcome.scenario.id] = self._play(outcome.scenario, is_alone=True)
        return [found[row.id] for row in batch]

    def _play(self, scenario: Scenario, *, is_alone: bool = False) -> Outcome | None:
        """Run a scenario; if it is alone, and timed out, make sure that the server still replies."""
        if not self._health.server.is_listening:
            return None
        run_context = self._health.run_context
        factor = self._timeouts.short_factor(run_context.timeout_seconds)
        outcome = play(scenario, run_context, factor, is_alone=is_alone)
        if outcome.failure is None:
            self._timeouts.answered(outcome.slowest_seconds)
        elif is_alone and outcome.is_timeout:
            self._health.look()
        return outcome

    def _look_after(self, batch: Sequence[Scenario], *, has_failed: bool) -> State:
        """Return the server's health after a batch, and restart it unless it is well."""
        if len(batch) > 1 or batch[0].isolation == DESTRUCTIVE or has_failed:
            return self._health.look()
        self._health.server.clock.sleep(PAUSE_SECONDS / 2)  # a server that is up after that has very likely survived
        return State.WELL if self._health.server.is_listening else self._health.look()

    # --- Again -----------------------------------------------------------------------------------

    def _run_again(
        self,
        batch: Sequence[Scenario],
        outcomes: Sequence[Outcome | None],
        *,
        has_company: bool,
        is_lost: bool,
        may_wait: bool,
    ) -> dict[str, Outcome]:
        """Retry what a short timeout, or another scenario, may have caused; return the outcomes by id."""
        found: dict[str, Outcome] = {}
        for row, outcome in zip(batch, outcomes, strict=True):
            failure = outcome.failure if outcome is not None else None
            is_final = failure is None or not (has_company or is_lost or failure.kind in _MAYBE_TOO_SHORT)
            if outcome is not None and is_final:
                found[row.id] = outcome
            else:
                found |= self._retries.run(row, outcome, is_lost=is_lost, may_wait=may_wait, has_company=has_company)
        return found

    def _respond_to(self, state: State, isolation: str, found: dict[str, Outcome]) -> None:
        """Make later batches smaller, and find culprits among the outcomes, as the server's state after a batch asks.

        Scenarios that must be alone run one by one, once a batch of them has harmed the server.
        """
        if (state in LOST and isolation != SHARED) or (state is not State.WELL and isolation == DESTRUCTIVE):
            self._batch_sizes[isolation] = 1
        if state is State.EXHAUSTED:
            self._expect_exhaustion()
        has_culprit = any(outcome.is_gone for outcome in found.values())
        if state is State.ENDED or (state is State.WEDGED and not has_culprit):
            self._blame(found, state, has_culprit=has_culprit)

    def _blame(self, found: dict[str, Outcome], state: State, *, has_culprit: bool) -> None:
        """Find the scenarios that made the server end or wedge though they passed, or note that there are none.

        Their outcomes are replaced in `found`, those of the batch after which the server was lost, and among the held
        ones: if the server has exited, the previous batch is suspect, too, for the exit may be delayed.
        """
        if state is State.ENDED:
            suspects = [row for row in {**self._held, **found}.values() if row.may_end_later]
        else:
            capacity = self._health.run_context.capacity
            suspects = [row for row in found.values() if row.may_wedge(capacity)]
        culprits = [] if self._health.given_up else blamed(suspects, self._health)
        if state is State.WEDGED:
            culprits = [outcome for outcome in culprits if not wedges_by_number(outcome, self._health)]
        for outcome in culprits:
            name = outcome.scenario.id
            (self._held if name in self._held else found)[name] = outcome
        if not culprits and not has_culprit:
            self._expect_exhaustion()
            if state is State.ENDED:
                self._health.note(Message("the server exited, but does not when the same scenarios run again"))

    def _expect_exhaustion(self) -> None:
        """From here on, use smaller batches, and restart the server between them."""
        self._health.is_exhaustible = True
        for isolation in (SHARED, EXCLUSIVE):
            size = self._batch_sizes[isolation]
            self._batch_sizes[isolation] = min(size, max(_SMALLEST_BATCH, size // 3))

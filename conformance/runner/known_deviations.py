"""Report each known deviation of the server once, by a scenario that does not expect it."""

from collections.abc import Callable, Iterator, Sequence

from conformance.client.deviations import Deviation, Deviations
from conformance.language import Message
from conformance.model.scenario import Scenario
from conformance.runner.outcome import Outcome
from conformance.runner.play import play
from conformance.target.health import HealthMonitor


class KnownDeviations:
    """Which scenario reports which deviation; `smoke_test` is the outcome of the smoke test without any of them."""

    def __init__(self, health: HealthMonitor, smoke_test: Outcome) -> None:
        self._health = health
        self._smoke_test = smoke_test
        self._reporters: dict[Deviation, str] = {}

    def reports(self, scenarios: Sequence[Scenario], can_run: Callable[[Scenario], bool]) -> Iterator[Outcome]:
        """Yield the outcomes that report the deviations: each of the first scenario that fails only for that."""
        known = self._health.run_context.deviations
        for deviation in known.rows:
            if self._smoke_test.failure is not None and not self._passes(
                self._smoke_test.scenario, known.without(deviation)
            ):
                self._reporters[deviation] = self._smoke_test.scenario.id
                continue
            for row in scenarios:
                if row.requirement != deviation.requirement or not can_run(row):
                    continue
                if (outcome := self._report(row, deviation)) is not None:
                    yield outcome
                    break

    def judge(self, outcome: Outcome) -> Outcome:
        """Return the outcome to report where a scenario passed only because a deviation was expected.

        A deviation that no scenario of its requirement reports is reported by the first scenario that meets it.
        """
        if not outcome.has_passed:
            return outcome
        scenario = outcome.scenario
        for deviation in self._health.run_context.deviations.rows:
            reporter = self._reporters.get(deviation, "")
            if deviation not in outcome.tolerated or reporter == scenario.id:
                continue
            if not reporter and (report := self._report(scenario, deviation)) is not None:
                return report
            if reporter and deviation.requirement == scenario.requirement:
                return outcome.reported_by(reporter, deviation)
        return outcome

    def _report(self, scenario: Scenario, deviation: Deviation) -> Outcome | None:
        """Return the outcome of a scenario that does not expect a deviation, if it fails only for that."""
        known = self._health.run_context.deviations
        outcome = self._play(scenario, known.without(deviation))
        if outcome.failure is None or not self._passes(scenario, known):
            return None
        outcome.failure.cause = Message(
            "{text}: always, so that all other scenarios expect it from here on", text=deviation.text
        )
        self._reporters[deviation] = scenario.id
        return outcome

    def _passes(self, scenario: Scenario, deviations: Deviations) -> bool:
        return self._play(scenario, deviations).failure is None

    def _play(self, scenario: Scenario, deviations: Deviations) -> Outcome:
        """Run a scenario whose clients expect these deviations, and restart the server if it exits."""
        outcome = play(scenario, self._health.run_context, deviations=deviations, is_alone=True)
        self._health.ensure_up()
        return outcome

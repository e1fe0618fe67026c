"""Run the scenarios of a catalogue against a server, and emit events."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from time import monotonic
from typing import TYPE_CHECKING, Final

import msgspec

from conformance import __version__
from conformance.client.deviations import Deviation, Deviations
from conformance.client.recording import Recording
from conformance.config import Options
from conformance.failures import Incomplete
from conformance.model.events import Event, Result, RunEnd, RunStart, ScenarioStart, Sink
from conformance.model.scenario import DESTRUCTIVE, SHARED, Catalogue, Scenario
from conformance.model.verdicts import Verdict, exit_status
from conformance.runner.discovery import discover
from conformance.runner.executor import Executor, Played
from conformance.runner.play import Outcome, play, require
from conformance.runner.reproduce import command_lines
from conformance.runner.result import judged, repeated
from conformance.runner.selection import Baseline, SelectionError, check_patterns, read_baseline, select
from conformance.runner.timeouts import Timeouts
from conformance.target.environment import Environment

if TYPE_CHECKING:
    from typing_extensions import Self


SMOKE_TEST: Final = "framing.one-command"
"""Runs before all others; a server that fails it is given up, unless a deviation explains the failure."""

JOBS: Final = 4
"""How many scenarios run at a time if the suite starts the server, and the server is concurrent."""
SLOW_JOBS: Final = 16
"""How many if replies are slow, so that scenarios mostly wait."""
_SLOW_SECONDS: Final = 0.02
_ENDS: Final = 3
"""A server that exits this often is not conformant, even if no scenario is found to cause it."""
_FIT: Final = frozenset({Verdict.PASS, Verdict.INFO, Verdict.WARN, Verdict.FLAKY})


class Runner:
    """Runs scenarios against a server.

    A context manager: entering starts the server, and discovers its dialect, files and deviations. Raises on entering:
    SelectionError, ServerStartError, FixturesError, AddressError, each with a one-line message. Events go to `sink`,
    one at a time. The caller enters and exits a `place` that it passes.
    """

    def __init__(self, options: Options, catalogue: Catalogue, sink: Sink, place: Environment | None = None) -> None:
        self.options = options
        self.catalogue = catalogue
        self.scenarios: list[Scenario] = []
        self.deselected: list[Scenario] = []
        self._sink = sink
        self._given_place = place
        self._sink_lock = threading.Lock()
        self._results: dict[str, Result] = {}
        self._baseline = read_baseline(options.baseline) if options.baseline else Baseline()
        self._timeouts = Timeouts(options.timeout_scale)
        self._reported: dict[Deviation, str] | None = None  # to the scenario that reports it
        self._started = monotonic()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Self":
        check_patterns(self.catalogue, (*self.options.select, *self.options.skip))
        self._place = self._given_place or self._stack.enter_context(Environment(self.options))
        try:
            self._stack.enter_context(self._place.target)
            found = discover(self.options, self._place, self.catalogue[SMOKE_TEST], self._timeouts)
            self._health, self._gate, self._basis = found.health, found.gate, found.basis
            self._executor = Executor(self._health, self._timeouts)
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    # --- Before the first scenario ---------------------------------------------------------------

    def _start(self) -> None:
        options, facts = self.options, self._health.run_context
        applicable = [row for row in self.catalogue if row.applies_to(facts.dialect)]
        self.scenarios, self.deselected = select(applicable, options.select, options.skip, facts.dialect)
        self.scenarios.sort(key=self._depth)  # a stable sort: dependencies come first
        self._emit(
            RunStart(
                suite=__version__,
                catalogue=self.catalogue.digest(),
                seed=options.seed,
                dialect=facts.dialect,
                target=str(self._place.target.address),
                selected=len(self.scenarios),
                deselected=[row.id for row in self.deselected],
                is_concurrent=facts.is_concurrent,
                round_trip_seconds=round(facts.round_trip_seconds, 6),
                patience_seconds=round(facts.timeout_seconds, 3),
                fixtures=facts.fixtures.kind,
                started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                command=options.command(*options.patterns),
                fail_on=options.fail_on,
                dialect_basis=self._basis,
                deviations=[row.text for row in facts.deviations.rows],
            )
        )

    def _depth(self, scenario: Scenario, level: int = 0) -> int:
        if level > len(self.catalogue):
            message = f"{scenario.id} depends on itself"
            raise SelectionError(message)
        known = [self.catalogue[name] for name in scenario.depends if name in self.catalogue]
        return 1 + max((self._depth(row, level + 1) for row in known), default=-1)

    # --- The run ---------------------------------------------------------------------------------

    @property
    def _jobs(self) -> int:
        facts = self._health.run_context
        if not facts.is_concurrent or facts.capacity:
            return 1
        is_slow = facts.round_trip_seconds > _SLOW_SECONDS
        return self.options.jobs or ((SLOW_JOBS if is_slow else JOBS) if self.options.serve else 1)

    def run(self) -> RunEnd:
        """Run all selected scenarios, and return the end event."""
        problems: list[str] = []
        try:
            if self._gate.failure is not None and SMOKE_TEST not in {row.id for row in self.scenarios}:
                self.judge(self.catalogue[SMOKE_TEST])
            self._report_deviations()
            for batch in self._batches():
                self._run_batch(batch, may_wait=True)
        except KeyboardInterrupt:
            problems.append("interrupted: the remaining scenarios did not run")
        for name, played in self._executor.finish(is_interrupted=bool(problems)).items():
            self._conclude(self.catalogue[name], played)
        return self.end(problems)

    def in_order(self) -> list[Scenario]:
        """Return the scenarios in the order of `run`, with the smoke test if it failed."""
        gate = self.catalogue[SMOKE_TEST]
        unselected = [gate] if self._gate.failure is not None and gate not in self.scenarios else []
        return unselected + self._ordered()

    def may_share(self, scenario: Scenario) -> bool:
        """Return whether a scenario may run while another process runs one on the same server."""
        return scenario.isolation == SHARED and self._health.run_context.is_concurrent

    def has_judged(self, identifier: str) -> bool:
        """Return whether a scenario has a result."""
        return identifier in self._results

    def end(self, problems: Sequence[str] = ()) -> RunEnd:
        """Emit and return the end of the run, from the results so far."""
        results = list(self._results.values())
        verdicts = [Verdict(result.verdict) for result in results if not result.known]
        counts = {verdict.value: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts}
        if known := sum(bool(result.known) for result in results):
            counts["known"] = known
            verdicts += [Verdict.PASS]  # so that the run does not count as empty
        misfits = [] if problems else self._baseline.problems(row.id for row in self.deselected)
        ends_by_itself = self._health.ends >= _ENDS
        status = exit_status(verdicts, fail_on=self.options.fail_on, has_problems=bool(misfits) or ends_by_itself)
        if problems:
            status = max(status, exit_status([*verdicts, Verdict.INCOMPLETE], fail_on=self.options.fail_on))
        end = RunEnd(
            counts=counts,
            exit=status,
            seconds=round(monotonic() - self._started, 3),
            problems=[*problems, *misfits, *self._executor.problems],
            output=self._place.target.output(),
        )
        self._emit(end)
        return end

    def _ordered(self) -> list[Scenario]:
        """Return the scenarios in order: shared ones by dependency depth, then exclusive, then destructive ones."""
        shared = sorted((row for row in self.scenarios if row.isolation == SHARED), key=self._depth)
        others = [row for row in self.scenarios if row.isolation != SHARED]
        return shared + sorted(others, key=lambda row: row.isolation == DESTRUCTIVE)

    def _batches(self) -> Iterator[list[Scenario]]:
        """Yield batches of the remaining scenarios; each has one isolation and one depth of dependencies."""
        left = [row for row in self._ordered() if row.id not in self._results]
        while left:
            size = self._executor.size_of_batch(left[0])
            kind, depth = left[0].isolation, self._depth(left[0])
            batch = [row for row in left[:size] if row.isolation == kind and self._depth(row) == depth]
            yield batch
            done = self._results.keys() | self._executor.pending
            left = [row for row in left if row.id not in done]

    # --- Deviations ------------------------------------------------------------------------------

    def _report_deviations(self) -> None:
        """Report each known deviation once, by a scenario that does not expect it."""
        if self._reported is not None:
            return
        self._reported = {}
        known = self._health.run_context.deviations
        for deviation in known.rows:
            if self._gate.failure is not None and not self._passes(
                self.catalogue[SMOKE_TEST], known.without(deviation)
            ):
                self._reported[deviation] = SMOKE_TEST
                continue
            for row in self._ordered():
                if row.requirement != deviation.requirement or row.id in self._results or self._obstacle(row):
                    continue
                if (outcome := self._report(row, deviation)) is not None:
                    self._emit(ScenarioStart(row.id))
                    self._conclude(row, Played(outcome))
                    break

    def _report(self, scenario: Scenario, deviation: Deviation) -> Outcome | None:
        """Return the outcome of a scenario that does not expect a deviation, if it fails only for that."""
        known = self._health.run_context.deviations
        outcome = self._play_expecting(scenario, known.without(deviation))
        if outcome.failure is None or not self._passes(scenario, known):
            return None
        outcome.failure.cause = f"{deviation.text}: always, so that all other scenarios expect it from here on"
        if self._reported is not None:
            self._reported[deviation] = scenario.id
        return outcome

    def _play_expecting(self, scenario: Scenario, deviations: Deviations) -> Outcome:
        """Run a scenario whose clients expect these deviations, and restart the server if it exits."""
        outcome = play(scenario, self._health.run_context, deviations=deviations, is_alone=True)
        self._health.ensure_up()
        return outcome

    def _passes(self, scenario: Scenario, deviations: Deviations) -> bool:
        return self._play_expecting(scenario, deviations).failure is None

    def _judge_deviations(self, scenario: Scenario, outcome: Outcome) -> Outcome:
        """Return the outcome to report where a scenario passed only because a deviation was expected.

        A deviation that no scenario of its requirement reports is reported by the first scenario that meets it.
        """
        if outcome.failure is not None or outcome.verdict is not None:
            return outcome
        for deviation in self._health.run_context.deviations.rows:
            reporter = (self._reported or {}).get(deviation, "")
            if deviation not in outcome.tolerated or reporter == scenario.id:
                continue
            if not reporter and (report := self._report(scenario, deviation)) is not None:
                return report
            if reporter and deviation.requirement == scenario.requirement:
                return repeated(outcome, reporter, deviation)
        return outcome

    # --- Scenarios -------------------------------------------------------------------------------

    def judge(self, scenario: Scenario) -> Result:
        """Run one scenario, emit its events, and return the result."""
        if scenario.id != SMOKE_TEST:
            self._report_deviations()
        if scenario.id not in self._results:
            self._run_batch([scenario])
        return self._results[scenario.id]

    def _run_batch(self, batch: Sequence[Scenario], *, may_wait: bool = False) -> None:
        playable = []
        for row in batch:
            self._emit(ScenarioStart(row.id))
            if (outcome := self._obstacle(row)) is not None:
                self._conclude(row, Played(outcome))
            else:
                playable.append(row)
        if playable:
            jobs = self._jobs if playable[0].isolation == SHARED else 1
            played = self._executor.run(playable, jobs, may_wait=may_wait)
            for name, how in played.items():
                self._conclude(self.catalogue[name], how)

    def _conclude(self, scenario: Scenario, played: Played) -> None:
        """Turn an outcome into a result, and emit it."""
        outcome = self._judge_deviations(scenario, played.outcome)
        result = judged(
            scenario,
            outcome,
            dialect=self._health.run_context.dialect,
            attempts=played.attempts,
            reproduce=command_lines(self.options, scenario.id, outcome.record, self._place.target.address),
        )
        result = msgspec.structs.replace(result, known=self._baseline.reason(result))
        self._results[scenario.id] = result
        self._emit(result)

    def _obstacle(self, scenario: Scenario) -> Outcome | None:
        """Return an outcome that says why a scenario cannot run; None if it can."""
        record = Recording()
        facts = self._health.run_context
        if scenario.id == SMOKE_TEST and self._gate.failure is not None:
            return self._gate
        if self._health.dead:
            return Outcome(record, verdict=Verdict.BLOCKED, reason=self._health.dead)
        for name in scenario.depends:
            if name in self._results and Verdict(self._results[name].verdict) not in _FIT:
                return Outcome(record, verdict=Verdict.BLOCKED, reason=f"{name} did not pass")
        if "concurrency" in scenario.all_needs and not facts.is_concurrent:
            reason = "the server serves one client at a time"
            return Outcome(record, verdict=Verdict.UNSUPPORTED, reason=reason)
        try:
            require(scenario, facts.fixtures)
        except Incomplete as why:
            return Outcome(record, verdict=Verdict.INCOMPLETE, reason=str(why))
        return None

    def _emit(self, event: Event) -> None:
        with self._sink_lock:
            self._sink(event)

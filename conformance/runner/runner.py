"""Run the scenarios of a catalogue against a server: select them, order them, and run them in batches to the end."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from conformance import __version__
from conformance.config import Options
from conformance.language import Message
from conformance.model.events import Result, RunEnd, RunStart, Sink
from conformance.model.scenario import DESTRUCTIVE, SHARED, Catalogue, Scenario
from conformance.model.verdicts import Verdict
from conformance.runner.discovery import discover
from conformance.runner.executor import Executor
from conformance.runner.known_deviations import KnownDeviations
from conformance.runner.newest_dialect import NEWEST, failing, stricter
from conformance.runner.outcome import Outcome, not_run
from conformance.runner.play import unplayable
from conformance.runner.results import Results, now
from conformance.runner.selection import SelectionError, check_patterns, select
from conformance.runner.timeouts import Timeouts, run_seconds
from conformance.target.environment import Environment
from conformance.target.health import HealthMonitor

if TYPE_CHECKING:
    from typing_extensions import Self


Afterwards = Callable[[HealthMonitor, Timeouts, frozenset[str]], Iterator[Outcome]]
"""Looks for more when no scenario has failed, apart from requirements of which the run has warned; yields outcomes."""

SMOKE_TEST: Final = "framing.one-command"
"""Runs before all others; a server that fails it is given up, unless a deviation explains the failure."""

JOBS: Final = 4
"""How many scenarios run at a time if the suite starts the server, and the server is concurrent."""
SLOW_JOBS: Final = 16
"""How many if replies are slow, so that scenarios mostly wait."""
_SLOW_SECONDS: Final = 0.02
_ENDS: Final = 3
"""A server that exits this often is not conformant, even if no scenario is found to cause it."""


class Runner:
    """Runs scenarios against a server.

    A context manager: entering starts the server, and discovers its dialect, files and deviations. Raises on entering:
    SelectionError, ServerStartError, FixturesError, AddressError, each with a one-line message. Events go to `sink`,
    one at a time. The caller enters and exits an `environment` that it passes.
    """

    def __init__(
        self,
        options: Options,
        catalogue: Catalogue,
        sink: Sink,
        environment: Environment | None = None,
        afterwards: Afterwards | None = None,
    ) -> None:
        self.options = options
        self.catalogue = catalogue
        self.scenarios: list[Scenario] = []
        self.deselected: list[Scenario] = []
        self._given_environment = environment
        self._afterwards = afterwards
        self._started = monotonic()
        self._results = Results(options, sink)
        self._timeouts = Timeouts(options.timeout_scale)
        self._are_deviations_reported = False
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Self":
        check_patterns(self.catalogue, (*self.options.select, *self.options.skip))
        self._environment = environment = self._given_environment or self._stack.enter_context(
            Environment(self.options)
        )
        try:
            self._stack.enter_context(environment.server)
            found = discover(self.options, environment, self.catalogue[SMOKE_TEST], self._timeouts)
            self._health, self._smoke_test = found.health, found.smoke_test
            self._executor = Executor(found.health, self._timeouts)
            self._deviations = KnownDeviations(found.health, found.smoke_test)
            self._start(found.basis)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    # --- Before the first scenario ---------------------------------------------------------------

    def _start(self, basis: str) -> None:
        options, facts = self.options, self._health.run_context
        applicable = [row for row in self.catalogue if row.applies_to(facts.dialect)]
        self.scenarios, self.deselected = select(applicable, options.select, options.skip, facts.dialect)
        depths = {row.id: self._depth(row) for row in self.scenarios}
        self.scenarios.sort(key=lambda row: depths[row.id])  # a stable sort: dependencies come first
        self._depths = depths
        seconds = options.max_seconds or run_seconds(len(self.scenarios), options.timeout_scale)
        self._health.begin_nothing_after(self._started + seconds)
        address = self._health.server.address
        self._results.begin(
            RunStart(
                suite=__version__,
                catalogue=self.catalogue.digest(),
                seed=options.seed,
                dialect=facts.dialect,
                target=str(address),
                selected=len(self.scenarios),
                deselected=[row.id for row in self.deselected],
                is_concurrent=facts.is_concurrent,
                round_trip_seconds=round(facts.round_trip_seconds, 6),
                patience_seconds=round(facts.timeout_seconds, 3),
                fixtures=facts.fixtures.kind,
                started=now(),
                command=options.run_command,
                fail_on=options.fail_on,
                dialect_basis=basis,
                deviations=[row.text for row in facts.deviations.rows],
                sandbox=str(self._environment.sandbox or ""),
                name=options.server_name,
            ),
            address,
        )

    def _depth(self, scenario: Scenario, level: int = 0) -> int:
        """Return the length of the longest chain of scenarios on which one depends; raise SelectionError."""
        if level > len(self.catalogue):
            message = Message("{id} depends on itself", id=scenario.id)
            raise SelectionError(message)
        known = [self.catalogue[name] for name in scenario.depends if name in self.catalogue]
        return 1 + max((self._depth(row, level + 1) for row in known), default=-1)

    # --- The run ---------------------------------------------------------------------------------

    def run(self) -> RunEnd:
        """Run all selected scenarios, and return the end event."""
        problems: list[str] = []
        try:
            if self._smoke_test.failure is not None and SMOKE_TEST not in {row.id for row in self.scenarios}:
                self.judge(self.catalogue[SMOKE_TEST])
            self._report_deviations()
            for batch in self._batches():
                self._run_batch(batch, may_wait=True)
                if self.options.stops_at_first_cause and self._results.is_explained():
                    break
        except KeyboardInterrupt:
            problems.append(Message("interrupted: the remaining scenarios did not run"))
        for outcome in self._executor.finish(is_interrupted=bool(problems)):
            self._conclude(outcome)
        left = sum(row.id not in self._results for row in self.scenarios)
        if left and self.options.stops_at_first_cause and not problems:
            problems.append(Message("stopped at the first cause (-x): {left} scenarios did not run", left=left))
        try:
            if not problems:
                self._look_for_more()
            would_fail = [] if problems else self._failing_in_newest()
        except KeyboardInterrupt:
            would_fail = []
        return self.end(problems, would_fail)

    def _look_for_more(self) -> None:
        """Report what else is wrong with a server that passes."""
        health, results = self._health, self._results
        is_over = monotonic() + self.options.deep > health.run_context.until
        is_unfit = bool(health.given_up or self._environment.findings.harm or results.requirements(Verdict.FAIL))
        if self._afterwards is None or is_over or is_unfit:
            return
        ends = health.ends
        for outcome in self._afterwards(health, self._timeouts, results.requirements(Verdict.WARN, Verdict.FLAKY)):
            results.begin_scenario(outcome.scenario)
            results.add(outcome)
        health.ends = ends  # what has ended it is reported

    def _failing_in_newest(self) -> list[str]:
        """Return the ids of scenarios that pass, and would fail in the newest dialect, if an older one was inferred."""
        options, dialect = self.options, self._health.run_context.dialect
        if options.dialect != "auto" or dialect == NEWEST:
            return []
        found = [row for row in stricter(self.catalogue, dialect) if not self._results.is_failure(row.id)]
        with contextlib.suppress(SelectionError):  # what was selected has no scenario in that dialect
            found, _ = select(found, options.select, options.skip, NEWEST)
            return failing(sorted(found, key=self._depth), self._health, self._obstacle, options.fail_on)
        return []

    def judge(self, scenario: Scenario) -> Result:
        """Run one scenario, emit its events, and return the result."""
        if scenario.id != SMOKE_TEST:
            self._report_deviations()
        if scenario.id not in self._results:
            self._run_batch([scenario])
        return self._results[scenario.id]

    def end(self, problems: Sequence[str] = (), would_fail: Sequence[str] = ()) -> RunEnd:
        """End the server, remove the files, and emit and return the end of the run, from the results so far.

        `would_fail` are the scenarios that would fail in the newest dialect.
        """
        output, findings = self._health.server.output(), self._environment.end()
        return self._results.end(
            problems,
            [*self._health.problems, *findings.all()],
            (row.id for row in self.deselected),
            output,
            fails=bool(findings.harm) or self._health.ends >= _ENDS,
            is_faulty=bool(findings.faults),
            would_fail={NEWEST: list(would_fail)} if would_fail else {},
        )

    def in_order(self) -> list[Scenario]:
        """Return the scenarios in the order of `run`, with the smoke test if it failed."""
        smoke_test = self.catalogue[SMOKE_TEST]
        is_missing = self._smoke_test.failure is not None and smoke_test not in self.scenarios
        return [smoke_test, *self._ordered()] if is_missing else self._ordered()

    def may_share(self, scenario: Scenario) -> bool:
        """Return whether a scenario may run while another process runs one on the same server."""
        return scenario.isolation == SHARED and self._health.run_context.is_concurrent

    def has_judged(self, identifier: str) -> bool:
        """Return whether a scenario has a result."""
        return identifier in self._results

    # --- Order -----------------------------------------------------------------------------------

    def _ordered(self) -> list[Scenario]:
        """Return the scenarios in order: shared ones by dependency depth, then exclusive, then destructive ones."""
        shared = [row for row in self.scenarios if row.isolation == SHARED]
        others = [row for row in self.scenarios if row.isolation != SHARED]
        return shared + sorted(others, key=lambda row: row.isolation == DESTRUCTIVE)

    def _batches(self) -> Iterator[list[Scenario]]:
        """Yield batches of the remaining scenarios; each has one isolation and one depth of dependencies."""
        left = [row for row in self._ordered() if row.id not in self._results]
        while left:
            size = self._executor.size_of_batch(left[0])
            kind, depth = left[0].isolation, self._depths[left[0].id]
            batch = [row for row in left[:size] if row.isolation == kind and self._depths[row.id] == depth]
            del left[: len(batch)]
            yield batch

    @property
    def _jobs(self) -> int:
        facts = self._health.run_context
        if not facts.is_concurrent or facts.capacity:
            return 1
        is_slow = facts.round_trip_seconds > _SLOW_SECONDS
        return self.options.jobs or ((SLOW_JOBS if is_slow else JOBS) if self.options.serve else 1)

    # --- Scenarios -------------------------------------------------------------------------------

    def _report_deviations(self) -> None:
        """Report the known deviations, before the first scenario that expects them."""
        if self._are_deviations_reported:
            return
        self._are_deviations_reported = True
        for outcome in self._deviations.reports(self._ordered(), self._can_run):
            self._results.begin_scenario(outcome.scenario)
            self._conclude(outcome)

    def _can_run(self, scenario: Scenario) -> bool:
        return scenario.id not in self._results and self._obstacle(scenario) is None

    def _run_batch(self, batch: Sequence[Scenario], *, may_wait: bool = False) -> None:
        runnable = []
        for row in batch:
            self._results.begin_scenario(row)
            if (outcome := self._obstacle(row)) is not None:
                self._conclude(outcome)
            else:
                runnable.append(row)
        if runnable:
            jobs = self._jobs if runnable[0].isolation == SHARED else 1
            for outcome in self._executor.run(runnable, jobs, may_wait=may_wait):
                self._conclude(outcome)

    def _obstacle(self, scenario: Scenario) -> Outcome | None:
        """Return the outcome of a scenario that cannot run, or has run as the smoke test and failed."""
        if scenario.id == SMOKE_TEST and self._smoke_test.failure is not None:
            return self._smoke_test
        if reason := next(iter(self._environment.findings.harm), self._health.given_up):
            return not_run(scenario, Verdict.BLOCKED, reason)
        for name in scenario.depends:
            if self._results.has_failed(name):
                return not_run(scenario, Verdict.BLOCKED, Message("{name} did not pass", name=name))
        return unplayable(scenario, self._health.run_context)

    def _conclude(self, outcome: Outcome) -> None:
        """Add a final outcome to the results."""
        self._results.add(self._deviations.judge(outcome) if outcome.tolerated else outcome)

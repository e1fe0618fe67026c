"""Runs scenarios against a server: from a catalogue and options to a stream of events."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from time import monotonic
from typing import TYPE_CHECKING, Final

from conformance import __version__
from conformance.acquaintance import acquainted
from conformance.door import Door
from conformance.events import Event, Result, RunEnd, RunStart, ScenarioStart, Sink
from conformance.failure import Incomplete, Kind
from conformance.judgement import gone, judged
from conformance.options import Options
from conformance.patience import OUT_OF_TIME, Patience
from conformance.place import Place
from conformance.playing import WIRE, Outcome, play, require
from conformance.record import Record
from conformance.reproduction import command_lines
from conformance.scenario import DESTRUCTIVE, SHARED, Catalogue, Scenario
from conformance.selection import Baseline, SelectionError, check_patterns, read_baseline, select
from conformance.verdict import Verdict, exit_status

if TYPE_CHECKING:
    from typing_extensions import Self

GATE: Final = "framing.one-command"
"""Is played before all others; a server that fails it is not asked anything else."""

_HASTE: Final = frozenset({Kind.TIMEOUT, Kind.REFUSED, Kind.OPEN})
"""Failures that may be haste."""
_FIT: Final = frozenset({Verdict.PASS, Verdict.INFO, Verdict.WARN, Verdict.FLAKY})


class Session:
    """A server, ready to be judged: started, filled with files, and asked what it speaks.

    A context manager. Raises on entering: SelectionError, TargetError, FixturesError, AddressError, each with one
    line for people. Events go to `sink`, one at a time. Whoever gives a `place` has entered it, and leaves it.
    """

    def __init__(self, options: Options, catalogue: Catalogue, sink: Sink, place: Place | None = None) -> None:
        self.options = options
        self.catalogue = catalogue
        self.scenarios: list[Scenario] = []
        self.deselected: list[Scenario] = []
        self._sink = sink
        self._given_place = place
        self._sink_lock = threading.Lock()
        self._door = Door()
        self._results: dict[str, Result] = {}
        self._baseline = read_baseline(options.baseline) if options.baseline else Baseline()
        self._patience = Patience(options.timeout_scale)
        self._started = monotonic()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Self":
        check_patterns(self.catalogue, (*self.options.select, *self.options.skip))
        self._place = self._given_place or self._stack.enter_context(Place(self.options))
        try:
            self._stack.enter_context(self._place.target)
            self._care, self._gate = acquainted(self.options, self._place, self.catalogue[GATE], self._patience)
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    # --- Before the first scenario ---------------------------------------------------------------

    def _start(self) -> None:
        options, facts = self.options, self._care.circumstances
        applicable = [row for row in self.catalogue if row.applies_to(facts.dialect)]
        self.scenarios, self.deselected = select(applicable, options.select, options.skip, facts.dialect)
        self.scenarios.sort(key=self._depth)  # stable: what others depend on comes first
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
                patience_seconds=round(facts.patience_seconds, 3),
                fixtures=facts.fixtures.kind,
                started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                command=options.command(*options.patterns),
                fail_on=options.fail_on,
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
        return self.options.jobs if self._care.circumstances.is_concurrent else 1

    def run(self) -> RunEnd:
        """Play all selected scenarios and return how it ended."""
        problems: list[str] = []
        if self._gate.failure is not None and GATE not in {row.id for row in self.scenarios}:
            self.judge(self.catalogue[GATE])
        try:
            for batch in self._batches():
                self._run_batch(batch, self._jobs if batch[0].isolation == SHARED else 1)
        except KeyboardInterrupt:
            problems.append("interrupted: what is missing was not played")
        return self.end(problems)

    def in_order(self) -> list[Scenario]:
        """Return the scenarios in the order in which `run` plays them; the gate is among them if it failed."""
        gate = self.catalogue[GATE]
        unselected = [gate] if self._gate.failure is not None and gate not in self.scenarios else []
        return unselected + [row for batch in self._batches() for row in batch]

    def may_share(self, scenario: Scenario) -> bool:
        """Tell whether a scenario may be played while somebody else has the server play another."""
        return scenario.isolation == SHARED and self._care.circumstances.is_concurrent

    def has_judged(self, identifier: str) -> bool:
        """Tell whether a scenario has a result already."""
        return identifier in self._results

    def end(self, problems: Sequence[str] = ()) -> RunEnd:
        """Emit and return the end of the run, from the results so far."""
        results = list(self._results.values())
        verdicts = [Verdict(result.verdict) for result in results if not result.known]
        counts = {verdict.value: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts}
        if known := sum(bool(result.known) for result in results):
            counts["known"] = known
            verdicts += [Verdict.PASS]  # something has run
        misfits = [] if problems else self._baseline.problems(row.id for row in self.deselected)
        status = exit_status(verdicts, fail_on=self.options.fail_on, has_problems=bool(misfits))
        if problems:
            status = max(status, exit_status([*verdicts, Verdict.INCOMPLETE], fail_on=self.options.fail_on))
        end = RunEnd(
            counts=counts,
            exit=int(status),
            seconds=round(monotonic() - self._started, 3),
            problems=[*problems, *misfits],
            output=self._place.target.output(),
        )
        self._emit(end)
        return end

    def _batches(self) -> Iterator[list[Scenario]]:
        """Yield scenarios that can be played beside each other: shared ones by depth, then the others, one by one."""
        shared = [row for row in self.scenarios if row.isolation == SHARED]
        for depth in sorted({self._depth(row) for row in shared}):
            yield [row for row in shared if self._depth(row) == depth]
        others = [row for row in self.scenarios if row.isolation != SHARED]
        yield from ([row] for row in sorted(others, key=lambda row: row.isolation == DESTRUCTIVE))

    def _run_batch(self, batch: Sequence[Scenario], jobs: int) -> None:
        if jobs == 1 or len(batch) == 1:
            for scenario in batch:
                self.judge(scenario)
            return
        with ThreadPoolExecutor(jobs, thread_name_prefix="scenario") as pool:
            try:
                # What may take longest comes first, so that at the end nobody waits for it.
                list(pool.map(self.judge, sorted(batch, key=lambda row: -row.patiences)))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    # --- One scenario ----------------------------------------------------------------------------

    def judge(self, scenario: Scenario) -> Result:
        """Play one scenario, say so in events, and return the result."""
        self._emit(ScenarioStart(scenario.id))
        attempts = 1
        if (outcome := self._obstacle(scenario)) is None:
            starts = self._care.starts
            with self._door.opened(alone=scenario.isolation != SHARED):
                outcome = self._play(scenario, is_alone=False)
                wants_again = self._wants_again(scenario, outcome)
                if not wants_again:
                    outcome = self._checked(scenario, outcome)
            if wants_again:
                attempts = 2
                with self._door.opened(alone=True):
                    outcome = self._play_again(scenario, outcome, starts)
            if outcome.is_hasty and outcome.is_in_vain:
                outcome = replace(outcome, failure=None, verdict=Verdict.BLOCKED, reason=OUT_OF_TIME)
        result = judged(
            scenario,
            outcome,
            dialect=self._care.circumstances.dialect,
            attempts=attempts,
            reproduce=command_lines(self.options, scenario.id, outcome.record, self._place.target.address),
        )
        result = replace(result, known=self._baseline.reason(result))
        self._results[scenario.id] = result
        self._emit(result)
        return result

    def _obstacle(self, scenario: Scenario) -> Outcome | None:
        """Return why a scenario cannot be played, if so."""
        record = Record()
        facts = self._care.circumstances
        if self._care.dead:
            if scenario.id == GATE and self._gate.failure is not None:
                return self._gate
            return Outcome(record, verdict=Verdict.BLOCKED, reason=self._care.dead)
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

    def _play(self, scenario: Scenario, *, is_alone: bool) -> Outcome:
        outcome = play(scenario, self._care.circumstances, self._patience.factor(is_alone=is_alone))
        if outcome.is_in_vain:
            self._patience.waste(outcome.seconds / (1 if is_alone else self._jobs))
        return outcome

    def _wants_again(self, scenario: Scenario, outcome: Outcome) -> bool:
        """Tell whether the outcome may be haste, or the doing of what was played beside it, and there is time."""
        has_company = self._jobs > 1 and scenario.isolation == SHARED
        if outcome.failure is None:
            return has_company and not self._care.is_running
        if outcome.is_in_vain and self._patience.is_at_its_end:
            return False
        return has_company or outcome.failure.kind in _HASTE

    def _play_again(self, scenario: Scenario, first: Outcome, starts: int) -> Outcome:
        """Play it alone, with more time, on a server that is well."""
        if self._care.has_given_up():  # since it was played, and by something that was played beside it
            return Outcome(first.record, verdict=Verdict.BLOCKED, reason=self._care.dead)
        was_gone = not self._care.heal()
        if self._care.has_given_up():
            return gone(first, "; this or one that was played beside it did it" if self._jobs > 1 else "")
        again = self._checked(scenario, self._play(scenario, is_alone=True))
        if again.failure is None:
            is_others_fault = was_gone or self._care.starts != starts
            if again.verdict is None and not is_others_fault and not first.is_hasty:
                return replace(again, verdict=Verdict.FLAKY, reason=f"first: {first.failure}")
        elif again.is_in_vain and not again.is_hasty:
            self._patience.confirm()
        return again

    def _checked(self, scenario: Scenario, outcome: Outcome) -> Outcome:
        """Look after the server's health where a scenario may have harmed it, and blame the scenario if it did."""
        is_suspect = scenario.isolation == DESTRUCTIVE or (outcome.failure is not None and outcome.failure.kind in WIRE)
        if not is_suspect and self._care.is_running:
            return outcome
        return outcome if self._care.heal() else gone(outcome)

    def _emit(self, event: Event) -> None:
        with self._sink_lock:
            self._sink(event)

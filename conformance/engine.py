"""Runs scenarios against a server: from a catalogue and options to a stream of events."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from time import monotonic
from typing import TYPE_CHECKING, Final

from conformance import __version__, enquiry
from conformance.door import Door
from conformance.events import Event, Result, RunEnd, RunStart, ScenarioStart, Sink
from conformance.failure import CAUSES, Failure, Incomplete, Kind, Unsupported
from conformance.fixtures import Fixtures, FoundFixtures, find
from conformance.options import Options
from conformance.place import Place
from conformance.record import Record
from conformance.reproduction import command_lines
from conformance.scenario import DESTRUCTIVE, NEEDS, SHARED, Catalogue, Scenario
from conformance.selection import Baseline, SelectionError, matches, read_baseline, select
from conformance.spec import DIALECTS
from conformance.stage import Circumstances, Stage
from conformance.target import TargetError
from conformance.verdict import MEANINGS, Verdict, exit_status, verdict_of_failure, verdict_of_success

if TYPE_CHECKING:
    from typing_extensions import Self

BASE_SECONDS: Final = 2.0
"""How long a wait may be for a server that is near; see `patience`."""
ROUND_TRIPS: Final = 20
GATE: Final = "framing.one-command"
"""Is played before all others; a server that fails it is not asked anything else."""
ALONE_FACTOR: Final = 2.0
"""A scenario that timed out is given so much more time when it is played again, alone."""
CONFIRMED_TIMEOUTS: Final = 3
"""After so many scenarios that timed out alone too, the others are not played twice, and with less patience."""
IMPATIENCE: Final = 0.4
WASTED_SECONDS: Final = 45.0
"""How long a run may wait in vain in all, times --timeout-scale; after that only the shortest waits are left."""
SHORTEST: Final = 0.1
RESTARTS: Final = 60

_WIRE: Final = frozenset({Kind.TIMEOUT, Kind.REFUSED, Kind.CLOSED, Kind.RESET, Kind.OPEN})
"""Failures after which the server may be dead."""
_FIT: Final = frozenset({Verdict.PASS, Verdict.INFO, Verdict.WARN, Verdict.FLAKY})


def patience(round_trip: float, scale: float) -> float:
    """Return how many seconds a single wait may take."""
    return (BASE_SECONDS + ROUND_TRIPS * round_trip) * scale


@dataclass(frozen=True)
class _Outcome:
    """How one playing ended; without a failure or a reason it ended well."""

    record: Record
    seconds: float = 0.0
    seen: tuple[str, ...] = ()
    failure: Failure | None = None
    verdict: Verdict | None = None
    """A verdict that does not depend on the level."""
    reason: str = ""


class Session:
    """A server, ready to be judged: started, filled with files, and asked what it speaks.

    A context manager. Raises on entering: SelectionError, TargetError, FixturesError, AddressError, each with one
    line for people. Events go to `sink`, one at a time.
    """

    def __init__(self, options: Options, catalogue: Catalogue, sink: Sink) -> None:
        self.options = options
        self.catalogue = catalogue
        self.scenarios: list[Scenario] = []
        self.deselected: list[Scenario] = []
        self._sink = sink
        self._sink_lock = threading.Lock()
        self._door = Door()
        self._results: dict[str, Result] = {}
        self._baseline = read_baseline(options.baseline) if options.baseline else Baseline()
        self._dead = ""  # why the server is not asked any more
        self._confirmed_timeouts = 0
        self._wasted_seconds = 0.0
        self._started = monotonic()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Self":
        self._check_patterns()
        self._place = self._stack.enter_context(Place(self.options))
        try:
            self._enquire()
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    # --- Before the first scenario ---------------------------------------------------------------

    def _check_patterns(self) -> None:
        """Refuse patterns that match nothing in any dialect before a server is started for them."""
        for pattern in (*self.options.select, *self.options.skip):
            if not any(matches(row, pattern, dialect) for row in self.catalogue for dialect in DIALECTS):
                message = f"{pattern!r} matches no scenario (conformance list shows them)"
                raise SelectionError(message)

    def _enquire(self) -> None:
        """Find out how far away the server is, what it speaks, what it holds and whether it serves two at once."""
        options = self.options
        scale = options.timeout_scale
        known = options.dialect if options.dialect != "auto" else DIALECTS[0]
        local = self._place.fixtures
        self._circumstances = Circumstances(
            dial=self._place.target.dial,
            fixtures=local or FoundFixtures({}, knows_all=False),
            dialect=known,
            patience_seconds=patience(0.0, scale),
            seed=options.seed,
            clients=options.clients,
        )
        self.round_trip_seconds = 0.0
        self._gate = self._play(self.catalogue[GATE])
        if self._gate.failure is not None:
            self._dead = f"the server does not answer: {self._gate.failure}"
            return
        with self._enquiring() as connect:
            try:
                self.round_trip_seconds = enquiry.round_trip_seconds(connect)
            except Failure as failure:
                self._dead = f"the server answers one command, and not the next: {failure}"
                return
        self._know(patience_seconds=patience(self.round_trip_seconds, scale))
        with self._enquiring() as connect:
            self._know(dialect=enquiry.dialect_of(connect) if options.dialect == "auto" else known)
        with self._enquiring() as connect:
            self._know(fixtures=local or find(connect, options.seed, options.large_bytes))
        with self._enquiring() as connect:
            self._know(is_concurrent=enquiry.is_concurrent(connect))
        self._heal()  # what a question did to the server is no scenario's fault; those that ask it will find out

    def _know(self, **facts: object) -> None:
        self._circumstances = replace(self._circumstances, **facts)  # type: ignore[arg-type]  # fields, by name

    @contextlib.contextmanager
    def _enquiring(self, factor: float = 1.0) -> Iterator[enquiry.Connect]:
        """Give a way to connect that belongs to no scenario."""
        stage = Stage(self._circumstances, is_crowded=True, duration_factor=factor)
        try:
            yield stage.connect
        finally:
            stage.close()

    def _start(self) -> None:
        options, facts = self.options, self._circumstances
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
                round_trip_seconds=round(self.round_trip_seconds, 6),
                patience_seconds=round(facts.patience_seconds, 3),
                fixtures=_kind_of(facts.fixtures),
                started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                command=options.command(*_patterns(options)),
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

    def run(self) -> RunEnd:
        """Play all selected scenarios and return how it ended."""
        problems: list[str] = []
        if self._gate.failure is not None and GATE not in {row.id for row in self.scenarios}:
            self.judge(self.catalogue[GATE])
        jobs = self.options.jobs if self._circumstances.is_concurrent else 1
        try:
            for batch in self._batches():
                self._run_batch(batch, jobs if batch[0].isolation == SHARED else 1)
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
        return scenario.isolation == SHARED and self._circumstances.is_concurrent

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
                list(pool.map(self.judge, batch))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    # --- One scenario ----------------------------------------------------------------------------

    def judge(self, scenario: Scenario) -> Result:
        """Play one scenario, say so in events, and return the result."""
        self._emit(ScenarioStart(scenario.id))
        attempts = 1
        if (outcome := self._obstacle(scenario)) is None:
            generation = self._place.target.starts
            with self._door.opened(alone=scenario.isolation != SHARED):
                outcome = self._play(scenario)
                if not self._wants_again(outcome):
                    outcome = self._checked(scenario, outcome)
            if self._wants_again(outcome):
                attempts = 2
                with self._door.opened(alone=True):
                    outcome = self._play_again(scenario, outcome, generation)
        result = self._result(scenario, outcome, attempts)
        self._results[scenario.id] = result
        self._emit(result)
        return result

    def _obstacle(self, scenario: Scenario) -> _Outcome | None:
        """Return why a scenario cannot be played, if so."""
        record = Record()
        if self._dead:
            if scenario.id == GATE and self._gate.failure is not None:
                return self._gate
            return _Outcome(record, verdict=Verdict.BLOCKED, reason=self._dead)
        for name in scenario.depends:
            if name in self._results and Verdict(self._results[name].verdict) not in _FIT:
                reason = f"{name} did not pass"
                return _Outcome(record, verdict=Verdict.BLOCKED, reason=reason)
        facts = self._circumstances
        if "concurrency" in scenario.all_needs and not facts.is_concurrent:
            reason = "the server serves one client at a time"
            return _Outcome(record, verdict=Verdict.UNSUPPORTED, reason=reason)
        try:
            _require(scenario, facts.fixtures)
        except Incomplete as why:
            return _Outcome(record, verdict=Verdict.INCOMPLETE, reason=str(why))
        return None

    def _play(self, scenario: Scenario, factor: float = 1.0) -> _Outcome:
        """Play it once."""
        if self._wasted_seconds >= WASTED_SECONDS * self.options.timeout_scale:
            factor *= SHORTEST
        elif self._confirmed_timeouts >= CONFIRMED_TIMEOUTS:
            factor *= IMPATIENCE
        stage = Stage(
            self._circumstances,
            is_crowded="concurrency" in scenario.all_needs,
            scenario_id=scenario.id,
            duration_factor=factor,
        )
        stage.allow(scenario.patiences)
        started = monotonic()
        failure, verdict, reason = None, None, ""
        try:
            scenario.play(stage)
        except Failure as why:
            failure = why
            self._wasted_seconds += monotonic() - started if why.kind in {Kind.TIMEOUT, Kind.OPEN} else 0.0
        except Incomplete as why:
            verdict, reason = Verdict.INCOMPLETE, str(why)
        except Unsupported as why:
            verdict, reason = Verdict.UNSUPPORTED, str(why)
        except Exception as error:  # noqa: BLE001  (a scenario's fault is a verdict, too)
            verdict, reason = Verdict.ERROR, _fault(error)
        finally:
            stage.close()
        return _Outcome(stage.record, monotonic() - started, tuple(stage.seen), failure, verdict, reason)

    def _wants_again(self, outcome: _Outcome) -> bool:
        """Tell whether a failure may be somebody else's, or haste."""
        if outcome.failure is None or self._confirmed_timeouts >= CONFIRMED_TIMEOUTS:
            return False
        kinds = _WIRE if self.options.jobs > 1 else {Kind.TIMEOUT, Kind.REFUSED, Kind.OPEN}
        return outcome.failure.kind in kinds

    def _play_again(self, scenario: Scenario, first: _Outcome, generation: int) -> _Outcome:
        """Play it alone, with more time, on a server that is well."""
        was_gone = not self._heal()
        if self._dead:
            return self._gone(first)
        again = self._checked(scenario, self._play(scenario, ALONE_FACTOR))
        if again.failure is None:
            is_others_fault = was_gone or self._place.target.starts != generation
            if again.verdict is None and not is_others_fault:
                reason = f"first: {first.failure}"
                return replace(again, verdict=Verdict.FLAKY, reason=reason)
        elif again.failure.kind in {Kind.TIMEOUT, Kind.OPEN}:
            self._confirmed_timeouts += 1
        return again

    def _checked(self, scenario: Scenario, outcome: _Outcome) -> _Outcome:
        """Look after the server's health where a scenario may have harmed it, and blame the scenario if it did."""
        is_suspect = scenario.isolation == DESTRUCTIVE or (
            outcome.failure is not None and outcome.failure.kind in _WIRE
        )
        if not is_suspect and self._place.target.is_running:
            return outcome
        return outcome if self._heal() else self._gone(outcome)

    def _gone(self, outcome: _Outcome) -> _Outcome:
        got = str(outcome.failure.got) if outcome.failure else "the right answer"
        expected = outcome.failure.expected if outcome.failure else "a server that serves other clients afterwards"
        failure = Failure(Kind.GONE, expected, f"{got}; and afterwards the server serves nobody")
        return replace(outcome, failure=failure, verdict=None)

    def _heal(self) -> bool:
        """Return whether the server is well; if not, start it again, or never ask it again."""
        if self._place.target.is_running:
            with self._enquiring(ALONE_FACTOR) as connect:
                if enquiry.is_healthy(connect):
                    return True
        if not self._place.target.can_restart or self._place.target.starts > RESTARTS:
            self._dead = "the server serves nobody any more"
            return False
        try:
            self._place.target.restart()
        except TargetError as error:
            self._dead = f"the server does not start again: {error}"
        return False

    def _result(self, scenario: Scenario, outcome: _Outcome, attempts: int) -> Result:
        level = scenario.level_for(self._circumstances.dialect)
        failure = outcome.failure
        verdict = outcome.verdict or (
            verdict_of_success(level) if failure is None else verdict_of_failure(level, failure.kind)
        )
        result = Result(
            scenario=scenario.id,
            requirement=scenario.requirement,
            level=level,
            verdict=verdict.value,
            title=scenario.title,
            chapter=scenario.chapter,
            text=scenario.row.text,
            kind=failure.kind.value if failure else "",
            expected=failure.expected if failure else "",
            got=failure.got if failure else outcome.reason or "; ".join(dict.fromkeys(outcome.seen)),
            sent=outcome.record.last_sent() if failure else "",
            cause=(failure.cause or scenario.causes.get(failure.kind) or CAUSES[failure.kind]) if failure else "",
            reproduce=command_lines(self.options, scenario.id, outcome.record, self._place.target.address)
            if MEANINGS[verdict].has_run
            else [],
            seconds=round(outcome.seconds, 4),
            attempts=attempts,
            transcript=outcome.record.describe(),
        )
        return replace(result, known=self._baseline.reason(result))

    def _emit(self, event: Event) -> None:
        with self._sink_lock:
            self._sink(event)


def _require(scenario: Scenario, fixtures: Fixtures) -> None:
    """Raise Incomplete unless there is everything that a scenario needs."""
    needs = scenario.all_needs
    if "local" in needs:
        _ = fixtures.directory
    if "own-files" in needs and not fixtures.knows_all:
        message = "needs a directory of which every file is known (--fixtures, or conformance fixtures write)"
        raise Incomplete(message)
    if "outside" in needs and fixtures.secret is None:
        message = "needs a file outside the served directory (--serve, or --fixtures DIR)"
        raise Incomplete(message)
    for key in sorted(needs - NEEDS):
        fixtures.get(key)


def _kind_of(fixtures: Fixtures) -> str:
    if fixtures.is_local:
        return "local"
    return "found" if fixtures.knows_all else "discovered"


def _patterns(options: Options) -> list[str]:
    words = [word for pattern in options.select for word in ("-t", pattern)]
    return words + [word for pattern in options.skip for word in ("--skip", pattern)]


def _fault(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}: {error}{where}"

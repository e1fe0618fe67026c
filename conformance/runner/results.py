"""The results of a run: outcomes are judged, checked against the baseline, emitted and counted, and then diagnosed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from time import monotonic
from typing import Final

import msgspec

from conformance import __version__
from conformance.client.address import Address
from conformance.config import Options
from conformance.diagnosis.diagnose import diagnose
from conformance.failures import CAUSES
from conformance.fixtures.local_fixtures import LocalFixtures
from conformance.language import Message
from conformance.model.events import Result, RunEnd, RunStart, ScenarioStart, Sink
from conformance.model.scenario import Scenario
from conformance.model.tracebacks import error_line, is_disconnect
from conformance.model.verdicts import MEANINGS, VERDICT_OF_SUCCESS, Exit, Verdict, exit_status, verdict_of_failure
from conformance.runner.outcome import Outcome
from conformance.runner.reproduce import Reproduction
from conformance.runner.selection import read_baseline

PROVOKED: Final = Message("the scenario provokes this error: its client leaves early, which a server has to survive")
SHARED_OUTPUT: Final = Message("printed while it ran, and others beside it")
_FIT: Final = frozenset({Verdict.PASS, Verdict.INFO, Verdict.WARN, Verdict.FLAKY})
"""Verdicts after which the scenarios that depend on one can run."""


class Results:
    """The results by scenario id; every event of the run goes from here to `sink`.

    `command` is as in `Reproduction`. Raises SelectionError for an invalid baseline.
    """

    def __init__(self, options: Options, sink: Sink, command: str = "") -> None:
        self._command = command
        self._options = options
        self._sink = sink
        self._rows: dict[str, Result] = {}
        self._baseline = read_baseline(options.baseline) if options.baseline else None
        self._started = monotonic()
        self._dialect = ""
        self._deviations: list[str] = []
        self._reproduction: Reproduction

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._rows

    def __getitem__(self, identifier: str) -> Result:
        """Return the result of a scenario; raise KeyError."""
        return self._rows[identifier]

    def has_failed(self, identifier: str) -> bool:
        """Return whether a scenario has a result that blocks those that depend on it."""
        return identifier in self._rows and self._rows[identifier].verdict not in _FIT

    def is_failure(self, identifier: str) -> bool:
        """Return whether a scenario has failed."""
        return identifier in self._rows and self._rows[identifier].verdict is Verdict.FAIL

    def requirements(self, *verdicts: Verdict) -> frozenset[str]:
        """Return the requirements of the scenarios with one of these verdicts."""
        return frozenset(result.requirement for result in self._rows.values() if result.verdict in verdicts)

    def is_explained(self) -> bool:
        """Return whether a cause is known of a MUST that failed."""
        failed = {result.scenario for result in self._rows.values() if result.verdict is Verdict.FAIL}
        causes = diagnose(self._rows.values(), self._deviations).causes if failed else []
        return any(failed.intersection(cause.scenarios) for cause in causes)

    def begin(self, start: RunStart, address: Address) -> None:
        """Emit the start of the run, against a server at an address."""
        self._dialect = start.dialect
        self._deviations = start.deviations
        self._reproduction = Reproduction(
            self._options, address, keeps_files=start.fixtures != LocalFixtures.kind, command=self._command
        )
        self._sink(start)

    def begin_scenario(self, scenario: Scenario) -> None:
        """Emit the start of a scenario."""
        self._sink(ScenarioStart(scenario.id))

    def add(self, outcome: Outcome) -> None:
        """Judge the final outcome of a scenario, and emit the result."""
        name = outcome.scenario.id
        is_odd = outcome.failure is not None or outcome.verdict is not None
        reproduce = self._reproduction.command_lines(outcome) if is_odd else []
        result = result_of(outcome, self._dialect, reproduce)
        if self._baseline is not None:
            result = msgspec.structs.replace(result, known=self._baseline.reason(result))
        self._rows[name] = result
        self._sink(result)

    def end(  # noqa: PLR0913  (one call, in Runner)
        self,
        problems: Sequence[str],
        server_problems: Sequence[str],
        deselected: Iterable[str],
        output: str,
        *,
        fails: bool,
        is_faulty: bool = False,
        would_fail: Mapping[str, list[str]] | None = None,
    ) -> RunEnd:
        """Emit the diagnosis and the end of the run, from the results so far, and return the end.

        `problems` are reasons why scenarios are missing, and `server_problems` what no single scenario causes; the
        run `fails` whatever the results are, or the suite `is_faulty`. `output` is the tail of the server's output, and
        `would_fail` what would fail in other dialects.
        """
        verdicts = [result.verdict for result in self._rows.values() if not result.known]
        counts = {verdict.value: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts}
        if known := len(self._rows) - len(verdicts):
            counts["known"] = known
            verdicts += [Verdict.PASS]  # so that the run does not count as empty
        misfits = [] if problems or self._baseline is None else self._baseline.problems(deselected)
        fail_on = self._options.fail_on
        verdicts += [Verdict.ERROR] if is_faulty else []
        verdicts += [Verdict.INCOMPLETE] if problems else []
        end = RunEnd(
            counts=counts,
            exit=exit_status(verdicts, fail_on=fail_on, has_problems=bool(misfits) or fails),
            seconds=round(monotonic() - self._started, 3),
            problems=[*problems, *misfits, *server_problems],
            output=output,
            would_fail=dict(would_fail or {}),
        )
        self._sink(diagnose(self._rows.values(), self._deviations))
        self._sink(end)
        return end


def result_of(outcome: Outcome, dialect: str, reproduce: Sequence[str] = ()) -> Result:
    """Return the result to report of an outcome; `reproduce` holds command lines that show a failure again."""
    scenario, failure = outcome.scenario, outcome.failure
    level = scenario.levels[dialect]
    verdict = outcome.verdict or (
        VERDICT_OF_SUCCESS[level] if failure is None else verdict_of_failure(level, failure.kind)
    )
    has_run = MEANINGS[verdict].has_run
    return Result(
        scenario=scenario.id,
        requirement=scenario.requirement,
        level=level,
        verdict=verdict,
        title=scenario.title,
        chapter=scenario.chapter,
        text=scenario.row.text,
        kind=failure.kind.value if failure else "",
        expected=failure.expected if failure else "",
        got=failure.got if failure else outcome.reason or "; ".join(dict.fromkeys(outcome.seen)),
        sent=(failure.asked or outcome.record.last_sent()) if failure else "",
        cause=(failure.cause or scenario.causes.get(failure.kind, "") or CAUSES[failure.kind]) if failure else "",
        reproduce=list(reproduce) if has_run else [],
        seconds=round(outcome.seconds, 4),
        attempts=outcome.attempts,
        transcript=outcome.record.describe(),
        output=outcome.output if has_run else "",
        output_note=_output_note(outcome) if has_run and outcome.output else "",
        is_explored=outcome.is_explored,
    )


def _output_note(outcome: Outcome) -> str:
    """Return whose doing it is what the server printed, if that is not the scenario's alone."""
    if outcome.leaves_early and is_disconnect(error_line(outcome.output)):
        return PROVOKED
    return "" if outcome.is_output_own else SHARED_OUTPUT


def unstarted(options: Options, reason: str, output: Sequence[str] = ()) -> tuple[RunStart, RunEnd]:
    """Return the events of a run whose server did not start, with the lines of its output that show why."""
    start = RunStart(
        suite=__version__,
        catalogue="",
        seed=options.seed,
        dialect=options.dialect,
        target=options.target,
        selected=0,
        started=now(),
        command=options.run_command,
        fail_on=options.fail_on,
        name=options.server_name,
    )
    return start, RunEnd({}, Exit.USAGE, problems=[reason], output="\n".join(output))


def now() -> str:
    """Return date and time as in RunStart."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")

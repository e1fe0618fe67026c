"""Run an exploration as `conformance explore` does: events, results, and a file of scenarios."""

from pathlib import Path
from typing import Final

from conformance import __version__
from conformance.client.recording import Recording
from conformance.config import Options
from conformance.explorer.database import Database
from conformance.explorer.exploration import Exploration, Finding
from conformance.explorer.resource_checks import Excess, can_measure, excesses
from conformance.explorer.saving import save
from conformance.language import Message, joined
from conformance.model.events import RunEnd, RunStart, Sink
from conformance.model.scenario import Catalogue, Scenario
from conformance.runner.discovery import Discovery, discover
from conformance.runner.outcome import Outcome
from conformance.runner.reproduce import ID
from conformance.runner.results import Results, now
from conformance.runner.runner import SMOKE_TEST
from conformance.runner.timeouts import Timeouts
from conformance.target.environment import Environment
from conformance.target.health import HealthMonitor

SUMMARY: Final = "explored.conversations"
_MEASURED_SECONDS: Final = 30.0
"""An exploration of so many seconds measures what the server uses, too."""
_MEASURING: Final = 0.3
"""The part of the time for that."""


class Explore:
    """One exploration, from the start of the server to the end of the reports."""

    def __init__(  # noqa: PLR0913  (one call, in the command)
        self,
        options: Options,
        catalogue: Catalogue,
        sink: Sink,
        seconds: float,
        *,
        file: str = "",
        database: Database | None = None,
    ) -> None:
        self._options = options
        self._catalogue = catalogue
        self._seconds = seconds
        self._file = file
        self._database = database
        more = ["--scenarios", file] if file else []
        command = options.command("try", ID, *more) if file else self._command()
        self._results = Results(options, sink, command)
        self._found: list[Finding | Excess] = []
        self.account = ""
        """What was explored, in a line, once it is over."""

    def _command(self) -> str:
        return self._options.command("explore", "--seconds", f"{self._seconds:g}")

    def run(self, environment: Environment) -> RunEnd:
        """Explore the server of an environment that has been entered; return the end of the run."""
        timeouts = Timeouts(self._options.timeout_scale)
        problems: list[str] = []
        with environment.server:
            found = discover(self._options, environment, self._catalogue[SMOKE_TEST], timeouts)
            self._begin(found, environment)
            health = found.health
            if health.has_given_up():
                self._add(found.smoke_test)
            measuring = self._seconds >= _MEASURED_SECONDS and can_measure(health)
            seconds = (1.0 - _MEASURING) * self._seconds if measuring else self._seconds
            exploration = Exploration(self._options, health, timeouts, seconds)
            try:
                self._explore(exploration)
                if measuring and exploration.fault is None:
                    self._measure(health, _MEASURING * self._seconds)
            except KeyboardInterrupt:
                problems.append(Message("interrupted: the exploration is not complete"))
            if exploration.fault is not None:
                self._add(exploration.fault)
            elif not health.has_given_up():
                self._add(self._summary(exploration))
            output, findings = health.server.output(), environment.end()
        if self._file and self._found:
            save(Path(self._file), self._found, health.run_context.dialect)
        return self._results.end(
            problems,
            [*health.problems, *findings.all()],
            (),
            output,
            fails=bool(findings.harm),
            is_faulty=bool(findings.faults),
        )

    def _explore(self, exploration: Exploration) -> None:
        """Report and keep what is found, beginning with what earlier explorations have found."""
        for finding in exploration.findings(self._database.conversations() if self._database is not None else ()):
            self._found.append(finding)
            self._add(finding.outcome)
            if self._database is not None:
                self._database.keep(finding.conversation)

    def _measure(self, health: HealthMonitor, seconds: float) -> None:
        """Report what the server leaves behind."""
        for excess in excesses(health, seconds):
            self._found.append(excess)
            self._add(excess.outcome)

    def _begin(self, found: Discovery, environment: Environment) -> None:
        facts, address = found.health.run_context, found.health.server.address
        start = RunStart(
            suite=__version__,
            catalogue=self._catalogue.digest(),
            seed=self._options.seed,
            dialect=facts.dialect,
            target=str(address),
            selected=1,
            is_concurrent=facts.is_concurrent,
            round_trip_seconds=round(facts.round_trip_seconds, 6),
            patience_seconds=round(facts.timeout_seconds, 3),
            fixtures=facts.fixtures.kind,
            started=now(),
            command=self._command(),
            fail_on=self._options.fail_on,
            dialect_basis=found.basis,
            sandbox=str(environment.sandbox or ""),
            name=self._options.server_name,
        )
        self._results.begin(start, address)

    def _add(self, outcome: Outcome) -> None:
        self._results.begin_scenario(outcome.scenario)
        self._results.add(outcome)

    def _summary(self, exploration: Exploration) -> Outcome:
        """Return what was explored, as an observation."""
        self.account = account_of(exploration)
        title = Message("Conversations that were made up get replies that the model allows")
        scenario = Scenario(SUMMARY, "HFTP-1.6", lambda _context: None, title, level="MAY")
        return Outcome(scenario, Recording(), self._seconds, tuple(_seen(exploration)))


def account_of(exploration: Exploration) -> Message:
    """Return what was explored, in a line."""
    return Message("explored: {seen}", seen=joined("; ", _seen(exploration)))


def _seen(exploration: Exploration) -> list[Message]:
    seen = [Message("{count} conversations", count=exploration.conversations)]
    if exploration.unconfirmed:
        seen.append(
            Message("{count} failures that did not show again on a fresh server", count=exploration.unconfirmed)
        )
    for point, codes in exploration.choices.others.items():
        both = " / ".join(str(code) for code in (exploration.choices.first[point], *sorted(codes)))
        seen.append(Message("not always the same choice: {point}: {codes}", point=point, codes=both))
    return seen

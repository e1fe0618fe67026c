"""Play one scenario slowly, show what happens and the verdict, and leave the server running until Ctrl-C."""

import contextlib
from dataclasses import replace
from time import sleep
from typing import Final

from conformance.client.address import Address
from conformance.client.deviations import Deviations
from conformance.config import Options
from conformance.language import Message, gettext, translated
from conformance.model.scenario import Catalogue, Scenario
from conformance.model.verdicts import MEANINGS, Exit, Verdict, exit_status
from conformance.reports.in_language import in_language, verdict_name
from conformance.reports.text import explanation, printed_error, traffic
from conformance.runner.discovery import discover
from conformance.runner.outcome import Outcome
from conformance.runner.play import play, unplayable
from conformance.runner.reproduce import Reproduction
from conformance.runner.results import result_of
from conformance.runner.selection import SelectionError, like
from conformance.runner.timeouts import Timeouts
from conformance.spec.reader import specification
from conformance.target.environment import Environment
from conformance.target.health import PAUSE_SECONDS, HealthMonitor, State
from conformance.tools.live_view import LEGEND, LiveView

_POLL_SECONDS: Final = 0.2


def find_scenario(scenarios: Catalogue, identifier: str) -> Scenario:
    """Return a scenario by id; raise SelectionError with similar ids, or those of a requirement."""
    if identifier in scenarios:
        return scenarios[identifier]
    with contextlib.suppress(KeyError):
        row = specification()[identifier]
        ids = ", ".join(scenario.id for scenario in scenarios if scenario.requirement == row.id)
        message = Message("{identifier} is a requirement; its scenarios are {ids}", identifier=identifier, ids=ids)
        raise SelectionError(message)
    near = like(identifier, [scenario.id for scenario in scenarios])
    message = Message(
        "there is no scenario {identifier}{near} (conformance list)", identifier=repr(identifier), near=near
    )
    raise SelectionError(message)


def try_scenario(
    options: Options,
    environment: Environment,
    scenario: Scenario,
    smoke_test: Scenario,
    view: LiveView,
) -> Exit:
    """Play a scenario and show it, line by line; return the exit status that a run of this scenario would have."""
    with environment:
        with environment.server:
            if environment.sandbox is not None:
                view.tell(f"sandbox: {environment.sandbox}")
            found = discover(options, environment, smoke_test, Timeouts(options.timeout_scale))
            attempt = _Attempt(options, environment, found.health, view)
            verdict = attempt.show(scenario, smoke_test)
            attempt.leave_running()
        findings = environment.end()
    for finding in findings.all():
        view.tell(finding)
    if findings.faults:
        return Exit.SUITE_FAULT
    return exit_status([verdict], has_problems=bool(findings.harm))


class _Attempt:
    """One scenario on a server of which the facts are known."""

    def __init__(
        self,
        options: Options,
        environment: Environment,
        health: HealthMonitor,
        view: LiveView,
    ) -> None:
        self._options = options
        self._environment = environment
        self._health = health
        self._view = view
        self._tell = view.tell
        self._nc_line = ""

    def show(self, scenario: Scenario, smoke_test: Scenario) -> Verdict:
        """Play a scenario, or the smoke test if the server fails that, and tell what happens and the verdict."""
        health, server, facts = self._health, self._health.server, self._health.run_context
        if health.given_up and scenario is not smoke_test:
            self._tell(
                Message(
                    "The server fails {scenario}, which all other scenarios need, so this shows that one.",
                    scenario=smoke_test.id,
                )
            )
            scenario = smoke_test
        if not server.is_listening:
            health.recover()
        if not scenario.applies_to(facts.dialect):
            message = Message(
                "{id} is not a scenario of dialect {dialect} (choose another one with --dialect)",
                id=scenario.id,
                dialect=facts.dialect,
            )
            raise SelectionError(message)
        level = scenario.levels[facts.dialect]
        self._tell(f"{scenario.id}: {gettext(scenario.title)}")
        self._tell(f"{scenario.requirement} {level}: {gettext(scenario.row.text)}")
        outcome = unplayable(scenario, facts)
        if outcome is None:
            self._tell("")
            self._tell(LEGEND)
            server.tell_output(self._view.show_printed)
            outcome = self._played(scenario)
            self._tell("")
        self._tell_verdict(outcome)
        return result_of(outcome, facts.dialect).verdict

    def _played(self, scenario: Scenario) -> Outcome:
        """Return the outcome of a scenario, and of the server's state after it."""
        outcome = self._play(scenario)
        if outcome.has_passed and outcome.tolerated:
            outcome = self._without_deviation(scenario, outcome)
        elif outcome.has_passed:
            outcome = self._at_full_speed(outcome)
        state = self._health.check(PAUSE_SECONDS)
        is_lost = state is State.ENDED or (
            state is State.WEDGED and outcome.may_wedge(self._health.run_context.capacity)
        )
        return outcome.gone() if is_lost else outcome

    def _play(self, scenario: Scenario, deviations: Deviations | None = None) -> Outcome:
        self._view.begin()
        shown = replace(self._health.run_context, new_recording=self._view.recording)
        outcome = play(scenario, shown, deviations=deviations, is_alone=True)
        self._view.end()
        return outcome

    def _without_deviation(self, scenario: Scenario, outcome: Outcome) -> Outcome:
        """Play a scenario that passed again, without expecting one of the constant deviations that it met."""
        known = self._health.run_context.deviations
        deviation = next(row for row in known.rows if row in outcome.tolerated)
        self._tell(
            Message(
                "That passes if one overlooks what this server always does: {deviation}. Once more, strictly:",
                deviation=deviation.text,
            )
        )
        strict = self._play(scenario, known.without(deviation))
        if strict.failure is None:
            return outcome
        strict.failure.cause = deviation.text
        return strict

    def _at_full_speed(self, outcome: Outcome) -> Outcome:
        """Play a scenario that passed slowly again at full speed, and show that only if it fails."""
        again = play(outcome.scenario, self._health.run_context, is_alone=True)
        if again.failure is None:
            return outcome
        self._tell(Message("That was played slowly, and passes. At full speed it fails:"))
        for entry in again.record.describe():
            for mark, text in traffic([entry]):
                self._tell(f"{entry.at:7.3f} {mark} {text}")
        return again

    def _tell_verdict(self, outcome: Outcome) -> None:
        server = self._health.server
        exited = not server.is_running
        keeps_server = self._restarted()
        reproduction = Reproduction(
            self._options,
            server.address,
            keeps_files=True,
            keeps_server=bool(self._options.serve),
            entering=server.entering,
        )
        self._nc_line = reproduction.nc_line(outcome) if keeps_server else ""
        result = in_language(result_of(outcome, self._health.run_context.dialect))
        sentence = translated(MEANINGS[result.verdict].sentence)
        self._tell(f"{verdict_name(result.verdict.value).upper()}: {sentence}")
        rows = [*explanation(result)][1:]  # the requirement is told before
        for name, text in [*rows, ("printed", printed_error(result))]:
            if text:
                self._tell(f"  {gettext(name):<9} {text}")
        if exited and self._options.serve:
            again = Message("The server has exited. It was started again.")
            self._tell(again if keeps_server else Message("The server has exited."))

    def _restarted(self) -> bool:
        """Return whether a server is there that is well, or could be started again."""
        if not self._health.given_up and self._health.check() is State.WELL:
            return True
        return self._health.server.is_listening or self._health.recover()

    def leave_running(self) -> None:
        """Tell where the server is, and wait until it exits or Ctrl-C; return at once if nothing would end with us."""
        server, fixtures = self._health.server, self._environment.fixtures
        if not server.is_running or (fixtures is None and not self._options.serve):
            return
        with contextlib.suppress(KeyboardInterrupt):
            self._tell_where(server.address)
            self._await_exit()
            self._tell(Message("The server has exited."))

    def _tell_where(self, address: Address) -> None:
        fixtures = self._environment.fixtures
        self._tell("")
        talk = f"{self._health.server.entering} nc -C {address.nc_words}".strip()
        rows = [(gettext("address"), str(address))]
        rows += [(gettext("directory"), str(fixtures.directory))] if fixtures is not None else []
        rows += [(gettext("again"), self._nc_line) if self._nc_line else (gettext("talk"), talk)]
        for name, text in rows:
            self._tell(f"{name:<10} {text}")
        ends = Message("Ctrl-C ends the server, and removes the files.")
        self._tell(ends if self._options.serve else Message("Ctrl-C removes the files."))
        self._view.begin()

    def _await_exit(self) -> None:
        while self._health.server.is_running:
            sleep(_POLL_SECONDS)

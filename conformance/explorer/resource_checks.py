"""Whether a server leaves something behind: scenarios of hundreds of rounds, and of lines of several lengths."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from types import MappingProxyType
from typing import Final

from conformance.explorer.conversation import Conversation, Leave, Send
from conformance.explorer.line_work import measure_lines
from conformance.explorer.resource_series import Series
from conformance.failures import Kind
from conformance.language import Message
from conformance.model.context import Play, ScenarioContext
from conformance.model.scenario import DESTRUCTIVE, Scenario
from conformance.model.verdicts import Verdict
from conformance.runner.outcome import Outcome
from conformance.runner.play import play
from conformance.target.health import HealthMonitor

MOST_SECONDS: Final = 60.0
"""How long a check may take, by the clock that stands still while the machine is busy."""
_BUSY: Final = 4.0
"""How many times as long the checks may take while the machine is busy."""
_TIMES: Final = 20
_LINES: Final = "long-lines"
_ASKED: Final = (
    "get_metadata {text}",
    "get_slice {text} 0 5",
    "get_slice {text} 0 999999999",
    "get_metadata {missing}",
    "get_slice {missing} 0 1",
    "get_metadata",
    "get_slice {text} 0 -1",
    "x",
)
_ROUNDS: Final = MappingProxyType(
    {
        "clients": Conversation((Send(("get_metadata {text}",)),)),
        "aborted-clients": Conversation(
            (
                Send(("get_slice {large} 0 200000", "get_slice {large} 0 200000"), waits=False),
                Leave("reset"),
                Send(("get_metadata {text}", "get_slice {te"), ending="", waits=False),
                Leave("close"),
                Leave("reset"),
            )
        ),
        "commands": Conversation(
            (
                Send(
                    (*_ASKED, "get_file_listing"),
                ),
                Send(_ASKED, times=_TIMES),
            )
        ),
    }
)
_TITLES: Final = MappingProxyType(
    {
        "clients": Message("Hundreds of clients, one after another, leave nothing behind"),
        "aborted-clients": Message("Hundreds of clients that reset or close in the middle leave nothing behind"),
        "commands": Message("Tens of thousands of commands leave nothing behind"),
        _LINES: Message("The work for a line grows in proportion to its length"),
    }
)
CHECKS: Final = tuple(_TITLES)


@dataclass(frozen=True)
class Excess:
    """A check that a server failed twice, each time on a fresh process."""

    outcome: Outcome
    name: str

    @property
    def source(self) -> str:
        """The play of its scenario, as `--save` writes it."""
        return f"measured({self.name!r})"


def measured(name: str, seconds: float = MOST_SECONDS) -> Play:
    """Return the play of a check."""

    def play_check(context: ScenarioContext) -> None:
        context.allow(seconds / context.run_context.timeout_seconds)
        until = context.clock() + seconds
        if name == _LINES:
            measure_lines(context, until)
        else:
            Series(context, _ROUNDS[name], until).run()

    return play_check


def check_scenario(name: str, seconds: float = MOST_SECONDS) -> Scenario:
    """Return a check as a scenario."""
    return Scenario(
        f"resources.{name}",
        "HFTP-9.7" if name == _LINES else "HFTP-10.7",
        measured(name, seconds),
        _TITLES[name],
        needs=frozenset({"text", "large"}),
        isolation=DESTRUCTIVE,
    )


def can_measure(health: HealthMonitor) -> bool:
    """Return whether what the server uses can be seen, and be seen again on a fresh process."""
    facts = health.run_context
    return health.server.can_restart and facts.resources() is not None and facts.fixtures.has("large")


def excesses(health: HealthMonitor, seconds: float) -> Iterator[Excess]:
    """Yield the checks that the server fails twice, each on a fresh process; stop when the time is over."""
    has_leaked = False
    clock = health.run_context.clock
    until, end = clock() + seconds, monotonic() + _BUSY * seconds
    for name in CHECKS:
        if health.has_given_up() or clock() >= until or monotonic() >= end:
            return
        if has_leaked and name != _LINES:
            continue  # what each client leaves behind would hide what other rounds do
        scenario = check_scenario(name, until - clock())
        outcome = _fresh(health, scenario)
        if _has_failed(outcome):
            outcome = _fresh(health, check_scenario(name))
        if outcome.verdict is Verdict.ERROR or _has_failed(outcome):
            has_leaked = name == CHECKS[0]
            yield Excess(outcome, name)


def _fresh(health: HealthMonitor, scenario: Scenario) -> Outcome:
    health.recover()
    return play(scenario, health.run_context)


def _has_failed(outcome: Outcome) -> bool:
    """Return whether something grows; that a reply is wrong is for the model to judge, in conversations."""
    return outcome.failure is not None and outcome.failure.kind is Kind.GROWTH

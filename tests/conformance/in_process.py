"""Run the suite in this process, against forked broken servers, with a few scenarios and small files."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from conformance.config import Options
from conformance.model.events import Event, Result, RunEnd, RunStart, Sink
from conformance.model.scenario import Catalogue
from conformance.runner.runner import Runner
from conformance.scenarios import catalogue
from conformance.target import managed_server
from conformance.target.environment import Environment
from conformance.target.managed_server import Launch
from tests.broken_servers import forking
from tests.broken_servers.starting import PYTHON

ROOT = Path(__file__).parents[2]
LARGE_BYTES = 1 << 16
CLIENTS = 12
TIMEOUT_SCALE = 0.5


@dataclass(frozen=True)
class Run:
    """The events of one run."""

    events: list[Event]

    @property
    def start(self) -> RunStart:
        """The first event."""
        assert isinstance(self.events[0], RunStart)
        return self.events[0]

    @property
    def end(self) -> RunEnd:
        """The last event."""
        assert isinstance(self.events[-1], RunEnd)
        return self.events[-1]

    @property
    def results(self) -> dict[str, Result]:
        """The results by scenario."""
        return {event.scenario: event for event in self.events if isinstance(event, Result)}

    def with_verdict(self, *verdicts: str) -> list[str]:
        """Return the scenarios with one of these verdicts."""
        return [result.scenario for result in self.results.values() if result.verdict in verdicts]

    def verdicts(self) -> dict[str, tuple[str, str]]:
        """Return verdict and kind of failure by scenario."""
        return {name: (result.verdict.value, result.kind) for name, result in self.results.items()}

    def assert_complete(self) -> None:
        """Assert that each scenario has one result, and that the counts of the last event add up."""
        assert len(self.results) == sum(isinstance(event, Result) for event in self.events)
        assert sum(self.end.counts.values()) == len(self.results) >= self.start.selected


def make_options(name: str, *select: str, **overrides: object) -> Options:
    """Return the options for a forked server; `overrides` replace the defaults."""
    defaults: dict[str, object] = {
        "serve": shlex.join([*name.split(), "-p", "{port}", "-d", "{dir}"]),
        "select": select,
        "large_bytes": LARGE_BYTES,
        "clients": CLIENTS,
        "timeout_scale": TIMEOUT_SCALE,
    }
    merged = defaults | overrides
    return Options(**merged)  # type: ignore[arg-type]


def make_runner(options: Options, environment: Environment, sink: Sink, scenarios: Catalogue | None = None) -> Runner:
    """Return a runner in an environment that has been entered."""
    return Runner(options, scenarios or catalogue(), sink, environment)


def run(options: Options, scenarios: Catalogue | None = None, launch: Launch = forking.launch) -> Run:
    """Run the suite, and return all events."""
    events: list[Event] = []
    with (
        Environment(options, launch) as environment,
        make_runner(options, environment, events.append, scenarios) as runner,
    ):
        runner.run()
    return Run(events)


def judge(name: str, *select: str, **overrides: object) -> Run:
    """Run scenarios against a broken server, or an odd one."""
    return run(make_options(name, *select, **overrides))


def discover(name: str, **overrides: object) -> RunStart:
    """Return the first event of a run: what discovery has found out about a forked server."""
    options = make_options(name, "framing.one-command", **overrides)
    events: list[Event] = []
    with Environment(options, forking.launch) as environment, make_runner(options, environment, events.append):
        pass
    return Run(events).start


def judge_command(module: str, *select: str, scenarios: Catalogue | None = None, **overrides: object) -> Run:
    """Run scenarios against a module started with `python -m`; `module` may include arguments."""
    command = shlex.join([*PYTHON, "-m", *module.split(), "-p", "{port}", "-d", "{dir}"])
    return run(
        make_options("", *select, **({"serve": command, "cwd": str(ROOT)} | overrides)),
        scenarios,
        managed_server.launch,
    )

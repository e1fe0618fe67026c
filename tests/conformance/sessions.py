"""Run the suite in this process against forked broken servers, on a few scenarios and small files."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from conformance.config import Options
from conformance.model.events import Event, Result, RunEnd, RunStart, Sink
from conformance.model.scenario import Catalogue
from conformance.runner.runner import Runner
from conformance.scenarios import catalogue
from conformance.target.environment import Environment
from conformance.target.managed_server import Launch, launch
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
        """Return the scenarios that have one of some verdicts."""
        return [result.scenario for result in self.results.values() if result.verdict in verdicts]

    def verdicts(self) -> dict[str, tuple[str, str]]:
        """Return verdict and kind of failure by scenario."""
        return {name: (result.verdict.value, result.kind) for name, result in self.results.items()}

    def check_whole(self) -> None:
        """Assert that each scenario has one result, and that the end counts them all."""
        assert len(self.results) == sum(isinstance(event, Result) for event in self.events)
        assert sum(self.end.counts.values()) == len(self.results) >= self.start.selected


def options(name: str, *select: str, **more: object) -> Options:
    """Return the options for a forked server; `more` replaces the usual ones."""
    usual: dict[str, object] = {
        "serve": shlex.join([*name.split(), "-p", "{port}", "-d", "{dir}"]),
        "select": select,
        "large_bytes": LARGE_BYTES,
        "clients": CLIENTS,
        "timeout_scale": TIMEOUT_SCALE,
    }
    known = usual | more
    return Options(**known)  # type: ignore[arg-type]


def runner(asked: Options, environment: Environment, sink: Sink, scenarios: Catalogue | None = None) -> Runner:
    """Return a runner in an environment that has been entered."""
    return Runner(asked, scenarios or catalogue(), sink, environment)


def run(asked: Options, scenarios: Catalogue | None = None, start: Launch = forking.launch) -> Run:
    """Return a run from its first event to its last."""
    events: list[Event] = []
    with Environment(asked, start) as environment, runner(asked, environment, events.append, scenarios) as running:
        running.run()
    return Run(events)


def judge(name: str, *select: str, **more: object) -> Run:
    """Judge a broken server, or one that is odd but correct, by some scenarios."""
    return run(options(name, *select, **more))


def discover(name: str, **more: object) -> RunStart:
    """Return what is found out of a forked server before anything is judged."""
    asked = options(name, "framing.one-command", **more)
    events: list[Event] = []
    with Environment(asked, forking.launch) as environment, runner(asked, environment, events.append):
        pass
    return Run(events).start


def judge_command(module: str, *select: str, scenarios: Catalogue | None = None, **more: object) -> Run:
    """Judge the server that a module is when it is run; `module` may have a name behind it."""
    words = shlex.join([*PYTHON, "-m", *module.split(), "-p", "{port}", "-d", "{dir}"])
    return run(options("", *select, **({"serve": words, "cwd": str(ROOT)} | more)), scenarios, launch)

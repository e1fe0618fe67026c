"""An outcome keeps no reference to its scenario or run."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from conformance.failures import Failure, Kind
from conformance.model.context import RunContext, ScenarioContext
from conformance.model.events import Event
from conformance.model.scenario import Catalogue, Scenario
from conformance.runner.play import play
from conformance.runner.runner import Runner
from conformance.scenarios import catalogue
from conformance.target.environment import Environment
from conformance.target.remote_fixtures import RemoteFixtures
from tests.broken_servers import forking
from tests.conformance.in_process import make_options


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Free objects only by their reference counts."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def raise_failure(what: str) -> None:
    """Raise a failure that has a context, as clients do."""
    try:
        int(what)
    except ValueError:
        raise Failure(Kind.TIMEOUT, "a reply", what) from None


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("is_alone", [False, True])
def test_failure_holds_no_reference_to_its_scenario(is_alone: bool) -> None:
    contexts: list[weakref.ref[ScenarioContext]] = []

    def failing(context: ScenarioContext) -> None:
        contexts.append(weakref.ref(context))
        raise_failure("nothing")

    known = RunContext(lambda *_: pytest.fail("no connection"), RemoteFixtures({}, knows_all=False), "2026", 1.0)
    outcome = play(Scenario("mine.failing", "HFTP-3.6", failing, "Fails"), known, is_alone=is_alone)
    assert outcome.is_timeout
    assert contexts[0]() is None


class Events(list[Event]):
    """A list that can be weakly referenced."""


@pytest.mark.once
@pytest.mark.usefixtures("no_collection")
def test_run_holds_no_events_of_failed_scenarios() -> None:
    def failing(context: ScenarioContext) -> None:
        context.probe()
        raise_failure("nothing")

    options = make_options("correct-threads", "mine")
    known = Catalogue([catalogue()["framing.one-command"], Scenario("mine.failing", "HFTP-3.6", failing, "Fails")])
    events = Events()
    with (
        Environment(options, forking.launch) as environment,
        Runner(options, known, events.append, environment) as runner,
    ):
        assert runner.run().exit == 1
    assert len(events) == 5
    kept = weakref.ref(events)
    del events, runner, environment
    assert kept() is None

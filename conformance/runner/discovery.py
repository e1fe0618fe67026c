"""Discover the facts of a run: whether the server replies, its dialect, files, limits and constant deviations.

No Failure leaves this module: an unknown fact keeps its default, and the scenarios judge the server. Each connection
ends with quit, because a server that serves one client at a time and does not notice EOF would block after it.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from conformance.client.client import Client
from conformance.client.deviations import Deviations
from conformance.client.recording import escape
from conformance.config import Options
from conformance.failures import Failure, Incomplete, Kind
from conformance.fixtures.base import SERVABLE, Fixture
from conformance.language import Message
from conformance.model.context import RunContext
from conformance.model.scenario import Scenario
from conformance.runner.dialect_detection import detect, knows_help
from conformance.runner.outcome import WIRE_FAILURES, Outcome
from conformance.runner.play import play
from conformance.runner.round_trip import measure
from conformance.runner.timeouts import Timeouts, timeout_seconds
from conformance.spec.dialects import DIALECTS
from conformance.target.environment import Environment
from conformance.target.health import PAUSE_SECONDS, HealthMonitor
from conformance.target.learning import DeviationLearner
from conformance.target.managed_server import ServerStartError
from conformance.target.probe import Probe, samples
from conformance.target.remote_fixtures import RemoteFixtures, find

_AT_ONCE: Final = 12
"""How many simultaneous clients are tried; only the crowd scenarios need more."""
_BLOCKED_SECONDS: Final = 1.0
"""How long the second client waits before it counts as not served while the first one is connected."""
_ROUND_TRIPS: Final = 12
"""How many round trips it waits in addition."""
_ALONE: Final = 2.0
"""Factor of the timeout for the first commands of a run."""


@dataclass(frozen=True)
class Discovery:
    """The facts of a run."""

    health: HealthMonitor
    smoke_test: Outcome
    """The outcome of the smoke test."""
    basis: str
    """What the dialect was inferred from."""


def discover(options: Options, environment: Environment, smoke_test: Scenario, timeouts: Timeouts) -> Discovery:
    """Discover the facts of the run; raise ServerStartError if there is no server, or it serves the wrong directory.

    A server that fails the smoke test in a way that no deviation explains is given up.
    """
    server = environment.server
    run_context = RunContext(
        dial=server.dial,
        fixtures=environment.fixtures or RemoteFixtures({}, knows_all=False),
        dialect=DIALECTS[0] if options.dialect == "auto" else options.dialect,
        timeout_seconds=timeout_seconds(0.0, options.timeout_scale),
        clock=server.clock,
        seed=options.seed,
        clients=options.clients,
        backlog=server.backlog,
        queue_length=server.queue_length,
        listen=server.listen,
        resources=server.resources,
        activity=environment.activity,
    )
    health = HealthMonitor(server, run_context, options.timeout_scale, timeouts.short_factor)
    first = _play_smoke_test(health, smoke_test)
    basis = "--dialect" if options.dialect != "auto" else ""
    if first.failure is not None and not options.serve and not first.record.connections:
        message = Message(
            "cannot connect to {address}: {got}; start the server first, or with --serve CMD",
            address=options.address,
            got=first.failure.got,
        )
        raise ServerStartError(message)
    if first.verdict is not None:  # the suite cannot run even that
        health.given_up = first.reason
    elif first.failure is not None and first.failure.kind in WIRE_FAILURES | {Kind.TOO_MUCH}:
        health.given_up = Message("the server does not reply as required: {failure}", failure=first.failure)
    if health.given_up:
        return Discovery(health, first, basis)
    basis = _Search(options, environment, health, timeouts).run() or basis
    if first.failure is not None and play(smoke_test, health.run_context).failure is not None:
        health.given_up = Message("the server does not reply as required: {failure}", failure=first.failure)
    if not health.given_up:
        # If a probe broke the server, restart it; the scenarios that send the same will fail by themselves.
        health.ensure_well()
    return Discovery(health, first, basis)


def _play_smoke_test(health: HealthMonitor, smoke_test: Scenario) -> Outcome:
    """Run the smoke test; after a failure on the wire, retry it with a longer timeout."""
    first = play(smoke_test, health.run_context)
    if first.failure is None or first.failure.kind not in WIRE_FAILURES:
        return first
    health.ensure_up()
    return first if health.given_up else play(smoke_test, health.run_context, _ALONE)


class _Search:
    """The steps of discovery; if one fails, the next ones still run."""

    def __init__(self, options: Options, environment: Environment, health: HealthMonitor, timeouts: Timeouts) -> None:
        self._options = options
        self._environment = environment
        self._health = health
        self._timeouts = timeouts
        self._basis = ""
        self._first_line = b""  # the first line that the first client receives
        self._refusal = b""
        self._learner: DeviationLearner | None = None

    def run(self) -> str:
        """Run all steps; return what the dialect was inferred from, or nothing if it was given."""
        with self._step():
            measure(self._health, self._timeouts)
        with self._step():
            self._count_clients()
        if self._environment.fixtures is None:
            with self._step():
                self._find_files()
        with self._step():
            self._ask()
        for code in self._learner.fatal_codes if self._learner else []:
            with self._step(), self._health.connecting() as connect:
                self._probe.connect_by(connect)
                self._learn_fatal(code)
        return self._basis

    def _learn_fatal(self, code: int) -> None:
        """Learn the reply to a fatal error, and restart the server unless it is still healthy."""
        if self._learner is not None:
            self._learner.ask_for(code)
            self._update(deviations=Deviations(self._learner.findings.deviations()))
        self._health.ensure_well()

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        """Run one step on a server that is up; a failure ends the step."""
        if self._health.given_up:
            with contextlib.suppress(Failure, Incomplete):
                yield
            return
        self._health.ensure_up()
        try:
            yield
        except (Failure, Incomplete):
            self._health.ensure_well()

    def _update(self, **facts: object) -> None:
        self._health.run_context = replace(self._health.run_context, **facts)  # type: ignore[arg-type]

    def _find_files(self) -> None:
        with self._health.connecting() as connect:
            self._update(fixtures=find(connect, self._options.seed, self._options.large_bytes))

    def _ask(self) -> None:
        """Learn the deviations and, unless it is given, the dialect."""
        with self._health.connecting() as connect:
            probe = self._probe = Probe(connect, self._health.run_context.words)
            probe.refusal = self._refusal
            if not probe.begin():
                self._basis = Message("nothing: the server does not answer quit")
                return
            text = self._sample_file()
            if text is not None:
                self._check_directory(probe, text)
            dialect = self._options.dialect
            has_help = dialect == "auto" and knows_help(probe)
            found = samples(probe, text.name, text.size, text.content) if text is not None else []
            if dialect == "auto":
                dialect, self._basis = detect(found, has_help=has_help)
            self._update(dialect=dialect)
            self._learner = DeviationLearner(probe, dialect, text)
            self._learner.ask(found)
            self._update(deviations=Deviations(self._learner.findings.deviations()))
            if found:
                self._health.is_as_at_first = partial(probe.ask_again, found[-1].answer.line)

    def _sample_file(self) -> Fixture | None:
        fixtures = self._health.run_context.fixtures
        for key in ("bytes", "text", "binary", "large"):
            if fixtures.has(key) and fixtures.get(key).size > 1:
                return fixtures.get(key)
        return None

    def _check_directory(self, probe: Probe, text: Fixture) -> None:
        """Raise ServerStartError if the server lists the files of another directory than {dir}."""
        if self._environment.fixtures is None or not self._options.serve:
            return
        listing, size = probe.ask(b"get_file_listing"), probe.ask(b"get_metadata " + text.name)
        names = [line.strip() for line in listing.rest.split(b"\n") if SERVABLE.fullmatch(line.strip())]
        if listing.code != 0 or not names or text.name in names or size.code == 0:
            return
        cwd = Path(self._options.cwd or ".").resolve()
        there = [name.decode() for name in names[:3]]
        listed = ", ".join(there)
        if all((cwd / name).exists() for name in there):
            listed = Message("{listed}, which are those of {cwd}", listed=listed, cwd=cwd)
        message = Message(
            "--serve: the server does not serve {dir}: it lists {listed}. Does it ignore the option that names its"
            " directory? If it has no such option, pass the directory that it serves with --fixtures DIR",
            listed=listed,
        )
        raise ServerStartError(message)

    def _count_clients(self) -> None:
        """Count how many clients are served at once, up to the number that is tried."""
        served = 0
        with self._health.connecting(_ALONE) as connect:
            try:
                while served < _AT_ONCE and not (ending := self._ending(connect(), is_second=served == 1)):
                    served += 1
            except Failure as failure:
                ending = failure.kind.value
        makes_wait = served == 1 and ending == "silence"  # a sequential server: the second client waits for the first
        has_stopped = 0 < served < _AT_ONCE and not makes_wait
        has_ended = has_stopped and self._has_ended()
        is_capped = has_stopped and not has_ended
        refusal = escape(self._refusal.rstrip()) if is_capped else ""
        is_concurrent = served > 1 or has_ended  # scenarios are to show at how many clients it ends
        self._update(is_concurrent=is_concurrent, capacity=served if is_capped else 0, refusal=refusal)

    def _has_ended(self) -> bool:
        """Return whether the server has exited, maybe a moment after it left a client without a reply."""
        self._health.server.clock.sleep(PAUSE_SECONDS)
        return not self._health.server.is_listening

    def _ending(self, client: Client, *, is_second: bool) -> str:
        """Return why a client is not served while others are connected and idle; empty if it is served.

        The second client waits less than a full timeout: servers that serve one client at a time are common.
        """
        if is_second:
            far = _ROUND_TRIPS * self._health.run_context.round_trip_seconds
            near = _BLOCKED_SECONDS * self._options.timeout_scale
            client.timeout_seconds = min(client.timeout_seconds, near + far)
        client.send_line(client.words.unknown)
        data, ending = client.collect(lambda data: b"\n" in data)
        line = data.partition(b"\n")[0]
        self._first_line = self._first_line or line
        if data and line != self._first_line and not line[:1].isdigit():
            self._refusal = line
            return "refusal"
        return "" if ending == "enough" else ending

"""What a server leaves behind with each round is found; what stays, fluctuates or is given back is not blamed."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from conformance.explorer import line_work, resource_series
from conformance.explorer.conversation import Conversation
from conformance.explorer.line_work import LENGTHS
from conformance.explorer.resource_checks import CHECKS, check_scenario
from conformance.explorer.resource_series import BLOCKS, ROUNDS, Series
from conformance.failures import Failure, Incomplete, Kind
from conformance.model.context import RunContext, ScenarioContext
from conformance.model.resources import Resources
from conformance.runner.outcome import Outcome
from conformance.runner.play import play
from conformance.spec.dialects import DIALECTS
from conformance.target.process_tree import ProcessTree
from conformance.target.remote_fixtures import RemoteFixtures
from conformance.target.resource_usage import resources_of
from tests.conformance.explorer.explored import explore

pytestmark = pytest.mark.once

Use = Callable[[int, float], Resources | None]
"""What a server uses after so many rounds, at a time."""
MIB = 1 << 20


def used(rounds: int, **more: float) -> Resources:
    """Return what a server uses that leaves nothing behind."""
    usual = {"descriptors": 5, "threads": 2, "memory_bytes": 20 * MIB, "cpu_seconds": 0.01 * rounds}
    return Resources(**(usual | more))  # type: ignore[arg-type]


class Server:
    """A server that does nothing; what it uses is a function of the rounds, and of a clock that only waits move."""

    def __init__(self, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rounds = 0
        self.time = 0.0
        facts = RunContext(
            lambda *_: pytest.fail("no connection"),
            RemoteFixtures({}, knows_all=False),
            "2026",
            1.0,
            clock=lambda: self.time,
            resources=lambda: use(self.rounds, self.time),
        )
        self.context = ScenarioContext(facts, is_crowded=False)
        monkeypatch.setattr(ScenarioContext, "pause", self.pause)
        monkeypatch.setattr(Series, "_hold_round", self.hold_round)

    def pause(self, _context: object = None) -> None:
        """Move the clock."""
        self.time += 0.005

    def hold_round(self, _series: object = None) -> None:
        """Count a round."""
        self.rounds += 1
        self.time += 0.001

    def measure(self, seconds: float = 60.0) -> None:
        """Measure it."""
        Series(self.context, Conversation(()), seconds).run()


LEAKS: list[tuple[str, Use]] = [
    ("descriptors: 108 at first, 236 in the end", lambda rounds, _: used(rounds, descriptors=4 + rounds)),
    ("descriptors: 15 at first, 28 in the end", lambda rounds, _: used(rounds, descriptors=5 + rounds // 10)),
    ("threads: 106 at first, 234 in the end", lambda rounds, _: used(rounds, threads=2 + rounds)),
    ("memory: 30.4 MiB at first, 43.2 MiB in the end", lambda n, _: used(n, memory_bytes=20 * MIB + n * MIB // 10)),
    ("CPU time of 16 rounds", lambda rounds, _: used(rounds, cpu_seconds=0.001 * rounds * rounds)),
]


@pytest.mark.parametrize(("text", "use"), LEAKS, ids=[text for text, _ in LEAKS])
def test_what_grows_with_each_round_is_a_failure(text: str, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(use, monkeypatch)
    with pytest.raises(Failure, match=text) as caught:
        server.measure()
    assert caught.value.kind is Kind.GROWTH
    assert caught.value.cause
    assert server.rounds == BLOCKS * ROUNDS
    assert len(server.context.record.events_of("note")) == BLOCKS


@pytest.mark.parametrize(
    "use",
    [
        lambda rounds, _: used(rounds),
        lambda rounds, _: used(rounds, descriptors=5 + min(rounds, 120)),  # a pool
        lambda rounds, _: used(rounds, threads=2 + rounds // 40),  # too few to say anything
        lambda rounds, _: used(rounds, memory_bytes=20 * MIB + 20_000 * rounds),
        lambda rounds, _: used(rounds, memory_bytes=(20 + rounds % 50) * MIB),
        lambda rounds, _: used(rounds, cpu_seconds=0.01 * rounds + 0.00001 * rounds * rounds),  # a tenth slower
        lambda rounds, _: used(rounds, descriptors=None, memory_bytes=None),  # type: ignore[arg-type]
        # They are closed a second after the last round.
        lambda rounds, time: used(rounds, descriptors=rounds if rounds < 256 or time < ENDED + 1.0 else 5),
    ],
)
def test_what_levels_off_fluctuates_or_is_given_back_is_not(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(use, monkeypatch)
    server.measure()
    assert server.rounds == BLOCKS * ROUNDS


ENDED = 256 * 0.001 + 17 * 0.02
"""When the last round is over, about."""


def test_a_server_that_is_too_slow_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(LEAKS[0][1], monkeypatch)
    with pytest.raises(Incomplete, match="too slow"):
        server.measure(0.3)


def test_what_cannot_be_seen_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Incomplete, match="cannot be seen"):
        Server(lambda _rounds, _time: None, monkeypatch).measure()


# --- Lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("work", "fails"),
    [
        (lambda size: 1e-13 * size * size, True),
        (lambda size: 0.1 + 1e-13 * size * size, True),
        (lambda size: 1e-6 * size, False),  # byte by byte
        (lambda size: 1e-14 * size * size, False),  # nobody notices
        (lambda size: 0.3 + 1e-7 * size, False),
    ],
)
def test_work_out_of_proportion_is_a_failure(
    work: Callable[[int], float], fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_work, "_cpu_seconds", lambda _context, length: work(length))
    server = Server(lambda rounds, _: used(rounds), monkeypatch)
    if fails:
        with pytest.raises(Failure, match="s of CPU time for a line of 1048576 bytes") as caught:
            line_work.measure_lines(server.context, 60.0)
        assert caught.value.kind is Kind.GROWTH
    else:
        line_work.measure_lines(server.context, 60.0)


def test_no_longer_line_is_sent_after_one_that_took_much(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []

    def work(_context: object, length: int) -> float:
        sent.append(length)
        return 5.0

    monkeypatch.setattr(line_work, "_cpu_seconds", work)
    with pytest.raises(Incomplete, match="too slow for long lines"):
        line_work.measure_lines(Server(lambda rounds, _: used(rounds), monkeypatch).context, 60.0)
    assert set(sent) == {LENGTHS[0]}


# --- /proc, and real servers ---------------------------------------------------------------------


def test_counts_what_the_processes_below_another_use() -> None:
    program = (
        "import os, threading; kept = [os.dup(0) for _ in range(20)]; more = b'x' * (30 << 20);"
        "[threading.Thread(target=threading.Event().wait, daemon=True).start() for _ in range(4)];"
        "print(flush=True); os.read(0, 1)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = resources_of(ProcessTree(os.getpid()))
        assert found is not None
        assert found.descriptors is not None
        assert 23 <= found.descriptors < 60
        assert found.threads >= 5
        assert found.memory_bytes is not None
        assert 30 * MIB <= found.memory_bytes < 90 * MIB
        assert child.stdin is not None
        child.stdin.close()
    assert resources_of(ProcessTree(child.pid)) is None


def test_a_leak_is_reported_as_any_failure_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource_series, "ROUNDS", 2)
    monkeypatch.setattr(resource_series, "_KEEPING_SECONDS", 0.1)
    played: list[str] = []

    def played_short(scenario: object, *arguments: object, **more: object) -> Outcome:
        played.append(scenario.id)  # type: ignore[attr-defined]
        return play(scenario, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("conformance.explorer.resource_checks.play", played_short)
    monkeypatch.setattr("conformance.explorer.resource_checks.CHECKS", ("clients", "aborted-clients"))
    explored = explore(monkeypatch, "rare-descriptor-leak", [], most=0, measures=True)
    (failure,) = explored.failures
    assert (failure.scenario, failure.requirement) == ("resources.aborted-clients", "HFTP-10.7")
    assert (failure.level, failure.verdict, failure.kind) == ("SHOULD", "warn", "growth")
    assert failure.got.startswith("descriptors: ")
    assert "close" in failure.cause
    assert "conformance explore --seconds 60" in failure.reproduce[0]
    assert [entry.note for entry in failure.transcript][-1].startswith("after 32 rounds: ")
    assert played == ["resources.clients", "resources.aborted-clients", "resources.aborted-clients"]


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_checks_are_scenarios_of_every_dialect(name: str, dialect: str) -> None:
    assert check_scenario(name).levels[dialect] == "SHOULD"


FOUND_BY = {
    "rare-descriptor-leak": "aborted-clients",
    "rare-memory-leak": "commands",
    "rare-thread-leak": "clients",
    "rare-searched-log": "commands",
    "rare-quadratic-line": "long-lines",
}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FOUND_BY)
def test_finds_a_leak(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.explorer.resource_checks.CHECKS", (FOUND_BY[name],))
    explored = explore(monkeypatch, name, [], most=0, measures=True)
    assert [row.scenario for row in explored.failures] == [f"resources.{FOUND_BY[name]}"]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("style", ["threads", "loop", "forks", "sequential"])
def test_blames_no_correct_server(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    explored = explore(monkeypatch, f"correct-{style}", [], most=0, measures=True)
    assert explored.failures == []

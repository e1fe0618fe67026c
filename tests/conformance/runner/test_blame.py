"""The scenario that ended the server is identified, and no other is blamed."""

import pytest

from tests.conformance.in_process import Run, judge, judge_command
from tests.conformance.small_servers import MODULE

pytestmark = pytest.mark.once

AROUND = ("framing.l*", "framing.p*", "framing.h*", "commands.unknown*", "slices.whole*", "metadata.size*", "paths.p*")
"""Scenarios that hurt no server here, played before and after those that do."""
BAD = ("fail", "warn", "flaky", "blocked", "incomplete", "error")
NUL = {"framing.nul", "framing.nul-survived", "framing.nul-command", "framing.nul-command-survived"}
LONG = {"lengths.name-256", "lengths.name-1-kib"}
HIGH = {"framing.high-bytes", "framing.high-bytes-survived", "framing.utf-8", "framing.utf-8-survived"}
CULPRITS = {
    "nul-exits-later": NUL,
    "nul-exits-later-loop": NUL,
    "long-name-exits-later": LONG,
    "long-name-exits-later-loop": LONG,
}


def judged(name: str, culprits: set[str], jobs: int = 4) -> Run:
    """Judge a server by scenarios that end it, and others."""
    return judge(name, *AROUND, *sorted(culprits), jobs=jobs, dialect="2026")


@pytest.mark.parametrize("name", CULPRITS)
def test_finds_a_scenario_that_ends_the_server_after_its_reply(name: str) -> None:
    found = judged(name, CULPRITS[name])
    found.assert_complete()
    assert set(found.with_verdict(*BAD)) == CULPRITS[name]
    assert {found.verdicts()[culprit] for culprit in CULPRITS[name]} == {("fail", "gone")}
    assert all("serves no client" in found.results[culprit].got for culprit in CULPRITS[name])


@pytest.mark.parametrize("around", [AROUND, ()])
def test_finds_a_scenario_that_ends_the_server_during_the_next_batch(around: tuple[str, ...]) -> None:
    found = judge_command(f"{MODULE} ends-in-the-next-batch", *around, "framing.nul", dialect="2026")
    found.assert_complete()
    assert found.with_verdict(*BAD) == ["framing.nul"]
    assert found.verdicts()["framing.nul"] == ("fail", "gone")


@pytest.mark.long
@pytest.mark.parametrize("name", ["nul-exits-later", "long-name-exits-later-loop"])
def test_finds_the_same_culprits_each_time(name: str) -> None:
    first, *others = (judged(name, CULPRITS[name]).verdicts() for _ in range(3))
    assert others == [first, first]


def test_blame_does_not_depend_on_jobs() -> None:
    alone = judged("decode-kills-the-process", HIGH, jobs=1)
    beside = judged("decode-kills-the-process", HIGH, jobs=4)
    assert alone.verdicts() == beside.verdicts()
    assert set(alone.with_verdict(*BAD)) == HIGH
    assert {alone.verdicts()[name] for name in HIGH} == {("fail", "gone")}


@pytest.mark.long
def test_blame_is_the_same_for_a_concurrent_server() -> None:
    assert judged("nul-exits-later", NUL, jobs=1).verdicts() == judged("nul-exits-later", NUL, jobs=4).verdicts()


@pytest.mark.parametrize(
    "name", ["slow-on-long-lines", pytest.param("slow-on-long-lines-loop", marks=pytest.mark.long)]
)
def test_busy_server_is_not_taken_for_dead(name: str) -> None:
    select = ("lengths.name-*", "lengths.huge-name", "lengths.command-*", "slices.whole-text", "commands.unknown")
    found = judge(name, *select, dialect="2026", timeout_scale=0.2)
    found.assert_complete()
    assert [result.scenario for result in found.results.values() if result.kind == "gone"] == []
    assert {"slices.whole-text", "commands.unknown", "lengths.name-256"} <= set(found.with_verdict("pass"))
    assert found.with_verdict("blocked", "error") == []


@pytest.mark.flaky(reruns=2)  # a server that works gets little of a processor that others use
def test_waits_for_a_server_that_works_after_its_last_reply() -> None:
    select = ("framing.nul", "commands.unknown", "slices.whole-text")
    found = judge_command(f"{MODULE} busy-after-nul", *select, dialect="2026")
    found.assert_complete()
    assert found.with_verdict(*BAD) == []


def test_later_scenarios_are_not_blamed_for_a_leak() -> None:
    select = ("slices.[a-lpw]*", "metadata.size*", "listings.[fh]*", "commands.u*", "arguments.minus-*")
    found = judge("files-left-open", *select, dialect="2026")
    found.assert_complete()
    assert len(found.results) > 80
    assert len(found.with_verdict(*BAD)) <= 3


def test_later_scenarios_are_not_blamed_for_leaked_sockets() -> None:
    found = judge("sockets-left-open", *AROUND, "slices.p*", "arguments.minus-*", dialect="2026")
    found.assert_complete()
    assert found.with_verdict(*BAD) == []


def test_no_scenario_is_blamed_for_a_server_that_exits_by_itself() -> None:
    select = ("commands.[m-u]*", "slices.whole*", "metadata.size*", "slices.p*", "arguments.[a-m]*")
    found = judge_command(f"{MODULE} ends-after-forty", *select, dialect="2026")
    found.assert_complete()
    assert found.with_verdict("fail", "warn", "blocked") == []
    assert any("the server exited" in problem for problem in found.end.problems)


@pytest.mark.parametrize(
    "name", ["spinning-on-leavers", pytest.param("spinning-on-leavers-loop", marks=pytest.mark.long)]
)
def test_reports_a_server_that_spins_and_goes_on(name: str) -> None:
    found = judge(name, "framing.p*", "commands.unknown*", "clients.leave-at-once", "slices.whole*", dialect="2026")
    found.assert_complete()
    assert found.with_verdict("blocked", "incomplete", "error") == []
    assert {"commands.unknown", "slices.whole-text", "framing.pipelining"} <= set(found.with_verdict("pass"))


def test_reports_interference_between_clients() -> None:
    found = judge("buffer-shared", "framing.*", "slices.whole*", "commands.*", "clients.two-at-once", dialect="2026")
    found.assert_complete()
    assert found.with_verdict("flaky", "blocked", "error") == []
    assert len(found.with_verdict("pass")) > 80
    assert any("beside other clients" in problem for problem in found.end.problems)


def test_the_number_of_its_clients_is_not_blamed_on_a_scenario() -> None:
    """After twelve clients with fatal errors the server serves nobody, whatever their lines."""
    found = judge("capped-clients-silent", "paths.nul", "paths.p*", "commands.unknown*", dialect="2026")
    found.assert_complete()
    assert found.with_verdict("fail", "warn", "flaky", "blocked", "error") == []

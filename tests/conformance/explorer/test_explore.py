"""Exploring finds bugs that no scenario was written for, shrinks and confirms them, and blames no correct server."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from conformance import cli_explore
from conformance.cli import main
from conformance.explorer.conversation import AddFiles, AddSparse, Conversation, Leave, Open, Send, Silence
from conformance.explorer.database import Database
from conformance.explorer.exploration import Finding
from conformance.explorer.explore import SUMMARY
from conformance.failures import Kind
from conformance.model.events import RunStart
from conformance.model.verdicts import Exit
from conformance.scenarios import catalogue, load
from conformance.spec.dialects import DIALECTS
from tests.broken_servers.all_bugs import BUGS
from tests.broken_servers.rare_bugs import RARE
from tests.broken_servers.starting import PYTHON
from tests.conformance.explorer.explored import explore
from tests.conformance.in_process import ROOT, make_options, run

pytestmark = pytest.mark.once

LISTING, SIZE = Send(("get_file_listing",)), Send(("get_metadata {text}",))
LARGE_BYTES = 12 << 20
SHOWING: dict[str, tuple[Conversation, str, int]] = {
    "rare-state-leaks": (
        Conversation((Send(("get_metadata {text}", "x", "get_metadata {one}"), times=60),)),
        "HFTP-5.2",
        2,
    ),
    "rare-large-slice-byte": (Conversation((Send(("get_slice {large} 2 4000000",)),)), "HFTP-6.2", 1),
    "rare-full-read": (Conversation((SIZE, Send(("get_metadata {text}",), whole_bytes=4096), SIZE)), "HFTP-1.6", 1),
    "rare-shifted-slice": (Conversation((Send(("x", "get_slice {large} 11111111 10")), SIZE)), "HFTP-6.2", 1),
    "rare-size-997": (
        Conversation((AddFiles("size", 900, 100), Send(("get_metadata s{#}",), first=900, times=100))),
        "HFTP-5.2",
        2,
    ),
    "rare-long-pipeline": (Conversation((LISTING, Send(("get_metadata {text}",), times=2500))), "HFTP-1.6", 1),
    "rare-long-names": (Conversation((AddFiles("name", 50, 60), LISTING)), "HFTP-4.3", 1),
    # Its threads start when they like: not every repetition shows it.
    "rare-crowded-listing": (Conversation((Open(24), SIZE, LISTING, SIZE)), "HFTP-2.3", 4),
    "rare-4-gib": (Conversation((AddSparse((1 << 32) + 5), Send(("get_metadata sparse.bin",)))), "HFTP-5.2", 2),
    "rare-silent-client": (Conversation((SIZE, Silence(3.5), SIZE)), "HFTP-2.8", 2),
}
"""Of each bug a conversation that shows it, the requirement, and how many steps of it are left at most."""


SLOW = {
    "rare-silent-client",
    "rare-large-slice-byte",
    "rare-long-names",
    "rare-state-leaks",
    "rare-long-pipeline",
    "rare-size-997",
}
LEAKS = {row.name for row in RARE.values() if row.requirement in {"HFTP-9.7", "HFTP-10.7"}}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] * (name in SLOW)) for name in SHOWING])
def test_finds_shrinks_and_confirms_a_bug_that_no_scenario_is_about(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation, requirement, steps = SHOWING[name]
    explored = explore(monkeypatch, name, [conversation], most=0, large_bytes=LARGE_BYTES)
    assert [row.requirement for row in explored.failures] in ([requirement], ["HFTP-2.1"], ["HFTP-1.6"])
    assert explored.end.exit is Exit.NOT_CONFORMANT
    (found,) = explored.found
    assert isinstance(found, Finding)
    assert len(found.conversation.steps) <= steps
    assert found.conversation.cost <= conversation.cost


def test_every_rare_bug_is_shown_here() -> None:
    assert {*SHOWING, *LEAKS, "rare-refused-connection"} == set(RARE)
    assert not set(RARE) & set(BUGS)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in RARE if name not in LEAKS])
def test_finds_a_rare_bug_by_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert explore(monkeypatch, name, large_bytes=32 << 20).failures


def test_shrinks_to_the_boundary(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = explore(monkeypatch, "rare-size-997", [SHOWING["rare-size-997"][0]], most=0).found
    assert isinstance(found, Finding)
    (added, _) = found.conversation.steps
    assert isinstance(added, AddFiles)
    assert added.first <= 997 < added.first + added.count


def test_begins_with_what_was_found_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    database = Database(tmp_path)
    wrong = Conversation((Send(("get_metadata",)),))
    found = []
    for opening, most, kept in (([wrong], 0, database), ([], 1, database), ([], 1, None)):
        with monkeypatch.context() as patched:
            found.append(explore(patched, "arguments-missing-crash", opening, most=most, database=kept).found)
    (first,), (again,), nothing = found
    assert isinstance(first, Finding)
    assert isinstance(again, Finding)
    assert database.conversations() == [first.conversation]
    assert again.conversation == first.conversation
    assert nothing == []


def test_what_shows_only_after_others_is_held_after_those(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Conversation((Send(("get_metadata {text}", "get_metadata {one}"), times=times),)) for times in (25, 26)]
    explored = explore(monkeypatch, "rare-state-leaks", rows, most=0)
    assert [row.requirement for row in explored.failures] == ["HFTP-5.2"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_blames_no_correct_server(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        Conversation((Send(("get_metadata {text}", "get_slice {text} 0 5"), times=50), LISTING)),
        Conversation((Send(("get_slice {large} 0 60000",), waits=False), Leave("reset"), SIZE)),
        Conversation((Send(("get_slice {large} 1 60000",), waits=False), Leave("half-close"))),
        Conversation((SIZE, Send(("x",), ending="\n"), SIZE)),
        Conversation((Open(9), Send(("get_metadata {text}",), whole_bytes=4096, client=8, cuts=(3, 9)))),
        Conversation((AddFiles("name", 1, 40), LISTING, AddSparse(1 << 33), LISTING)),
    ]
    explored = explore(monkeypatch, "correct-threads", rows, most=10, dialect=dialect)
    assert explored.failures == []
    assert explored.end.exit is Exit.CONFORMANT
    assert [row.scenario for row in explored.results] == [SUMMARY]
    assert explored.results[0].got.endswith("conversations")


def test_a_server_for_one_client_at_a_time_gets_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    explored = explore(monkeypatch, "correct-sequential", [Conversation((SIZE, LISTING))], most=6)
    assert explored.failures == []


def test_reports_as_a_run_does_and_saves_a_scenario(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "found.py"
    conversation = SHOWING["rare-shifted-slice"][0]
    explored = explore(monkeypatch, "rare-shifted-slice", [conversation], most=0, large_bytes=LARGE_BYTES, file=file)
    (failure,) = explored.failures
    assert isinstance(explored.events[0], RunStart)
    assert failure.kind == Kind.BODY.value
    assert failure.sent.startswith("get_slice")
    assert f"conformance try {failure.scenario}" in failure.reproduce[0]
    assert f"--scenarios {shlex.quote(str(file))}" in failure.reproduce[0]
    assert any(entry.what == "sent" for entry in failure.transcript)
    (scenario,) = load(str(file)).scenarios
    assert scenario.id == failure.scenario
    known = catalogue((str(file),))
    for name, verdict in (("rare-shifted-slice", ("fail", "body")), ("correct-threads", ("pass", ""))):
        again = run(make_options(name, scenario.id, scenarios=(str(file),), large_bytes=LARGE_BYTES, seed=3), known)
        assert again.verdicts()[scenario.id] == verdict


def test_a_fault_of_the_suite_is_no_failure_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        message = "a fault"
        raise RuntimeError(message)

    monkeypatch.setattr("conformance.explorer.performance.Performance.run", fail)
    explored = explore(monkeypatch, "correct-threads", [Conversation((SIZE,))])
    assert explored.end.exit is Exit.SUITE_FAULT
    assert explored.failures == []


def test_command_line_explores_for_some_seconds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = shlex.join([*PYTHON, "-m", "tests.broken_servers", "correct-threads", "-p", "{port}", "-d", "{dir}"])
    recording = tmp_path / "run.ndjson"
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "explore",
                "--seconds",
                "0.5",
                "--serve",
                command,
                "--cwd",
                str(ROOT),
                "--ndjson",
                str(recording),
                "--size",
                "1M",
            ]
        )
    assert ended.value.code == Exit.CONFORMANT
    said = capsys.readouterr().out
    assert "conformant" in said
    assert re.search(r"^explored: \d+ conversations", said, re.MULTILINE)
    assert SUMMARY in recording.read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [[], ["--save", "/nowhere/at/all.py", "127.0.0.1:1"], ["--seconds", "0"]])
def test_wrong_usage_is_said_in_a_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explore", *arguments])
    assert ended.value.code == Exit.USAGE
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_says_what_to_install_without_hypothesis(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "conformance.explorer.explore", None)
    monkeypatch.setattr(cli_explore, "_is_missing", lambda _error: True)
    with pytest.raises(SystemExit) as ended:
        main(["explore", "127.0.0.1:1"])
    assert ended.value.code == Exit.USAGE
    assert "pip install hypothesis" in capsys.readouterr().err

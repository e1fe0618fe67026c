"""Targets run in chains where they share a port, and what a cluster is asked for first."""

import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance.classroom.judging import in_chains, in_turn, judge_all
from conformance.classroom.local_pool import LocalPool
from conformance.classroom.machine import RemoteJudge, SharedFolder, shared, without_networks, without_sandbox
from conformance.classroom.pool import Item, LostError, PoolError, Result
from conformance.classroom.progress import Progress
from conformance.classroom.recording_file import part_of
from conformance.classroom.target_run import Settings, TargetRun
from conformance.classroom.targets import Target
from conformance.config import Options
from conformance.grading.assessment import assess
from conformance.grading.points import PointsMap
from conformance.language import Message
from conformance.model.verdicts import Exit


def runs(*addresses: str, folder: str = "", place: Path = Path(), has_networks: bool = False) -> list[TargetRun]:
    settings = Settings(Options(), has_networks=has_networks)
    return [
        TargetRun(Target(f"t{i}", "x", address, folder=folder), place / f"t{i}.ndjson", settings)
        for i, address in enumerate(addresses)
    ]


@dataclass
class Cluster:
    """A pool whose workers are elsewhere, and answer as they are told to; each job is lost."""

    answers: Mapping[str, Any]
    is_here = False
    about = Message("somewhere")

    def everywhere(self, function: Callable[..., Result], *arguments: object) -> Mapping[str, Result]:
        del function, arguments
        return self.answers

    def run(
        self,
        function: Callable[[Item, threading.Event], Result],
        chains: Sequence[Sequence[Item]],
        stop: threading.Event,
    ) -> Generator[tuple[Item, Result | LostError], None, None]:
        assert isinstance(function, RemoteJudge)
        assert function.folder.mark.exists()
        assert not stop.is_set()
        for chain in chains:
            for item in chain:
                yield item, LostError(Message("the workers have died"))


def test_those_with_one_port_are_a_chain() -> None:
    found = in_chains(runs("", "127.0.0.1:7", "127.0.0.1:8", "localhost:7", ""))
    assert names(found) == [["t1", "t3"], ["t0"], ["t2"], ["t4"]]


def names(chains: Sequence[Sequence[TargetRun]]) -> list[list[str]]:
    return [[run.target.name for run in chain] for chain in chains]


def test_each_with_a_network_of_its_own_is_alone() -> None:
    found = runs("127.0.0.1:7", "[::1]:7", "192.0.2.1:7", "192.0.2.2:7", has_networks=True)
    assert names(in_chains(found)) == [["t2", "t3"], ["t0"], ["t1"]]
    assert list(in_turn(found, "")) == [
        "2 servers use port 7: each in a network of its own",
        "2 servers use port 7: one after another (their address is not 127.0.0.1 or ::1)",
    ]


def test_those_with_one_directory_are_a_chain_whatever_their_ports_are() -> None:
    settings = Settings(Options(), has_networks=False)
    rows = [("", "/srv/a"), ("127.0.0.1:7", ""), ("", "data"), ("", "/srv/../srv/a"), ("127.0.0.1:7", "/srv/a")]
    targets = [Target(f"t{i}", "x", address, directory=directory) for i, (address, directory) in enumerate(rows)]
    found = [TargetRun(target, Path("run.ndjson"), settings) for target in targets]
    chains = in_chains(found)
    assert [sorted(chain) for chain in names(chains)] == [["t0", "t1", "t3", "t4"], ["t2"]]
    assert list(in_turn(found, "it is old")) == [
        "2 servers use port 7: one after another (it is old)",
        "3 servers use /srv/a: one after another",
    ]


def test_servers_have_networks_if_all_machines_give_them() -> None:
    assert without_networks(Cluster({"a": "", "b": ""})) == ""
    assert without_networks(Cluster({"a": "", "b": "it is old"})) == "it is old"


def test_run_whose_workers_have_died_has_no_verdict(tmp_path: Path) -> None:
    (run,) = judge_all(Cluster({"a": ""}), tmp_path, runs("", place=tmp_path))
    found = assess("t0", run.recording, PointsMap())
    assert (found.exit, found.grade.reason) == (
        Exit.SUITE_FAULT,
        "the suite itself failed; the workers have died",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["t0.ndjson"]


def test_nothing_is_judged_if_a_worker_lacks_something(tmp_path: Path) -> None:
    with pytest.raises(PoolError, match="lacks it"):
        list(judge_all(Cluster({"a": "", "b": Message("lacks it")}), tmp_path, runs("", place=tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_worker_needs_the_folders(tmp_path: Path) -> None:
    there = tmp_path / "submission"
    with shared(tmp_path) as place:
        assert place.why_missing([]) == ""
        assert f"does not have {there}: the workers need the folders" in place.why_missing([str(there)])
        there.mkdir()
        assert place.why_missing([str(there)]) == ""
        with pytest.raises(PoolError, match="does not have /nonexistent:"):
            place.check(LocalPool(1), ["/nonexistent"])
    assert f"does not have {tmp_path}:" in place.why_missing([])
    assert [path.name for path in tmp_path.iterdir()] == ["submission"]


def test_worker_needs_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, os.strerror(13))

    with shared(tmp_path) as place:
        monkeypatch.setattr(Path, "touch", refuse)
        assert f"cannot write to {tmp_path} (Permission denied): " in place.why_missing([])


def test_worker_that_came_later_is_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TargetRun, "judge", lambda *_: True)
    monkeypatch.setattr("conformance.classroom.machine.why_unconfined", lambda *_: "too old")
    (run,) = runs("", place=tmp_path, folder=str(tmp_path / "submission"))
    with shared(tmp_path) as place:
        with pytest.raises(PoolError, match="does not have"):
            RemoteJudge(place, needs_sandbox=False)(run, threading.Event())
        (tmp_path / "submission").mkdir()
        assert RemoteJudge(place, needs_sandbox=False)(run, threading.Event())
        with pytest.raises(PoolError, match=r"has no sandbox \(too old\), but the other workers have"):
            RemoteJudge(place, needs_sandbox=True)(run, threading.Event())
    with pytest.raises(PoolError, match="does not have"):
        RemoteJudge(SharedFolder(tmp_path / "gone"), needs_sandbox=False)(run, threading.Event())


def test_all_run_without_a_sandbox_if_one_worker_has_none() -> None:
    assert without_sandbox(Cluster({"a": "", "b": ""}), 5, ()) == ""
    said = without_sandbox(Cluster({"a": "", "b": "too old"}), 5, ())
    assert said == "the servers run without a sandbox: too old"


def test_what_runs_elsewhere_is_followed_by_what_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.classroom.progress._PAUSE_SECONDS", 0)
    chosen = runs("", "", place=tmp_path)
    progress = Progress(tmp_path, chosen)
    part_of(tmp_path / "stranger.ndjson").touch()
    progress.look()
    assert not any(run.is_running for run in chosen)
    result = '{"type": "result", "verdict": "fail"}\n'
    part_of(chosen[1].recording).write_text('{"type": "run-start", "selected": 9}\n' + result, encoding="ascii")
    progress.look()
    assert [run.is_running for run in chosen] == [False, True]
    assert (chosen[1].follower.selected, chosen[1].follower.done, chosen[1].follower.failed) == (9, 1, 1)
    chosen[1].end()
    progress.look()
    assert not chosen[1].is_running

"""The run of one target ends in its time, and its command line has all that the class has in common."""

import pickle
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from conformance import cli
from conformance.classroom import target_run
from conformance.classroom.recording_file import part_of, put_in_place
from conformance.classroom.target_run import Settings, TargetRun
from conformance.classroom.targets import Target
from conformance.config import Options
from conformance.grading.assessment import assess
from conformance.grading.points import PointsMap
from conformance.language import Message
from conformance.model.verdicts import Exit
from conformance.option_table import RUN_OPTIONS

pytestmark = pytest.mark.once


def test_command_line_has_all_that_is_in_common(tmp_path: Path) -> None:
    options = Options(seed=7, select=("a", "b"), skip=("c",), dialect="2019", max_seconds=9, fail_on="should")
    target = Target("ana", "x {port}", "127.0.0.1:7", environment={"A": "1"}, directory="data", dialect="2016")
    options = replace(options, sandbox="auto", sandbox_read=("/x", "/y"))
    words = Settings(options).words(target, tmp_path / "run.ndjson")
    assert words[:4] == ["run", "127.0.0.1:7", "--serve", "env A=1 x {port}"]
    run = cli.commands.commands["run"]
    with run.make_context("run", words[1:]) as context:
        given = {name: value for name, value in context.params.items() if name in vars(options)}
    assert Options(**given) == Settings(options).of(target)
    assert {row.field for row in RUN_OPTIONS} <= given.keys()
    assert (given["name"], given["sandbox"], given["sandbox_read"]) == ("ana", "auto", ("/x", "/y"))


def test_only_a_server_that_is_started_here_is_confined() -> None:
    def sandbox(mode: str, serve: str, address: str) -> str:
        return Settings(Options(sandbox=mode)).of(Target("ana", serve, address)).sandbox

    assert sandbox("auto", "x {port}", "") == sandbox("auto", "x", "127.0.0.1:7") == "auto"
    assert sandbox("auto", "", "127.0.0.1:7") == sandbox("namespaces", "", "127.0.0.1:7") == "off"
    assert sandbox("auto", "x", "unix:/x") == "off"
    assert sandbox("namespaces", "x", "unix:/x") == "namespaces"  # which is refused, as it was asked for
    assert sandbox("off", "x {port}", "") == "off"


def test_run_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_run, "_BEFORE_SECONDS", 0.0)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    recording = tmp_path / "hangs.ndjson"
    settings = Settings(Options(max_seconds=1, timeout_scale=100), build_seconds=0.5)
    run = TargetRun(Target("hangs", "sleep 600 {port}"), recording, settings)
    assert run.judge(threading.Event())
    found = assess("hangs", recording, PointsMap())
    assert found.exit is Exit.SUITE_FAULT
    assert found.grade.points is None
    assert "did not end in time" in found.grade.reason
    assert not run.is_running
    assert list((tmp_path / "tmp").iterdir()) == []


def test_run_with_a_recording_is_done(tmp_path: Path) -> None:
    recording = tmp_path / "done.ndjson"
    recording.write_text("whole", encoding="ascii")
    run = TargetRun(Target("done", "sleep 600 {port}"), recording, Settings(Options()))
    assert run.judge(threading.Event())
    assert recording.read_text(encoding="ascii") == "whole"


def test_first_recording_counts(tmp_path: Path) -> None:
    recording = tmp_path / "run.ndjson"
    for text in ("first", "second"):
        part = part_of(recording)
        part.write_text(text, encoding="ascii")
        put_in_place(part, recording)
    assert recording.read_text(encoding="ascii") == "first"


def test_recording_is_put_in_place_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_paths: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    recording = tmp_path / "run.ndjson"
    part = part_of(recording)
    part.write_text("text", encoding="ascii")
    put_in_place(part, recording)
    assert recording.read_text(encoding="ascii") == "text"


def test_copies_of_a_run_can_be_sent_to_another_process(tmp_path: Path) -> None:
    target = Target("ana", "x {port}", problem=Message("no {port}", port=7))
    run = TargetRun(target, tmp_path / "ana.ndjson", Settings(Options(select=("a",))))
    copy = pickle.loads(pickle.dumps(run))
    assert copy.settings == run.settings
    assert copy.target == target
    assert isinstance(copy.target.problem, Message)
    assert copy.target.problem.recorded() == ["no {port}", {"port": 7}]

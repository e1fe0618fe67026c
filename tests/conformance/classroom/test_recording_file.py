"""A recording is followed while it grows, and gets an end that the chain covers."""

from pathlib import Path

from conformance.classroom.recording_file import Follower, end_recording, has_end, has_verdict, write_events
from conformance.model.events import RunEnd, read_events
from conformance.model.verdicts import Exit
from conformance.tools.verify import verify
from tests.conformance.golden import events


def test_follower_counts_what_is_appended(tmp_path: Path) -> None:
    path, whole = tmp_path / "growing.ndjson", tmp_path / "whole.ndjson"
    write_events(whole, events())
    follower = Follower(path)
    follower.look()
    assert (follower.selected, follower.done) == (0, 0)
    data = whole.read_bytes()
    for cut in (len(data) // 3, len(data) // 2, len(data)):
        path.write_bytes(data[:cut])
        follower.look()
    assert (follower.selected, follower.done, follower.failed) == (10, 10, 2)


def test_recording_that_was_cut_gets_an_end(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    write_events(path, events()[:-1])
    path.write_bytes(path.read_bytes()[:-20])
    assert not has_end(path)
    end_recording(path, "SIGKILL ended it", Exit.SUITE_FAULT)
    assert has_end(path)
    assert not has_verdict(path)
    *_, last = read_events(path.read_bytes().splitlines(keepends=True))
    assert isinstance(last, RunEnd)
    assert (last.exit, last.problems) == (Exit.SUITE_FAULT, ["SIGKILL ended it"])
    assert verify(path).status is Exit.CONFORMANT


def test_interrupted_run_has_no_end(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    write_events(path, [events()[0], RunEnd({}, Exit.INCOMPLETE, problems=["interrupted: the rest did not run"])])
    assert not has_end(path)
    write_events(path, [events()[0], RunEnd({}, Exit.CONFORMANT)])
    assert has_verdict(path)
    assert not has_end(tmp_path / "none")

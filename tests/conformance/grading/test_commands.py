"""`conformance grade` and `conformance compare`: exit statuses, and which files are written."""

import json
from pathlib import Path

import pytest

from conformance.classroom.recording_file import write_events
from conformance.cli import main
from conformance.model.verdicts import Exit, Verdict
from conformance.reports.text import Run
from tests.conformance.grading import SOME, result, run

GOOD = run(result("framing.b", "HFTP-1.2", Verdict.PASS), status=Exit.CONFORMANT)
BAD = run(*SOME)
FAULTY = run(*SOME, status=Exit.SUITE_FAULT, problems=("no space",))


def write(path: Path, found: Run) -> str:
    """Write a recorded run, and return its path."""
    path.parent.mkdir(exist_ok=True)
    assert found.end is not None
    write_events(path, [found.start, *found.results, found.end])
    return str(path)


def command(*words: str) -> int:
    """Return the exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_grade_decides_about_the_status_if_it_is_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = write(tmp_path / "bad.ndjson", BAD)
    assert command("grade", bad) == 0
    assert "bad: not conformant\n46.88 of 100" in capsys.readouterr().out
    assert command("grade", bad, "--at-least", "46") == 0
    assert command("grade", bad, "--at-least", "47") == 1
    faulty = write(tmp_path / "faulty.ndjson", FAULTY)
    assert command("grade", faulty, "--gradescope", str(tmp_path / "results.json")) == 3
    assert not (tmp_path / "results.json").exists()  # so that Gradescope says that the autograder failed


def test_each_run_has_its_results_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "results"
    write(folder / "a.ndjson", BAD)
    write(folder / "b.ndjson", GOOD)
    assert command("grade", str(folder), "--gradescope", str(tmp_path / "results.json")) == 2
    assert "put {name} into the name" in capsys.readouterr().err
    assert command("grade", str(folder), "--gradescope", str(tmp_path / "of-{name}.json")) == 0
    scores = {path.name: json.loads(path.read_bytes())["score"] for path in tmp_path.glob("of-*.json")}
    assert scores == {"of-a.json": 46.88, "of-b.json": 100}


def test_folder_without_recordings_and_a_bad_map_have_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("grade", str(tmp_path)) == 2
    assert "has no recorded run" in capsys.readouterr().err
    bad = write(tmp_path / "bad.ndjson", BAD)
    assert command("grade", bad, "--points", str(tmp_path / "none.toml")) == 2
    assert capsys.readouterr().err.endswith("none.toml: No such file or directory\n")


def test_comparison_fails_if_something_got_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = write(tmp_path / "good.ndjson", GOOD), write(tmp_path / "bad.ndjson", BAD)
    assert command("compare", bad, good) == 0
    assert command("compare", good, bad) == 1
    assert "  worse  framing.b (pass -> fail): 0 OK" in capsys.readouterr().out
    cut = tmp_path / "cut.ndjson"
    write_events(cut, [BAD.start, *BAD.results])
    assert command("compare", str(cut), str(cut)) == 3


def test_classes_are_compared_server_by_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, found in ((before, BAD), (after, GOOD)):
        write(folder / "same.ndjson", found)
    write(before / "left.ndjson", GOOD)
    assert command("compare", str(before), str(after)) == 0
    shown = capsys.readouterr().out
    assert "same: 1 better, 0 worse" in shown
    assert f"only in {before}: left" in shown
    assert shown.endswith("1 server: 1 with something better, 0 with something worse\n")
    assert command("compare", str(before), str(after / "same.ndjson")) == 2

"""The command line as a whole: exit statuses, selection, baselines, recordings and replay."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.cli import main
from tests import INTERPRETER

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
CORRECT = f"{INTERPRETER} -m tests.conformance.correct_server -p {{port}} -d {{dir}}"
BROKEN = f"{INTERPRETER} -m tests.broken_servers lf-ends-a-line -p {{port}} -d {{dir}}"
SILENT = f"{INTERPRETER} -m tests.broken_servers.hostile silent -p {{port}} -d {{dir}}"


def conformance(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "conformance", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def run(server: str, *words: str) -> subprocess.CompletedProcess[str]:
    return conformance("run", "--serve", server, "--cwd", str(ROOT), "--size", "100K", *words)


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_reports_and_records_a_conformant_server(tmp_path: Path) -> None:
    recording = tmp_path / "run.ndjson"
    done = run(CORRECT, "-t", "framing", "--ndjson", str(recording), "-j", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    first, *between, last = events(recording)
    assert (first["type"], last["type"], last["exit"]) == ("run-start", "run-end", 0)
    assert {"suite", "catalogue", "seed", "dialect", "deselected"} <= set(first)
    results = [event for event in between if event["type"] == "result"]
    assert len(results) == first["selected"] == sum(last["counts"].values())
    for result in results:
        assert {"scenario", "requirement", "level", "verdict"} <= set(result)
        assert any(moment["what"] == "sent" for moment in result["transcript"]), result["scenario"]
    again = conformance("report", str(recording), "--ndjson", str(tmp_path / "again.ndjson"))
    assert again.returncode == 0, again.stderr
    assert events(tmp_path / "again.ndjson") == events(recording)


def test_explains_a_failure_and_how_to_reproduce_it() -> None:
    done = run(BROKEN, "-t", "framing.lf-only")
    assert done.returncode == 1
    for part in (
        "HFTP-1.3",
        "sent      quit\\n",
        "expected  100 BAD EOL",
        "got       0 OK",
        "again     conformance try framing.lf-only --serve",
    ):
        assert part in done.stdout
    assert "printf 'quit\\n' | nc 127.0.0.1" in done.stdout


def test_server_that_never_replies_passes_nothing(tmp_path: Path) -> None:
    recording = tmp_path / "run.ndjson"
    assert run(SILENT, "-t", "framing", "--timeout-scale", "0.2", "--ndjson", str(recording)).returncode == 1
    verdicts = [event["verdict"] for event in events(recording) if event["type"] == "result"]
    assert verdicts.count("fail") == 1
    assert set(verdicts) == {"fail", "blocked"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "no server given"),
        (["127.0.0.1:x"], "a port is a number"),
        (["127.0.0.1:1", "-t", "nothing.*"], "matches no scenario"),
        (["127.0.0.1:1", "--proxy", "http://a"], "is not a proxy"),
        (["127.0.0.1:1", "--size", "0"], "is not a size"),
        (["127.0.0.1:1", "--cwd", "/"], "there is no --serve"),
        (["127.0.0.1:1", "--baseline", "/no/such"], "No such file"),
        (["127.0.0.1:1", "--scenarios", "/no/such.py"], "no such file"),
        (["127.0.0.1:0"], "a port is a number"),
        (["::1:x"], "looks like [::1]"),
        (["no such host"], "is not an address"),
        (["no-such-host.invalid:1"], "no-such-host.invalid: "),
        (["127.0.0.1:1", "-t", "framing.lf-onyl"], "similar: framing.lf-only"),
        (["127.0.0.1:1", "--junit", "/no/such/file"], "cannot write /no/such/file"),
        (["127.0.0.1:1", "--fixtures", str(ROOT)], "nothing was touched"),
        (["127.0.0.1:1", "--timeout-scale", "nan"], "is not a number"),
        (["127.0.0.1:1", "-j", "0"], "not in the range"),
        (["127.0.0.1:1", "--dialect", "2017"], "is not one of"),
        (["127.0.0.1:1", "--dialekt", "2019"], "No such option"),
        (["127.0.0.1:1", "--strict-dialect"], "the dialect is not given: pass --dialect"),
        (["--serve", "x {port}", "--cwd", "/no/such"], "no such directory"),
        (["--serve", "true"], "needs {port}"),
        (["--serve", "/no/such {port}"], "cannot run /no/such"),
    ],
)
def test_reports_an_invalid_command_line_in_one_line(
    words: list[str], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", *words])
    assert ended.value.code == 2
    output = capfd.readouterr().err
    assert complaint in output
    assert output.count("\n") == 1


def test_baseline_accepts_known_failures_and_fails_on_mismatches(tmp_path: Path) -> None:
    baseline = tmp_path / "known.toml"
    baseline.write_text('[[known]]\nscenario = "framing.lf-only"\nreason = "old"\n', encoding="ascii")
    known = run(BROKEN, "-t", "framing.lf-only", "-t", "framing.quit*", "--baseline", str(baseline))
    assert known.returncode == 2  # a pattern that matches nothing
    assert run(BROKEN, "-t", "framing.lf-only", "--baseline", str(baseline)).returncode == 0
    unexpected = run(CORRECT, "-t", "framing.lf-only", "--baseline", str(baseline))
    assert unexpected.returncode == 1
    assert "framing.lf-only passes" in unexpected.stdout
    baseline.write_text('[[known]]\nscenario = "no.such"\nreason = "old"\n', encoding="ascii")
    assert "matches no scenario" in run(CORRECT, "-t", "framing.lf-only", "--baseline", str(baseline)).stdout


def test_runs_custom_scenarios_and_reports_their_faults_as_errors(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from conformance.model.scenario import Chapter\nchapter = Chapter()\n"
        "chapter.transcript('mine.quit', 'HFTP-3.6', 'It quits', 'C: quit\\nS: 0 *\\n<close>')\n"
        "@chapter.play('mine.fault', 'HFTP-3.6', 'It divides')\ndef fault(stage):\n    1 / 0\n",
        encoding="ascii",
    )
    assert run(CORRECT, "--scenarios", str(file), "-t", "mine.quit").returncode == 0
    fault = run(CORRECT, "--scenarios", str(file), "-t", "mine")
    assert fault.returncode == 4
    assert "ZeroDivisionError" in fault.stdout


def test_list_and_explain_need_no_server() -> None:
    listed = conformance("list", "-t", "framing")
    assert listed.returncode == 0
    assert "framing.lf-only" in listed.stdout
    explained = conformance("explain", "framing.lf-only")
    assert "C| quit\\n" in explained.stdout
    assert "framing.lf-only" in conformance("explain", "HFTP-1.3").stdout
    assert conformance("explain", "nothing").returncode == 2


def test_replays_a_recorded_scenario(tmp_path: Path) -> None:
    recording = tmp_path / "run.ndjson"
    run(CORRECT, "-t", "framing.lf-only", "--ndjson", str(recording))
    done = conformance("replay", str(recording), "framing.lf-only", "127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr == "conformance: cannot connect: Connection refused; start the server first\n"
    assert conformance("replay", str(recording), "framing.none").returncode == 2

"""A run ends with the right exit status and one line whatever fails, and its reports are complete."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path

import pytest

from conformance import cli
from conformance.runner.timeouts import run_seconds
from tests import INTERPRETER
from tests.conformance.test_cli import CORRECT, ROOT, conformance, events
from tests.conformance.test_reaching import TIMEOUT_SECONDS, await_

pytestmark = pytest.mark.once

SERVE = ("--serve", CORRECT, "--cwd", str(ROOT), "--size", "64K")
FEW = ("-t", "framing.lf-only", "-t", "listings.fresh")
OLD = "an old report\n"


def files(directory: Path) -> list[str]:
    """Return options for all reports, with names in a directory."""
    return [f"--{kind}={directory}/run.{kind}" for kind in ("ndjson", "junit", "html")]


def one_line(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the standard error stream, which has to be one line."""
    assert done.stderr.startswith("conformance: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--serve", f"{INTERPRETER} -c 'import no_such_module' {{port}}"], "no_such_module"),
        (["127.0.0.1:1"], "cannot connect to 127.0.0.1:1: Connection refused; start the server first"),
    ],
)
def test_reports_a_server_that_does_not_start(words: list[str], reason: str, tmp_path: Path) -> None:
    (tmp_path / "run.html").write_text(OLD, "utf-8")
    done = conformance("run", *words, *files(tmp_path))
    assert done.returncode == 2
    assert reason in one_line(done)
    assert {path.name for path in tmp_path.iterdir()} == {"run.ndjson", "run.junit", "run.html"}
    assert [event["type"] for event in events(tmp_path / "run.ndjson")] == ["run-start", "run-end"]
    suite = ET.parse(tmp_path / "run.junit").getroot()[0]
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    assert [reason in error.get("message", "") for error in suite.iter("error")] == [True]
    page = (tmp_path / "run.html").read_text("utf-8")
    assert "No verdict: the server did not start" in page
    assert reason in page
    again = conformance("report", str(tmp_path / "run.ndjson"))
    assert again.returncode == 2
    assert reason in again.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([*SERVE, "-t", "no.such"], "matches no scenario"),
        ([*SERVE, "--fixtures", str(ROOT)], "nothing was touched"),
        (["no-such-host.invalid:1"], "no-such-host.invalid"),
        ([*SERVE, "--scenarios", "/no/such.py"], "no such file"),
    ],
)
def test_failed_start_keeps_existing_reports(words: list[str], reason: str, tmp_path: Path) -> None:
    for kind in ("ndjson", "junit"):
        (tmp_path / f"run.{kind}").write_text(OLD, "utf-8")
    done = conformance("run", *words, *files(tmp_path))
    assert done.returncode == 2
    assert reason in one_line(done)
    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == {"run.ndjson": OLD, "run.junit": OLD}


def test_new_report_keeps_permissions_and_symlink(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(OLD, "utf-8")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "run.junit").symlink_to("real")
    assert conformance("run", *SERVE, *FEW, f"--junit={tmp_path}/run.junit").returncode == 0
    assert len(list(ET.parse(tmp_path / "real").iter("testcase"))) == 2
    assert (tmp_path / "run.junit").is_symlink()
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("kind", ["ndjson", "junit", "html"])
def test_full_disk_is_a_fault_of_the_suite(kind: str, tmp_path: Path) -> None:
    done = conformance(
        "run", *SERVE, *FEW, f"--{kind}=/dev/full", *(file for file in files(tmp_path) if kind not in file)
    )
    assert done.returncode == 4
    assert one_line(done) == "conformance: cannot write /dev/full: No space left on device\n"
    if kind != "ndjson":
        assert events(tmp_path / "run.ndjson")[-1]["type"] == "run-end"


def on_small_disk(disk: Path, kib: int, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of the shell with a small disk in a directory that it makes; skip where none can be mounted."""
    disk.mkdir()
    done = subprocess.run(
        [
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            f"mount -t tmpfs -o size={kib}k none {disk} || exit 77\n{script}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this user may not mount anything")
    return done


def test_disk_filled_by_the_server_is_a_failure(tmp_path: Path) -> None:
    filling = f"{INTERPRETER} -m tests.broken_servers.hostile fill-directory-at-listing -p {{port}} -d {{dir}}"
    words = [
        "run",
        "--serve",
        filling,
        "--fixtures",
        f"{tmp_path}/disk/served",
        "--size",
        "64K",
        "-t",
        "listings.fresh",
    ]
    script = f"HFTP_VICTIM=. {shlex.quote(sys.executable)} -m conformance {shlex.join(words)}"
    done = on_small_disk(tmp_path / "disk", 3000, script)
    assert "the disk is full" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("where", ["its own", "given"])
def test_reports_on_a_disk_that_the_server_filled_are_valid_as_far_as_they_go(where: str, tmp_path: Path) -> None:
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    filling = f"{INTERPRETER} -m tests.broken_servers.hostile fill-directory-at-listing -p {{port}} -d {{dir}}"
    fixtures = ["--fixtures", f"{disk}/served"] if where == "given" else []
    words = ["run", "--serve", filling, *fixtures, "--size", "64K", "-j", "1", "-t", "listings", *files(disk)]
    script = f"""
echo an old report > {disk}/run.html
TMPDIR={disk} HFTP_VICTIM=. {shlex.quote(sys.executable)} -m conformance {shlex.join(words)}
echo $? > {tmp_path}/status
mkdir {kept}
cp {disk}/run.* {kept}
"""
    done = on_small_disk(disk, 3000, script)
    assert (tmp_path / "status").read_text("ascii") == "1\n", done.stdout + done.stderr
    assert re.search(
        r"cannot write .*: No space left on device; .*: the disk is full, and \d+ KiB that", one_line(done)
    )
    assert events(kept / "run.ndjson")[0]["type"] == "run-start"
    assert ET.parse(kept / "run.junit").getroot().tag == "testsuites"
    assert (kept / "run.html").read_text("utf-8").endswith("</html>")


def test_full_disk_keeps_the_old_report(tmp_path: Path) -> None:
    reports, command = tmp_path / "disk", shlex.join(["run", *SERVE, "-t", "framing", *files(tmp_path / "disk")])
    script = f"""
echo an old report > {reports}/run.html
{shlex.quote(sys.executable)} -m conformance {command}
echo $? > {tmp_path}/status
cp {reports}/run.* {tmp_path}
"""
    done = on_small_disk(reports, 40, script)
    assert (tmp_path / "status").read_text("ascii") == "4\n"
    assert re.search(r"cannot write .*/run\.(ndjson|junit): No space left on device\n$", one_line(done))
    assert (tmp_path / "run.html").read_text("utf-8") == OLD or "</html>" in (tmp_path / "run.html").read_text("utf-8")
    again = conformance("report", str(tmp_path / "run.ndjson"))
    assert again.returncode == 3
    assert "cut short" in again.stdout


@pytest.mark.parametrize("words", [["list"], ["run", *SERVE, *FEW], ["--help"]])
def test_full_standard_output_is_a_fault_of_the_suite(words: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "conformance", *words],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 4
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["list"], ["run", *SERVE, "-t", "framing", "-v"]])
def test_closed_standard_output_ends_without_an_error(words: list[str]) -> None:
    source, sink = os.pipe()
    os.close(source)
    done = subprocess.run(
        [sys.executable, "-m", "conformance", *words],
        cwd=ROOT,
        stdout=sink,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(sink)
    assert (done.returncode, done.stderr) == (3, "")


def test_completes_reports_although_nobody_reads_the_output(tmp_path: Path) -> None:
    source, sink = os.pipe()
    os.close(source)
    command = [sys.executable, "-m", "conformance", "run", *SERVE, *FEW, *files(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, stdout=sink, stderr=subprocess.PIPE, text=True, check=False)
    os.close(sink)
    assert (done.returncode, done.stderr) == (0, "")
    assert events(tmp_path / "run.ndjson")[-1]["exit"] == 0
    assert len(list(ET.parse(tmp_path / "run.junit").iter("testcase"))) == 2


def test_writes_a_report_to_standard_output() -> None:
    done = conformance("run", *SERVE, "-t", "framing.lf-only", "--ndjson", "/dev/stdout")
    assert done.returncode == 0, done.stderr
    assert '{"type": "run-start"' in done.stdout
    assert "conformant, judged as 2026: it knows help\n" in done.stdout


def test_escapes_names_that_the_locale_cannot_encode(tmp_path: Path) -> None:
    own = tmp_path / "gr\u00fc\u00dfe.py"
    own.write_text(
        "from conformance import Chapter\nchapter = Chapter()\n"
        "chapter.transcript('school.quit', 'HFTP-1.6', 'Gr\u00fc\u00dfe \u4f60', 'C: quit\\nS: 101 *')\n",
        "utf-8",
    )
    command = [sys.executable, "-m", "conformance", "run", *SERVE, "--scenarios", str(own), "-t", "school.*"]
    done = subprocess.run(
        [*command, "--fixtures", os.fsdecode(os.fsencode(tmp_path) + b"/\xff")],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert b"Gr\\xfc\\xdfe \\u4f60" in done.stdout
    assert done.stderr == b""


def test_reports_a_fault_of_the_suite_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "catalogue", lambda _files: 1 // 0)
    with pytest.raises(SystemExit) as ended:
        cli.main(["list"])
    assert ended.value.code == 4
    error = capfd.readouterr().err
    assert error.startswith("conformance: the suite itself failed: ZeroDivisionError: ")
    assert error.count("\n") == 1


def test_deadline_of_a_run_blocks_the_remaining_scenarios(tmp_path: Path) -> None:
    recording = tmp_path / "run.ndjson"
    slow = f"{INTERPRETER} -m tests.broken_servers.hostile slow -p {{port}} -d {{dir}}"
    words = ("--max-seconds", "4", "--size", "64K", "-t", "framing", "-t", "listings", "-j", "1")
    began = time.monotonic()
    done = conformance("run", "--serve", slow, "--cwd", str(ROOT), *words, "--ndjson", str(recording))
    assert time.monotonic() - began < 90
    assert done.returncode == 3, done.stdout
    last = [event for event in events(recording) if event["type"] == "result"][-1]
    assert (last["verdict"], last["got"]) == ("blocked", "the run has taken too long; --max-seconds gives it more time")


@pytest.mark.parametrize(("scenarios", "scale", "seconds"), [(529, 1.0, 2176), (1, 0.1, 64), (1, 2.0, 128)])
def test_deadline_of_a_run_depends_on_its_number_of_scenarios(scenarios: int, scale: float, seconds: float) -> None:
    assert run_seconds(scenarios, scale) == seconds


def test_sighup_does_not_end_a_run_under_nohup(tmp_path: Path) -> None:
    recording = tmp_path / "run.ndjson"
    with subprocess.Popen(
        [sys.executable, "-m", "conformance", "run", *SERVE, "-t", "framing", "--ndjson", str(recording)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_IGN),  # noqa: PLW1509  (as nohup does)
    ) as running:
        await_(lambda: recording.exists() and '"result"' in recording.read_text("utf-8"))
        running.send_signal(signal.SIGHUP)
        assert running.wait(TIMEOUT_SECONDS) == 0

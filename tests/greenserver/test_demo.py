"""`greenserver demo` serves, fetches, judges and opens the report; it leaves only that, however it ends."""

import os
import signal
import subprocess
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance import cli as conformance_cli
from greenserver import cli, demo
from tests.greenserver.serving import ROOT, TIMEOUT_SECONDS

pytestmark = [pytest.mark.once, pytest.mark.measured]

JUDGE = (
    "import pathlib, sys; print('judged', *sys.argv[1:3], flush=True); pathlib.Path(sys.argv[-1]).write_text('report')"
)
SMALL = 100_000


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have all that is temporary made here, and the samples be small; there is no display."""
    path = tmp_path / "scratch"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    monkeypatch.setattr(demo, "LARGE_BYTES", SMALL)
    for name in demo.DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    yield path
    assert [each.name for each in path.iterdir() if not each.name.startswith("greenserver-report-")] == []


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have another program stand for conformance: that takes a minute."""
    start = subprocess.Popen

    def started(command: list[str], **settings: Any) -> "subprocess.Popen[bytes]":  # noqa: ANN401  (as Popen)
        is_judge = command[1:3] == ["-m", "conformance"]
        return start([sys.executable, "-c", JUDGE, *command[3:]] if is_judge else command, **settings)

    monkeypatch.setattr(subprocess, "Popen", started)


def status_of(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(["demo", *words])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.usefixtures("judge")
def test_serves_fetches_judges_and_prints_where_the_report_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _url: pytest.fail("there is no display"))
    report = tmp_path / "report.html"
    assert status_of("--report", str(report)) == 0
    output, errors = capfd.readouterr()
    assert report.read_text() == "report"
    for part in (
        "Serve some files: greenserver --directory ",
        "listens on 127.0.0.1:",
        "Fetch the files: hftp mirror 127.0.0.1:",
        f"large.bin: {SMALL} bytes in ",
        "Judge the server: conformance run 127.0.0.1:",
        "judged run 127.0.0.1:",
        f"The report: {report}\n",
    ):
        assert part in output
    assert not errors


@pytest.mark.usefixtures("judge")
@pytest.mark.parametrize("is_wanted", [True, False])
def test_opens_the_report_in_a_browser_on_a_display(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, is_wanted: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    assert status_of(*([] if is_wanted else ["--no-browser"])) == 0
    (report,) = scratch.glob("*/report.html")
    assert opened == ([report.as_uri()] if is_wanted else [])


def test_the_server_is_not_judged_without_conformance(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda _name: None)
    assert status_of() == 0
    assert "The server is not judged: conformance is not installed." in capfd.readouterr().out


def test_each_failure_is_one_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(demo.MODULES, "hftp", "tests.no_such_module")
    assert status_of() == 1
    assert capfd.readouterr().err.splitlines()[-1] == "greenserver: hftp mirror failed (exit status 1)"
    monkeypatch.setitem(demo.MODULES, "greenserver", "tests.no_such_module")
    assert status_of() == 1
    assert capfd.readouterr().err.splitlines()[-1] == "greenserver: greenserver did not start (exit status 1)"


def test_the_judge_s_command_line_is_one_of_conformance(tmp_path: Path) -> None:
    program, command, *words = demo.judge_command("127.0.0.1:1", tmp_path / "report.html")
    assert program == "conformance"
    context = conformance_cli.commands.commands[command].make_context(command, words)
    assert context.params["html"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it(tmp_path: Path, number: signal.Signals) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    program = (
        "from greenserver import cli, demo; demo.MODULES['hftp'] = 'tests.greenserver.sleeper'; cli.main(['demo'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while b"asleep" not in (line := process.stdout.readline()):
            assert line, process.communicate()
        process.send_signal(number)
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == demo.INTERRUPTED
    assert errors == b"greenserver: interrupted\n"
    assert not [each.name for each in tmp_path.iterdir() if "demo" in each.name]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)

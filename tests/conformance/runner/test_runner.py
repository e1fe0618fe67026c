"""The runner gives each scenario its verdict, and restarts a server that has exited."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import INTERPRETER
from tests.conformance.in_process import judge_command
from tests.conformance.small_servers import MODULE

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[3]
CORRECT = f"{INTERPRETER} -m tests.conformance.correct_server -p {{port}} -d {{dir}}"
CRASHING = f"{INTERPRETER} -m tests.broken_servers decode-kills-the-process -p {{port}} -d {{dir}}"
SCENARIOS = """
import pytest

from conformance.failures import Failure, Incomplete, Kind, Unsupported
from conformance.model.scenario import Chapter
chapter = Chapter()
hurried, shaken = [], []

@chapter.play("mine.slow", "HFTP-3.6", "Times out once")
def slow(context):
    if not hurried:
        hurried.append(1)
        raise Failure(Kind.TIMEOUT, "an answer", "nothing")

@chapter.play("mine.shaky", "HFTP-3.6", "Fails once, beside others")
def shaky(context):
    if not shaken:
        shaken.append(1)
        raise Failure(Kind.BODY, "this", "that")

@chapter.play("mine.wrong", "HFTP-3.6", "Fails")
def wrong(context):
    raise Failure(Kind.BODY, "this", "that")

@chapter.play("mine.should", "HFTP-3.2", "Warns")
def should(context):
    raise Failure(Kind.BODY, "this", "that")

@chapter.play("mine.depending", "HFTP-3.6", "Depends", depends=["mine.wrong"])
def depending(context):
    raise AssertionError

@chapter.play("mine.lacking", "HFTP-3.6", "Lacks a file", needs=["no-such-file"])
def lacking(context):
    raise AssertionError

@chapter.play("mine.not-offered", "HFTP-3.6", "Is not offered")
def not_offered(context):
    raise Unsupported("not offered")
"""


def verdicts(server: str, tmp_path: Path, *words: str) -> dict[str, tuple[str, str]]:
    """Return verdict and kind of failure by scenario."""
    recording = tmp_path / "run.ndjson"
    subprocess.run(
        [
            *(sys.executable, "-m", "conformance", "run", "--serve", server, "--cwd", str(ROOT), "--size", "100K"),
            *("--ndjson", str(recording), *words),
        ],
        capture_output=True,
        timeout=100,
        check=False,
    )
    found = map(json.loads, recording.read_text(encoding="utf-8").splitlines())
    return {event["scenario"]: (event["verdict"], event["kind"]) for event in found if event["type"] == "result"}


def test_each_outcome_has_its_verdict(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SCENARIOS, encoding="ascii")
    assert verdicts(CORRECT, tmp_path, "--scenarios", str(file), "-t", "mine") == {
        "mine.slow": ("pass", ""),
        "mine.shaky": ("flaky", ""),
        "mine.wrong": ("fail", "body"),
        "mine.should": ("warn", "body"),
        "mine.depending": ("blocked", ""),
        "mine.lacking": ("incomplete", ""),
        "mine.not-offered": ("unsupported", ""),
    }


def test_blames_the_scenario_that_ends_the_server_and_restarts_it(tmp_path: Path) -> None:
    found = verdicts(CRASHING, tmp_path, "-t", "framing.high-bytes", "-t", "framing.nul", "-t", "framing.half-close")
    assert found["framing.high-bytes"] == ("fail", "gone")
    assert found["framing.nul"] == ("pass", "")
    assert found["framing.half-close"] == ("pass", "")


def test_what_others_beside_it_kept_from_showing_anything_runs_again_alone() -> None:
    bytewise = ("framing.cr-lf-apart", "framing.byte-by-byte", "framing.two-lines-byte-by-byte", "framing.pieces")
    found = judge_command(f"{MODULE} slow-in-company", *bytewise, jobs=4, dialect="2026", timeout_scale=1.0)
    assert set(found.with_verdict("fail")) == {*bytewise}

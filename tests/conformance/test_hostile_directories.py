"""A server that replaces its directory by other files cannot make the suite change those, and the run reports it."""

import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from conformance.config import Options
from conformance.model.events import RunEnd
from conformance.runner.runner import Runner
from conformance.scenarios import catalogue
from tests import INTERPRETER
from tests.broken_servers.hostile.directories import SWAPPING
from tests.broken_servers.hostile.victim import Victim
from tests.broken_servers.starting import PYTHON
from tests.conformance.test_cli import conformance
from tests.conformance.test_reaching import TIMEOUT_SECONDS, await_

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
CHANGING = ("listings.empty*", "listings.one-file", "listings.fresh", "listings.files-1000", "metadata.replaced")
"""Scenarios that change the directory."""
HARMLESS = {
    "link-subdirectory-at-empty",
    "leave-daemons-at-listing",
    "print-gigabyte-at-listing",
    "fill-directory-at-listing",
}
"""There is no subdirectory then; and what others misuse is no directory."""
TESTED = [
    name
    for name in SWAPPING
    if name.startswith("link-directory") or name.endswith("at-added") or name in {*HARMLESS, "move-in-at-end"}
] + [
    "link-entries-at-empty",
    "hard-link-entries-at-empty",
    "remove-all-at-empty",
    "link-parent-at-end",
    "kill-parent-at-listing",
    "leave-daemons-at-listing",
]
TESTED += ["print-gigabyte-at-listing", "fill-directory-at-listing"]
"""One moment for most attacks; `python -m tests.broken_servers.hostile.gallery` has all of them."""
SOME = [
    *("link-directory-at-listing", "link-directory-at-end", "move-in-at-end", "link-parent-at-end"),
    *("link-subdirectory-at-added", "hard-link-entries-at-empty", "remove-all-at-empty", "take-permissions-at-added"),
    *("kill-parent-at-listing", "fill-directory-at-listing"),
]
OTHERS = [name for name in TESTED if name not in SOME]


class Run(NamedTuple):
    """How a run ended."""

    end: RunEnd
    changes: list[str]


def words(name: str, dear: Victim) -> str:
    """Return the command line of a hostile server."""
    env, *others = PYTHON
    hostile = [env, f"HFTP_VICTIM={dear.path}", *others, "-m", "tests.broken_servers.hostile", name]
    return shlex.join([*hostile, "-p", "{port}", "-d", "{dir}"])


def judge(name: str, tmp_path: Path) -> Run:
    """Judge a server by scenarios that change the directory."""
    dear = Victim(tmp_path / name / "homes" / "served")
    options = Options(serve=words(name, dear), cwd=str(ROOT), select=CHANGING, large_bytes=1 << 16, timeout_scale=0.5)
    with Runner(options, catalogue(), lambda _event: None) as session:
        return Run(session.run(), dear.changes())


@pytest.fixture(scope="module", params=[SOME, pytest.param(OTHERS, marks=pytest.mark.long)], ids=["some", "others"])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Run]]:
    """Judge several at the same time; what they leave is left where pytest removes it."""
    names: list[str] = request.param
    tmp_path = tmp_path_factory.mktemp("victims")
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(8) as pool:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("left")))
        yield dict(zip(names, pool.map(partial(judge, tmp_path=tmp_path), names), strict=True))


def test_changes_nothing_outside_the_directory(runs: Mapping[str, Run]) -> None:
    assert {name: run.changes for name, run in runs.items() if run.changes} == {}


def test_reports_what_a_server_does_to_its_directory(runs: Mapping[str, Run]) -> None:
    harmless = HARMLESS & runs.keys()
    assert {name for name, run in runs.items() if run.end.exit != 1} == harmless
    assert {name for name, run in runs.items() if not run.end.problems} == harmless
    told = [problem for name, run in runs.items() if name.startswith("link-directory") for problem in run.end.problems]
    assert any("was replaced by a link" in problem for problem in told)


@pytest.mark.parametrize("name", ["link-directory-at-end", "link-subdirectory-at-end"])
def test_terminated_suite_changes_nothing_outside(name: str, tmp_path: Path) -> None:
    dear, recording, served = Victim(tmp_path / "homes" / "served"), tmp_path / "run.ndjson", tmp_path / "a" / "data"
    served.parent.mkdir()
    command = ["run", "--serve", words(name, dear), "--cwd", str(ROOT), "--fixtures", str(served), "--size", "64K"]
    with subprocess.Popen(
        [sys.executable, "-m", "conformance", *command, "--ndjson", str(recording)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as running:
        await_(lambda: recording.exists() and recording.read_text("utf-8").count('"type": "result"') > 5)
        running.send_signal(signal.SIGTERM)
        out, _ = running.communicate(timeout=TIMEOUT_SECONDS)
    assert running.returncode == 1, out
    assert b"was replaced by a link, which was not touched" in out
    assert b"interrupted" in out
    assert dear.changes() == []


def test_rejects_a_second_run_in_the_same_directory(tmp_path: Path) -> None:
    served, first = tmp_path / "data", tmp_path / "first.ndjson"
    correct = f"{INTERPRETER} -m tests.conformance.correct_server -p {{port}} -d {{dir}}"
    command = ["run", "--serve", correct, "--cwd", str(ROOT), "--fixtures", str(served), "--size", "64K"]
    with subprocess.Popen(
        [sys.executable, "-m", "conformance", *command, "--ndjson", str(first)], cwd=ROOT, stdout=subprocess.DEVNULL
    ) as running:
        await_(lambda: first.exists() and '"result"' in first.read_text("utf-8"))
        second = conformance(*command)
        running.send_signal(signal.SIGTERM)
        running.wait(TIMEOUT_SECONDS)
    assert second.returncode == 2
    assert second.stderr.startswith(f"conformance: {served} is used by another run of the suite")
    assert second.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [first]

"""A submission is copied whole and harmlessly, and a build that fails, hangs or leaves processes is ended."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.classroom import worker
from conformance.classroom.worker import ROOT, Job, NotPreparedError, build, copy_submission
from conformance.model.verdicts import Exit

pytestmark = pytest.mark.once

JUDGES = """
import os, subprocess, sys
import msgspec
from conformance.classroom.worker import BOOT, ROOT, Job
job = Job([], sys.argv[1], build=["sh", "-c", "touch begun; exec sleep 600"], parent=os.getpid() + int(sys.argv[2]))
with open(f"{sys.argv[1]}/job", "wb") as file:
    file.write(msgspec.json.encode(job))
boot = BOOT.format(path=ROOT, module="conformance.classroom.worker")
sys.exit(subprocess.call([sys.executable, "-c", boot, file.name]))
"""


def job(folder: Path, script: str, seconds: float = 30) -> Job:
    return Job([], str(folder), build=["sh", "-c", script], build_seconds=seconds)


def test_copies_files_and_links_and_nothing_else(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    (source / "a" / ".git").mkdir(parents=True)
    (source / "a" / "run").write_text("x", encoding="ascii")
    (source / "a" / "run").chmod(0o755)
    (source / "link").symlink_to("/etc")
    os.mkfifo(source / "fifo")
    copy_submission(source, copy)
    assert sorted(str(path.relative_to(copy)) for path in copy.rglob("*")) == ["a", "a/run", "link"]
    assert (copy / "link").is_symlink()
    assert os.access(copy / "a" / "run", os.X_OK)


def test_submission_without_bounds_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "COPIED_FILES", 2)
    source = tmp_path / "source"
    source.mkdir()
    for name in "abc":
        (source / name).touch()
    with pytest.raises(NotPreparedError, match="larger than 1024 MiB or 2 files"):
        copy_submission(source, tmp_path / "copy")


def test_build_that_fails_says_what_it_printed(tmp_path: Path) -> None:
    build(job(tmp_path, "touch built"))
    assert (tmp_path / "built").exists()
    with pytest.raises(NotPreparedError) as caught:
        build(job(tmp_path, "echo oops >&2; exit 3"))
    assert str(caught.value) == "build: echo oops >&2; exit 3 exited with 3"
    assert caught.value.output == ["oops"]


def test_build_that_hangs_or_leaves_a_process_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(NotPreparedError, match=r"was not done after 0 s$"):
        build(job(tmp_path, "exec sleep 600", 0.2))
    build(job(tmp_path, f"(echo $$ > {tmp_path}/pid; exec setsid sleep 600) & exit 0"))
    assert time.monotonic() - began < 60
    time.sleep(0.1)
    sleeping = [path for path in Path("/proc").glob("[0-9]*/cwd") if _target(path) == str(tmp_path)]
    assert sleeping == []


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def judges(folder: Path, other_parent: int = 0) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", JUDGES, str(folder), str(other_parent)], cwd=ROOT)


def test_ends_with_what_judges_the_class(tmp_path: Path) -> None:
    with judges(tmp_path) as judge:
        await_that((tmp_path / "begun").exists)
        judge.kill()
    await_that(lambda: not [path for path in Path("/proc").glob("[0-9]*/cwd") if _target(path) == str(tmp_path)])


def test_does_nothing_if_that_has_ended_before(tmp_path: Path) -> None:
    with judges(tmp_path, other_parent=1) as judge:
        assert judge.wait(60) == Exit.INCOMPLETE
    assert not (tmp_path / "begun").exists()


def await_that(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)

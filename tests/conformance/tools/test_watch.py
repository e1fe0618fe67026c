"""A server that is watched is judged again when its files change, first by what failed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.tools.watch import changed, snapshot
from tests import INTERPRETER

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[3]
SERVER = """
import sys
sys.path.insert(0, {root!r})
from tests.broken_servers.__main__ import main
sys.exit(main([{name!r}, *sys.argv[1:]]))
"""
SECONDS = 100


def write(path: Path, name: str) -> None:
    path.write_text(SERVER.format(root=str(ROOT), name=name), encoding="ascii")


@pytest.fixture
def watching(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    write(tmp_path / "server.py", "lf-ends-a-line")
    words = ["--serve", f"{INTERPRETER} server.py -p {{port}} -d {{dir}}", "--size", "64K", "--clients", "5"]
    words += ["-t", "framing.lf-inside", "-t", "framing.lf-first", "-t", "framing.one-command", "--dialect", "2026"]
    with subprocess.Popen(
        [sys.executable, "-m", "conformance", "watch", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process
        process.kill()


def told(process: "subprocess.Popen[str]") -> str:
    """Return what is said until it watches."""
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if line.startswith("watching "):
            break
    return "".join(lines)


def test_judges_again_what_failed_and_then_everything(watching: "subprocess.Popen[str]", tmp_path: Path) -> None:
    first = told(watching)
    assert first.startswith("not conformant (")
    assert "new  A bare LF ends a command" in first
    write(tmp_path / "server.py", "correct-threads")
    second = told(watching)
    _, what, failed, everything, *_ = second.splitlines()
    assert what == "changed: server.py"
    assert failed == "2 of 2 that failed pass now: framing.lf-first, framing.lf-inside"
    assert everything.startswith("conformant (3 pass;")
    assert "gone  A bare LF ends a command" in second
    (tmp_path / "server.py").write_text("import no_such_module", encoding="ascii")
    assert "no_such_module" in told(watching)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(SECONDS) == 0  # of the last run


def test_only_sources_are_watched(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    before = snapshot(tmp_path)
    for name in ("server.log", "data.bin", "__pycache__/x.py"):
        (tmp_path / name).touch()
    assert changed(before, snapshot(tmp_path)) == []
    for name in ("server.py", "Makefile"):
        (tmp_path / name).touch()
    after = snapshot(tmp_path)
    assert changed(before, after) == [str(tmp_path / "Makefile"), str(tmp_path / "server.py")]
    (tmp_path / "server.py").unlink()
    assert changed(after, snapshot(tmp_path)) == [str(tmp_path / "server.py")]

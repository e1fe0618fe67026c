"""Scenarios from a file or an installed package are listed, run and reported like the suite's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.test_cli import CORRECT, ROOT, conformance, run

pytestmark = pytest.mark.once

EXAMPLE = ROOT / "tests" / "conformance" / "example_scenarios.py"
UNRULED = """
from conformance.model.scenario import Chapter
chapter = Chapter()
chapter.transcript("a.b", "HFTP-99.1", "x", "C: quit\\nS: 0 *")
"""
IDS = ("school.sizes-in-order", "school.many-readers")


def test_loads_scenarios_from_a_file() -> None:
    listed = conformance("list", "--scenarios", str(EXAMPLE), "-t", "school")
    assert all(identifier in listed.stdout for identifier in IDS)
    done = run(CORRECT, "--scenarios", str(EXAMPLE), "-t", "school", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"pass        {identifier}" in done.stdout for identifier in IDS)


def test_loads_scenarios_from_an_installed_package(tmp_path: Path) -> None:
    (tmp_path / "school.py").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    metadata = tmp_path / "school-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: school\nVersion: 1.0\n", encoding="ascii")
    (metadata / "entry_points.txt").write_text("[conformance.scenarios]\nschool = school:chapter\n", encoding="ascii")
    listed = subprocess.run(
        [sys.executable, "-m", "conformance", "list", "-t", "school"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    assert all(identifier in listed.stdout for identifier in IDS)


def test_reports_a_load_error_in_one_line(tmp_path: Path) -> None:
    for text, complaint in (
        ("1 / 0", "ZeroDivisionError"),
        ("x = 1", "defines no scenarios"),
        (UNRULED, "no requirement HFTP-99.1"),
    ):
        file = tmp_path / "wrong.py"
        file.write_text(text, encoding="ascii")
        done = conformance("list", "--scenarios", str(file))
        assert done.returncode == 2
        assert complaint in done.stderr
        assert done.stderr.count("\n") == 1

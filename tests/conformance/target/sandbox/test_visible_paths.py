"""What a server in a sandbox sees is what its programs need, and never the home."""

import os
import sys
from pathlib import Path

import pytest

from conformance.target.sandbox.visible_paths import is_below, needed_paths, visible_paths


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a home with programs of several kinds in it."""
    found = tmp_path / "home"
    for name in (".ssh", "bin", ".local/bin", ".local/lib", ".local/share", "tools/bin", "env/bin", "work"):
        (found / name).mkdir(parents=True)
    for name in ("bin/mine", ".local/bin/local", "tools/bin/tool", "env/bin/python", "work/server.py"):
        (found / name).write_text("#!/bin/sh\n", encoding="ascii")
        (found / name).chmod(0o755)
    (found / "env/pyvenv.cfg").write_text(f"home = {found}/tools/bin\n", encoding="ascii")
    return found


def seen_below(home: Path, *words: str) -> list[str]:
    """Return what a command needs below a home."""
    found = visible_paths(needed_paths(words, str(home / "other"), str(home))).real
    return [os.path.relpath(path, home) for path in found if is_below(path, str(home))]


@pytest.mark.parametrize(
    ("word", "seen"),
    [
        ("bin/mine", ["bin"]),
        (".local/bin/local", [".local/bin", ".local/lib"]),
        ("tools/bin/tool", ["tools"]),
        ("env/bin/python", ["env", "tools"]),
        ("work/server.py", ["work"]),
        ("work", ["work"]),
        (".", []),
        ("..", []),
        ("missing/file", []),
    ],
)
def test_shows_where_a_program_is_installed_but_no_home(home: Path, word: str, seen: list[str]) -> None:
    assert seen_below(home, f"{home}/{word}") == seen


def test_finds_programs_in_the_path_and_interpreters_of_scripts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = home / "work" / "run"
    script.write_text("#!/usr/bin/env tool\n", encoding="ascii")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}/tools/bin:{os.environ['PATH']}")
    assert seen_below(home, "env", "tool") == ["tools"]
    assert seen_below(home, str(script)) == ["tools", "work"]


def test_shows_the_python_that_runs_the_suite() -> None:
    found = visible_paths(needed_paths([], "/", "/nonexistent")).real
    assert any(is_below(os.path.realpath(sys.executable), path) for path in found)
    assert any(is_below("/etc/passwd", path) for path in found)
    assert not any(is_below("/etc/shadow", path) for path in found)


def test_names_links_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "real" / "data").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "again").symlink_to(tmp_path / "link")
    found = visible_paths([str(tmp_path / "again" / "data"), str(tmp_path / "missing")])
    assert found.real == [str(tmp_path / "real" / "data")]
    assert found.links == {str(tmp_path / "link"): "real", str(tmp_path / "again"): str(tmp_path / "link")}


def test_endless_links_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert visible_paths([str(tmp_path / "one")]).real == []

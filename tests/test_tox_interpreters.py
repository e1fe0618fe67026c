"""What the matrix installs is installed by uv, or by pip where uv cannot; what is compiled of it is shared."""

import importlib.util
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

INSTALL = Path(__file__).parent / "tox_interpreters" / "install.py"
HELP = ["--help"]
"""What makes pip only say how it is used."""
PIP_HELP = "pip install [options]"

pytestmark = pytest.mark.once


@pytest.fixture
def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the installer, in an environment that tells it nothing."""
    for name in ("MATRIX_UV", "PIP_INDEX_URL", "PIP_NO_INDEX", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = importlib.util.spec_from_file_location("install", INSTALL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def installer_without_index(installer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the installer where pip has no index of its own, whatever this system's has."""
    monkeypatch.setattr(installer, "has_own_index", lambda _: False)
    return installer


def uv_that_exits(directory: Path, status: int) -> str:
    """Make a program that says what it is told, and exits."""
    uv = directory / "uv"
    uv.write_text(f'#!/bin/sh\necho "uv was told: $*"\nexit {status}\n', encoding="ascii")
    uv.chmod(uv.stat().st_mode | stat.S_IXUSR)
    return str(uv)


def test_uv_installs_into_the_interpreter_that_asks(
    installer_without_index: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MATRIX_UV", uv_that_exits(tmp_path, 0))
    assert installer_without_index.main(HELP) == 0
    assert capfd.readouterr().out == f"uv was told: pip install --quiet --python {sys.executable} --help\n"


def test_pip_installs_where_there_is_no_uv(installer: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    assert installer.main(HELP) == 0
    assert PIP_HELP in capfd.readouterr().out


@pytest.mark.parametrize("is_there", [True, False])
def test_pip_installs_where_uv_does_not_and_says_so(
    installer_without_index: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    is_there: bool,
) -> None:
    monkeypatch.setenv("MATRIX_UV", uv_that_exits(tmp_path, 2) if is_there else str(tmp_path / "nothing"))
    assert installer_without_index.main(HELP) == 0
    said = capfd.readouterr()
    assert PIP_HELP in said.out
    assert "uv did not install it; pip does" in said.err


@pytest.mark.parametrize("is_file", [True, False])
def test_pip_installs_where_it_alone_knows_the_index(
    installer: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    is_file: bool,
) -> None:
    monkeypatch.setenv("MATRIX_UV", uv_that_exits(tmp_path, 0))
    if is_file:
        (tmp_path / ".pip").mkdir()
        (tmp_path / ".pip" / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/\n", encoding="utf-8")
    else:
        monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    assert installer.main(HELP) == 0
    said = capfd.readouterr().out
    assert PIP_HELP in said
    assert "uv was told" not in said


def test_an_environment_takes_over_what_another_one_has_compiled(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = Path("lib", "python3", "site-packages")
    matrix, bytecode = tmp_path / "matrix", tmp_path / "bytecode"
    kept = bytecode / matrix.relative_to("/")
    for environment, name in (("first", "a"), ("first", "b"), ("second", "b")):
        compiled = kept / environment / below / "package" / f"{name}.pyc"
        compiled.parent.mkdir(parents=True, exist_ok=True)
        compiled.write_text(environment, encoding="ascii")
    (kept / "first" / "lib" / "other.pyc").touch()
    monkeypatch.setattr(sys, "prefix", str(matrix / "ours"))
    for _ in range(2):
        installer.take_over_bytecode(bytecode, matrix / "ours" / below)
        (kept / "first" / below / "package" / "later.pyc").touch()
    ours = {path.relative_to(kept / "ours"): path.read_text() for path in (kept / "ours").rglob("*.pyc")}
    assert ours.keys() == {below / "package" / "a.pyc", below / "package" / "b.pyc"}
    assert ours[below / "package" / "a.pyc"] == "first"


def test_what_is_taken_over_is_as_good_as_compiled(tmp_path: Path) -> None:
    """The promise of the interpreter on which this stands: it looks at time and size of the source, not at its path."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    (there / "module.py").write_text("def fail(): raise ValueError\n", encoding="ascii")
    (here / "module.py").hardlink_to(there / "module.py")

    def trace(directory: Path) -> str:
        script = f"import sys; sys.path.insert(0, {str(directory)!r}); import module; module.fail()"
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        return done.stderr

    assert str(there / "module.py") in trace(there)
    (compiled,) = (tmp_path / "bytecode").rglob("module*.pyc")
    taken = tmp_path / "bytecode" / here.relative_to("/") / compiled.name
    taken.parent.mkdir()
    taken.hardlink_to(compiled)
    inode = taken.stat().st_ino
    assert str(here / "module.py") in trace(here), "and it names the file that is here"
    assert taken.stat().st_ino == inode, "it was not compiled anew"

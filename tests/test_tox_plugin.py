"""What suits tox-uv to the matrix: interpreters that are not on PATH, the index of pip, and bytecode that is shared."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

pytestmark = pytest.mark.once


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module, without a tox: the environments of the matrix have none."""
    for name in ("tox", "tox.config", "tox.config.cli", "tox.tox_env"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name, value in (
        ("tox.config.cli.parser", SimpleNamespace(ToxParser=object)),
        ("tox.plugin", SimpleNamespace(impl=lambda function: function)),
        ("tox.tox_env.api", SimpleNamespace(ToxEnv=object)),
    ):
        monkeypatch.setitem(sys.modules, name, value)
    spec = importlib.util.spec_from_file_location(
        "tox_matrix", Path(__file__).with_name("tox_plugin") / "tox_matrix.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_interpreters_of_version_managers_come_last_on_the_path_and_the_newest_first(
    plugin: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "has_interpreter", lambda *_: False)
    pyenv, mise = tmp_path / ".pyenv" / "versions", tmp_path / "mise" / "installs" / "python"
    for directory in (pyenv / "3.12.1", pyenv / "3.13.0", pyenv / "pypy3.10-7.3", mise / "3.14.0", pyenv / "2.7.18"):
        (directory / "bin").mkdir(parents=True)
    environment = {"PATH": "/usr/bin:/bin", "MISE_DATA_DIR": str(tmp_path / "mise")}
    plugin.prepare(environment, tmp_path)
    found = [f"{pyenv}/pypy3.10-7.3/bin", f"{pyenv}/3.13.0/bin", f"{pyenv}/3.12.1/bin", f"{mise}/3.14.0/bin"]
    assert environment["PATH"].split(":") == ["/usr/bin", "/bin", *found]


def test_what_is_set_stays_as_it_is(plugin: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "has_interpreter", lambda *_: True)
    names = ("TOX_PARALLEL", "UV_PYTHON_DOWNLOADS", "UV_SYSTEM_CERTS", "UV_DEFAULT_INDEX", "MATRIX_PYTHON")
    given = dict.fromkeys(names, "mine")
    environment = given | {"PATH": "/bin", "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    plugin.prepare(environment, tmp_path)
    assert {name: environment[name] for name in names} == given


@pytest.mark.parametrize(("is_there", "expected"), [(True, "python3.11"), (False, None)])
def test_one_interpreter_runs_every_test_if_it_is_there(
    plugin: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool, expected: str | None
) -> None:
    monkeypatch.setattr(plugin, "has_interpreter", lambda *_: is_there)
    environment = {"PATH": "/bin"}
    plugin.prepare(environment, tmp_path)
    assert environment.get("MATRIX_PYTHON") == expected


@pytest.mark.parametrize("is_file", [True, False])
def test_uv_is_told_of_the_index_of_pip(
    plugin: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_file: bool
) -> None:
    monkeypatch.setattr(plugin, "has_interpreter", lambda *_: False)
    file = tmp_path / "pip.conf"
    monkeypatch.setattr(plugin, "_PIP_FILES", (str(file), str(tmp_path / "missing.conf")))
    environment = {"PATH": "/bin"}
    plugin.prepare(environment, tmp_path)
    assert "UV_DEFAULT_INDEX" not in environment
    if is_file:
        file.write_text("[global]\nindex-url = http://127.0.0.1:9/\n", encoding="utf-8")
    else:
        environment["PIP_INDEX_URL"] = "http://127.0.0.1:9/"
    plugin.prepare(environment, tmp_path)
    assert environment["UV_DEFAULT_INDEX"] == "http://127.0.0.1:9/"


def test_an_environment_takes_over_what_another_one_has_compiled(plugin: ModuleType, tmp_path: Path) -> None:
    below = Path("lib", "python3", "site-packages")
    matrix, bytecode = tmp_path / "matrix", tmp_path / "bytecode"
    kept = bytecode / matrix.relative_to("/")
    for environment, name in (("first", "a"), ("first", "b"), ("second", "b")):
        compiled = kept / environment / below / "package" / f"{name}.pyc"
        compiled.parent.mkdir(parents=True, exist_ok=True)
        compiled.write_text(environment, encoding="ascii")
    (kept / "first" / "lib" / "other.pyc").touch()
    for _ in range(2):
        plugin.link_bytecode(bytecode, matrix / "ours", matrix / "ours" / below)
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

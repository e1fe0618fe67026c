"""Modules stay short, have tests and run no text as code; `lint-imports` (pyproject.toml) checks who imports whom."""

import ast
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import conformance
import greenserver

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
PACKAGES = ("greenserver", "conformance")
LONGEST_MODULE_LINES = 320


def module_name(path: Path) -> str:
    """Return a module's name: greenserver/engines/__init__.py -> greenserver.engines."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
each_module = pytest.mark.parametrize("module", MODULES)
# The package itself names the home of each public name, for type checkers alone.
each_module_of_the_server = pytest.mark.parametrize(
    "module", [name for name in MODULES if name.startswith("greenserver.")]
)


@cache
def tree_of(module: str) -> ast.Module:
    """Return a module as it is parsed."""
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@each_module
def test_a_module_is_short(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE_LINES


@each_module
def test_no_text_is_run_as_code(module: str) -> None:
    calls = [node.func for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]
    called = {function.id for function in calls if isinstance(function, ast.Name)}
    assert called.isdisjoint({"eval", "exec", "globals", "__import__"})


@each_module_of_the_server
def test_there_is_a_test_module_for_each_module(module: str) -> None:
    package, *folders, name = module.replace("__main__", "main").split(".")
    there = ROOT / "tests" / package
    # In a folder of the same name, or one for all of a folder.
    places = [there.joinpath(*folders, f"test_{name}.py"), there.joinpath(*folders, name, "__init__.py")]
    places += [there / f"test_{folder}.py" for folder in folders]
    assert any(place.exists() for place in places)


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package in (conformance, greenserver) for name in package.__all__]
)
def test_a_public_name_can_be_had(package: ModuleType, name: str) -> None:
    assert getattr(package, name) is not None


@pytest.mark.parametrize("package", [conformance, greenserver])
def test_a_name_that_is_not_public_cannot_be_had(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = package.Nonsense

"""Modules import only what lies below them, open with their rule, and stay short."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
PACKAGES = ("greenserver", "conformance")
LONGEST_MODULE_LINES = 320

# Each row may import the rows below it, and nothing of its own row or above.
LAYERS = (
    ("greenserver.__main__",),
    ("greenserver.cli",),
    ("greenserver.operation.workers",),
    ("greenserver.operation.supervisor",),
    ("greenserver.operation.worker", "greenserver.operation.preflight"),
    ("greenserver.operation.process", "greenserver.operation.deployment"),
    ("greenserver.server",),
    ("greenserver.engines.*",),
    ("greenserver.engines",),
    ("greenserver.connection",),
    ("greenserver.inbox", "greenserver.reflex"),
    ("greenserver.chronicle",),
    ("greenserver.dialects", "greenserver.operation.admin"),
    ("greenserver.arrival", "greenserver.outbox", "greenserver.commands", "greenserver.operation.admin_process"),
    ("greenserver.responses", "greenserver.gate", "greenserver.listening", "greenserver.operation.metrics"),
    (
        "greenserver.operation.notices",
        "greenserver.patching",
        "greenserver.operation.privileges",
        "greenserver.operation.board",
    ),
    ("greenserver.configuration",),
    (
        "greenserver.store",
        "greenserver.lines",
        "greenserver.episodes",
        "greenserver.doors",
        "greenserver.operation.heartbeat",
        "greenserver.operation.lifecycle",
    ),
    (
        "greenserver.file_slice",
        "greenserver.file_threads",
        "greenserver.flights",
        "greenserver.pacing",
        "greenserver.proxy_protocol",
    ),
    (
        "greenserver.tls",
        "greenserver.logs",
        "greenserver.kinds",
        "greenserver.allocator",
        "greenserver.operation.inheritance",
        "greenserver.operation.descriptors",
    ),
    ("greenserver.status", "greenserver.waiting", "greenserver.meter", "greenserver.cached", "greenserver.addresses"),
    ("greenserver.limits", "greenserver.operation", "greenserver"),
)


def module_name(path: Path) -> str:
    """Return a module's name: greenserver/engines/__init__.py -> greenserver.engines."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
each_module = pytest.mark.parametrize("module", MODULES)


@cache
def tree_of(module: str) -> ast.Module:
    """Return a module as it is parsed."""
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def imported_by(module: str) -> frozenset[str]:
    """Return the names of the modules that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports by a relative name"
            assert node.module is not None
            for alias in node.names:
                is_module = f"{node.module}.{alias.name}" in MODULES
                names.add(f"{node.module}.{alias.name}" if is_module else node.module)
    return frozenset(names)


def layer_of(module: str) -> int:
    """Return the row of a module in the table; one that is missing there is a mistake."""
    parent = module.rpartition(".")[0] + ".*"
    return next(row for row, names in enumerate(LAYERS) if module in names or parent in names)


@each_module
def test_a_module_imports_only_from_layers_below(module: str) -> None:
    if module == "greenserver":  # it names the home of each public name, for type checkers alone
        return
    for imported in imported_by(module):
        if module.startswith("greenserver") and imported in MODULES and imported.startswith("greenserver"):
            assert layer_of(imported) > layer_of(module), f"{module} imports {imported}"


@each_module
def test_the_packages_never_import_each_other_nor_the_tests(module: str) -> None:
    (own,) = {package for package in PACKAGES if module.split(".", 1)[0] == package}
    strangers = {*PACKAGES, "tests"} - {own}
    assert strangers.isdisjoint(imported.split(".")[0] for imported in imported_by(module))


@each_module
def test_engines_do_not_import_each_other(module: str) -> None:
    if module.startswith("greenserver.engines."):
        assert not [name for name in imported_by(module) if name.startswith("greenserver.engines.")]


def test_limits_import_nothing_of_the_project() -> None:
    assert not [name for name in imported_by("greenserver.limits") if name.split(".")[0] not in sys.stdlib_module_names]


@each_module
def test_only_the_engine_of_greenlets_and_what_patches_know_gevent(module: str) -> None:
    if module not in {"greenserver.patching", "greenserver.engines.greenlets"}:
        assert "gevent" not in {imported.split(".")[0] for imported in imported_by(module)}


@each_module
def test_a_module_opens_with_its_rule(module: str) -> None:
    rule = ast.get_docstring(tree_of(module))
    assert rule is not None
    assert rule.splitlines()[0].endswith((".", "!", ";", ","))


@each_module
def test_a_module_is_short(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE_LINES


@each_module
def test_no_name_of_a_client_ever_chooses_an_attribute(module: str) -> None:
    calls = [node.func for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]
    called = {function.id for function in calls if isinstance(function, ast.Name)}
    assert called.isdisjoint({"eval", "exec", "globals", "__import__"})


@each_module
def test_there_is_a_test_module_for_each_module(module: str) -> None:
    if module in PACKAGES:
        return
    package, *folders, name = module.replace("__main__", "main").split(".")
    if package == "greenserver":
        there = ROOT / "tests" / package
        # In a folder of the same name, or one for all of a folder.
        places = [there.joinpath(*folders, f"test_{name}.py"), there.joinpath(*folders, name, "__init__.py")]
        places += [there / f"test_{folder}.py" for folder in folders]
        assert any(place.exists() for place in places)


@each_module
def test_only_the_command_line_knows_how_a_server_is_operated(module: str) -> None:
    if module != "greenserver.cli" and not module.startswith("greenserver.operation"):
        assert not [name for name in imported_by(module) if name.startswith("greenserver.operation")]


@pytest.mark.parametrize("name", __import__("greenserver").__all__)
def test_a_public_name_can_be_had(name: str) -> None:
    import greenserver  # noqa: PLC0415  (what is tested)

    assert getattr(greenserver, name) is not None


def test_a_name_that_is_not_public_cannot_be_had() -> None:
    import greenserver  # noqa: PLC0415  (what is tested)

    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = greenserver.Nonsense

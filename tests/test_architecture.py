"""Modules import only what lies below them, and stay short. pyproject.toml has the other contracts (`lint-imports`)."""

import ast
from functools import cache
from pathlib import Path

import pytest

import greenserver

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
PACKAGES = ("greenserver", "conformance")
LONGEST_MODULE_LINES = 320

# Each row may import the rows below it, and nothing of its own row or above.
LAYERS = (
    ("greenserver.__main__",),
    ("greenserver.cli",),
    ("greenserver.service.workers",),
    ("greenserver.service.arbiter",),
    ("greenserver.service.worker",),
    ("greenserver.service.process", "greenserver.service.deployment"),
    ("greenserver.server",),
    ("greenserver.engines.*",),
    ("greenserver.engines",),
    ("greenserver.connection.connection",),
    ("greenserver.connection.reader", "greenserver.connection.fast_path"),
    ("greenserver.telemetry.access_log",),
    ("greenserver.protocol.dialects", "greenserver.admin.process"),
    (
        "greenserver.connection.handshake",
        "greenserver.connection.writer",
        "greenserver.protocol.commands",
        "greenserver.admin.http",
    ),
    (
        "greenserver.protocol.responses",
        "greenserver.net.limiter",
        "greenserver.net.listening",
        "greenserver.admin.metrics",
    ),
    (
        "greenserver.service.reload",
        "greenserver.monkeypatch",
        "greenserver.service.privileges",
        "greenserver.admin.state_directory",
    ),
    ("greenserver.config.settings",),
    (
        "greenserver.files.store",
        "greenserver.protocol.framing",
        "greenserver.telemetry.throttle",
        "greenserver.net.drain",
        "greenserver.service.heartbeat",
    ),
    (
        "greenserver.files.file_slice",
        "greenserver.files.thread_pool",
        "greenserver.files.single_flight",
        "greenserver.connection.flow_control",
        "greenserver.connection.proxy_protocol",
    ),
    (
        "greenserver.connection.tls",
        "greenserver.telemetry.log",
        "greenserver.config.option_types",
        "greenserver.io.allocator",
        "greenserver.service.systemd",
        "greenserver.service.rlimits",
    ),
    (
        "greenserver.protocol.status",
        "greenserver.io.wait",
        "greenserver.telemetry.metrics",
        "greenserver.files.page_cache",
        "greenserver.config.addresses",
    ),
    ("greenserver.config.limits", "greenserver.service", "greenserver"),
)


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


@each_module_of_the_server
def test_a_module_imports_only_from_layers_below(module: str) -> None:
    for imported in imported_by(module):
        if imported in MODULES:
            assert layer_of(imported) > layer_of(module), f"{module} imports {imported}"


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


@pytest.mark.parametrize("name", greenserver.__all__)
def test_a_public_name_can_be_had(name: str) -> None:
    assert getattr(greenserver, name) is not None


def test_a_name_that_is_not_public_cannot_be_had() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = greenserver.Nonsense

"""What developers and CI call exists: targets of the Makefile, environments of tox, options of the commands."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from conformance import cli as conformance_cli
from greenserver import cli as greenserver_cli

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
TARGETS = ("run", "test", "lint", "judge", "translations", "matrix")
PROGRAMS = {"python", "pip", "pytest", "ruff", "lint-imports", "mypy", "tox", "greenserver", "conformance"}
"""What .venv/bin has once the Makefile has filled it."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def environments() -> list[str]:
    """Return the names in tox.ini's env_list; braces give several."""
    tox = configparser.RawConfigParser()
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    names: list[str] = []
    for line in tox["tox"]["env_list"].split():
        before, *choices = re.split(r"[{}]", line)
        names += [f"{before}{choice}" for choice in choices[0].split(",")] if choices else [before]
    return names


@pytest.mark.skipif(shutil.which("make") is None, reason="make is missing: apt-get install make")
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_of_the_makefile_calls_programs_that_exist(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    called = set(re.findall(r"\.venv/bin/(\S+)", done.stdout))
    assert {"pip"} < called <= PROGRAMS


def test_the_makefile_lists_its_targets() -> None:
    assert tuple(re.findall(r"^(\w+):.*## (?!List)", text_of("Makefile"), re.MULTILINE)) == TARGETS


def test_the_makefile_installs_groups_that_exist() -> None:
    groups = tomllib.loads(text_of("pyproject.toml"))["dependency-groups"]
    assert set(re.findall(r"--group (\S+)", text_of("Makefile"))) <= groups.keys()


@pytest.mark.parametrize("file", ["Makefile", "tox.ini", ".github/ISSUE_TEMPLATE/verdict.yml"])
def test_options_of_conformance_run_that_are_written_down_exist(file: str) -> None:
    known = {name for row in conformance_cli.commands.commands["run"].params for name in row.opts}
    written = re.findall(r"conformance run (.*)", text_of(file))
    assert written
    for line in written:
        own = re.sub(r"""(["']).*?\1""", "", line)  # the command of --serve
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", own)) <= known


def test_options_of_greenserver_that_are_written_down_exist() -> None:
    known = {name for row in greenserver_cli.serve.params if isinstance(row, click.Option) for name in row.opts}
    (written,) = re.findall(r"/greenserver (.*?)\"", text_of("Makefile"))
    assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", written)) <= known


def test_ci_runs_each_environment_of_the_matrix() -> None:
    called = re.findall(r'environment: "?([\w,-]+)"?,', text_of(".github/workflows/ci.yml"))
    assert sorted(name for names in called for name in names.split(",")) == sorted(environments())


def test_the_hooks_are_those_of_make_lint() -> None:
    hooks = re.findall(r"entry: \.venv/bin/([\w-]+)(?: (\w+))?", text_of(".pre-commit-config.yaml"))
    lint = text_of("Makefile").partition("\nlint:")[2].partition("\n\n")[0]
    assert hooks == re.findall(r"\$\(BIN\)/([\w-]+)(?: (\w+))?", lint)


def test_the_docs_install_what_the_makefile_installs() -> None:
    (line,) = re.findall(r"install --quiet (--editable .*)", text_of("Makefile"))
    assert line in text_of("CONTRIBUTING.md")

"""What `conformance deploy` prints is well-formed, and an autograder runs as Gradescope would run it."""

import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click import Context

from conformance.cli import commands
from conformance.deployment import SCRIPTS, TEMPLATES, Deployment, DeploymentError
from tests import INTERPRETER
from tests.conformance.grading.test_gradescope import results_of

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
SERVER = """
import sys
sys.path.insert(0, {root!r})
from tests.broken_servers.__main__ import main
sys.exit(main(["lf-ends-a-line", *sys.argv[1:], "--dialect", "2019"]))
"""
FULL = Deployment('./x "a" {port}', "make 'all'", "2019", "greenserver==1")


@pytest.mark.parametrize("name", [name for names in TEMPLATES.values() for name in names])
def test_every_placeholder_is_filled(name: str) -> None:
    for deployment in (FULL, Deployment("", "", "2026", "greenserver")):
        text = deployment.render(name)
        assert "@" not in text.replace("actions/checkout@", "").replace("actions/setup-python@", "").replace(
            "actions/upload-artifact@", ""
        ).replace('"${points[@]}"', "")
    assert ("greenserver==1" in FULL.render(name)) == (name != "run_autograder")


def test_commands_are_quoted_for_yaml_and_for_a_shell() -> None:
    workflow = FULL.render("github-action.yml")
    assert f"SERVE: {json.dumps(FULL.serve)}" in workflow
    assert f"run: {json.dumps(FULL.build)}" in workflow
    script = FULL.render("run_autograder")
    assert """--max-seconds 480 --serve './x "a" {port}' --build 'make '"'"'all'"'"''""" in script
    for command in ("echo ${{ secrets.TOKEN }}", "a\nb"):
        with pytest.raises(DeploymentError, match="one line each"):
            Deployment(command, "", "2026", "x").render("github-action.yml")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_one(name: str) -> None:
    subprocess.run(["bash", "-n"], input=FULL.render(name), text=True, check=True, timeout=60)


def test_options_that_a_template_gives_exist() -> None:
    text = "".join(FULL.render(name) for names in TEMPLATES.values() for name in names)
    for command in ("run", "grade", "class"):
        found = commands.get_command(Context(commands), command)
        assert found is not None
        known = {option for row in found.params for option in row.opts}
        lines = text.replace(" --ndjson", "\n conformance run --ndjson").splitlines()
        given = [word for line in lines if f" {command} " in line for word in line.split() if word.startswith("--")]
        assert given
        assert set(given) <= known


def test_autograder_runs_as_gradescope_would_run_it(tmp_path: Path) -> None:
    # https://gradescope-autograders.readthedocs.io/en/latest/specs/#file-hierarchy
    place = tmp_path / "autograder"
    for name in ("source", "submission", "results"):
        (place / name).mkdir(parents=True)
    (place / "submission" / "server.py").write_text(SERVER.format(root=str(ROOT)), encoding="ascii")
    (place / "source" / "points.toml").write_text("scale = 10\n", encoding="ascii")
    program = tmp_path / "conformance"
    few = f"-t framing.lf-inside -t framing.one-command --size 64K --clients 5 --sandbox-read {shlex.quote(str(ROOT))}"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = class ] && set -- "$@" {few}\nexec {INTERPRETER} -m conformance "$@"\n',
        encoding="ascii",
    )
    program.chmod(0o755)
    deployed = subprocess.run(
        [sys.executable, "-m", "conformance", "deploy", "gradescope", "--dialect", "2019", "-o", place / "source"],
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    assert deployed.returncode == 0
    harness = place / "run_autograder"  # it is put there from the archive
    shutil.copy(place / "source" / "run_autograder", harness)
    assert harness.stat().st_mode & stat.S_IXUSR
    done = subprocess.run(
        [harness],
        cwd=place,
        env=os.environ
        | {"AUTOGRADER": str(place), "CONFORMANCE": str(program), "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    )
    found = results_of((place / "results" / "results.json").read_text(encoding="utf-8"))
    assert found.score == 5, done.stdout
    assert {row.number: row.status for row in found.tests} == {"1.2": "failed", "2.1": "passed"}

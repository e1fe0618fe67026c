"""Modules in the current or the served directory are never imported, however the server is started."""

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenserver.io import import_path
from tests.greenserver.program import PROGRAM, plain_environment, running
from tests.greenserver.serving import ROOT, TIMEOUT_SECONDS, wait_until

pytestmark = pytest.mark.once

IMPORTED = (
    *("json", "http", "ssl", "socket", "select", "selectors", "threading", "tempfile", "shutil", "pwd", "click"),
    *("ipaddress", "tomllib", "tomli", "prometheus_client", "gevent", "pybase64", "difflib", "logging", "queue"),
)
"""Modules that the server or its admin process imports itself."""
BY_THE_INTERPRETER = ("greenserver", "sitecustomize", "usercustomize", "site", "encodings", "runpy", "codecs")
"""Modules that an interpreter looks for before it runs a line of this program."""

FORMS = {
    "plain": [],
    "workers": ["--workers", "1"],
    "admin": ["--admin", "127.0.0.1:0"],
    "workers and admin": ["--workers", "1", "--admin", "127.0.0.1:0"],
    "threads": ["--engine", "threads"],
}


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Path]:
    """Return a directory of modules that each leave a mark when they are run, and check that none was."""
    path = tmp_path / "served"
    path.mkdir()
    mark = tmp_path / "run"
    for name in (*IMPORTED, *BY_THE_INTERPRETER):
        (path / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write({name + ' '!r})\nraise SystemExit(99)\n")
    yield path
    assert not mark.exists(), mark.read_text()


def serve_once(trap: Path, *options: str, **more: Any) -> None:  # noqa: ANN401  (as `running`)
    """Start a server in the trap, ask its admin endpoint if there is one, and stop it."""
    with running(trap.parent / "server", *options, cwd=trap, **more) as server:
        if "--admin" not in options:
            return
        found = re.search(r"admin endpoint listening address=(\S+)", server.log)
        assert found is not None

        def is_ready() -> bool:
            try:
                urllib.request.urlopen(f"http://{found[1]}/readyz", timeout=TIMEOUT_SECONDS).close()
            except OSError:
                return False
            return True

        wait_until(is_ready, "the admin process answers")
        urllib.request.urlopen(f"http://{found[1]}/metrics", timeout=TIMEOUT_SECONDS).close()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_serving_imports_nothing_from_the_served_directory(trap: Path, form: list[str]) -> None:
    serve_once(trap, *form)


@pytest.mark.parametrize(
    "arguments", [["--check-config"], ["--version"], ["deploy", "systemd"], ["deploy", "container"]]
)
def test_other_commands_import_nothing_from_the_served_directory(trap: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [PROGRAM, *arguments],
        cwd=trap,
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, bool(done.stdout)) == (0, True), done.stderr


@pytest.mark.parametrize("how", ["-m", "PYTHONPATH"])
def test_ignores_the_current_directory_on_the_path(trap: Path, how: str) -> None:
    """Modules that the interpreter imports by itself are loaded before the program can prevent it."""
    for name in BY_THE_INTERPRETER:
        (trap / f"{name}.py").unlink()
    for name in ("socket", "select", "selectors", "threading"):  # runpy and site may import these
        (trap / f"{name}.py").unlink()
    command, path = ([PROGRAM], ":") if how == "PYTHONPATH" else ([sys.executable, "-m", "greenserver"], "")
    serve_once(trap, "--admin", "127.0.0.1:0", command=command, environment={"PYTHONPATH": path})


def test_keeps_a_checkout_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [str(ROOT), "/elsewhere"])
    import_path.forget_current_directory()
    assert sys.path == [str(ROOT), "/elsewhere"]


def test_ignores_a_removed_current_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    removed = tmp_path / "removed"
    removed.mkdir()
    monkeypatch.chdir(removed)
    removed.rmdir()
    before = list(sys.path)
    import_path.forget_current_directory()
    assert sys.path == before


def test_isolated_process_has_the_same_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "m\udcffdules"
    home.mkdir()
    (home / "answering.py").write_text("import sys\ndef main(): print(sys.argv[1:], sys.flags.isolated)\n")
    monkeypatch.syspath_prepend(str(home))
    command = import_path.isolated_command("answering", "a", "b")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ}, check=True)
    assert done.stdout == "['a', 'b'] 1\n"

"""No module that lies in the current directory or in the served one is run, however the server is started."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenserver.io import isolation
from tests.greenserver.serving import PATIENCE_SECONDS, ROOT, unmeasured, wait_until

pytestmark = pytest.mark.once

PROGRAM = str(Path(sys.executable).with_name("greenserver"))
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


def environment(**more: str) -> dict[str, str]:
    known = {name: value for name, value in unmeasured().items() if not name.startswith(("PYTHON", "GREENSERVER_"))}
    return known | more


def serve_once(command: list[str], trap: Path, **more: str) -> str:
    """Start a server in the trap, ask its admin endpoint if there is one, stop it, and return its log."""
    log = trap.parent / "log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [*command, "-p", "0"], cwd=trap, env=environment(**more), stdout=subprocess.PIPE, stderr=stderr
        ) as process,
    ):
        assert process.stdout is not None
        try:
            assert b"listens on" in process.stdout.readline(), log.read_text()
            if found := re.search(r"admin endpoint listening address=(\S+)", log.read_text()):

                def is_ready() -> bool:
                    try:
                        urllib.request.urlopen(f"http://{found[1]}/readyz", timeout=PATIENCE_SECONDS).close()
                    except OSError:
                        return False
                    return True

                wait_until(is_ready, "the admin process answers")
                urllib.request.urlopen(f"http://{found[1]}/metrics", timeout=PATIENCE_SECONDS).close()
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == 0, log.read_text()
    return log.read_text()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_command_runs_nothing_of_the_served_directory(trap: Path, form: list[str]) -> None:
    serve_once([PROGRAM, *form], trap)


@pytest.mark.parametrize(
    "arguments", [["--check-config"], ["--version"], ["deploy", "systemd"], ["deploy", "container"]]
)
def test_the_command_runs_nothing_of_it_when_it_serves_nobody(trap: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [PROGRAM, *arguments], cwd=trap, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, bool(done.stdout)) == (0, True), done.stderr


@pytest.mark.parametrize("how", ["-m", "PYTHONPATH"])
def test_the_current_directory_on_the_path_is_not_imported_from(trap: Path, how: str) -> None:
    """What an interpreter looks for by itself it finds there before this program can prevent it."""
    for name in BY_THE_INTERPRETER:
        (trap / f"{name}.py").unlink()
    for name in ("socket", "select", "selectors", "threading"):  # runpy and site may import these
        (trap / f"{name}.py").unlink()
    command, path = ([PROGRAM], ":") if how == "PYTHONPATH" else ([sys.executable, "-m", "greenserver"], "")
    serve_once([*command, "--admin", "127.0.0.1:0"], trap, PYTHONPATH=path)


def test_a_checkout_runs_from_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [str(ROOT), "/elsewhere"])
    isolation.forget_current_directory()
    assert sys.path == [str(ROOT), "/elsewhere"]


def test_a_current_directory_that_was_removed_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    removed = tmp_path / "removed"
    removed.mkdir()
    monkeypatch.chdir(removed)
    removed.rmdir()
    before = list(sys.path)
    isolation.forget_current_directory()
    assert sys.path == before


def test_an_isolated_process_imports_from_where_this_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "m\udcffdules"
    home.mkdir()
    (home / "answering.py").write_text("import sys\ndef main(): print(sys.argv[1:], sys.flags.isolated)\n")
    monkeypatch.syspath_prepend(str(home))
    command = isolation.isolated_command("answering", "a", "b")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ}, check=True)
    assert done.stdout == "['a', 'b'] 1\n"

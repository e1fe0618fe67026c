"""A run with --sandbox ends well whatever the server tries, says what was in force, and judges honest servers alike."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from conformance import language
from conformance.config import Options
from conformance.language import translated
from conformance.model.events import Event, Result, RunEnd, RunStart
from conformance.runner.runner import Runner
from conformance.scenarios import catalogue
from conformance.target.failed_start import ServerStartError
from conformance.target.sandbox.confined_guard import LANDLOCK, NAMESPACES
from conformance.target.sandbox.limits import limits_for
from conformance.target.sandbox.notes import note
from conformance.target.sandbox.sandbox import AUTO, Sandbox, SandboxError, choose, why_python_cannot_run
from tests.broken_servers.hostile.intruders import LIMITED
from tests.broken_servers.hostile.victim import Victim
from tests.conformance.test_cli import CORRECT, conformance
from tests.conformance.test_pytest_plugin import asked, pytest_

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
SELECTED = ("listings.empty*", "listings.one-file", "framing.one-command", "clients.two*")
HONEST = {
    "textbook": "-m tests.conformance.correct_server",
    "gevent": "-m greenserver",
    "threads": "-m greenserver --engine threads",
    "selectors": "-m greenserver --engine selectors",
    "sequential": "-m greenserver --engine sequential",
    "workers": "-m greenserver --workers 2",
}
TOLD = {
    "fork-bomb": "processes and threads",
    "memory-bomb": "MiB of memory, and was ended",
    "fill-disk": "256 MiB of files, which is all that it may",
    "kill-others": "",
    "write-dear": "",
}
"""What is told of each intruder; those that a sandbox simply stops go on, and answer rightly."""


class Run(NamedTuple):
    """What came of a run."""

    start: RunStart
    end: RunEnd
    verdicts: dict[str, str]


@cache
def obstacle(mode: str) -> str:
    """Return why there is no sandbox of a kind on this machine; empty if there is one."""
    try:
        return why_python_cannot_run(choose(mode, str(ROOT), "", limits_for(10)))
    except SandboxError as error:
        return str(error)


def judge(words: list[str], mode: str, *select: str) -> Run:
    """Judge a server by a few scenarios, in a sandbox or not."""
    events: list[Event] = []
    serve = shlex.join(words) + " -p {port} -d {dir}"
    chosen = select or SELECTED
    options = Options(
        serve=serve, cwd=str(ROOT), sandbox=mode, select=chosen, large_bytes=1 << 16, clients=10, timeout_scale=0.5
    )
    with Runner(options, catalogue(), events.append) as runner:
        end = runner.run()
    start = next(event for event in events if isinstance(event, RunStart))
    return Run(start, end, {event.scenario: event.verdict.value for event in events if isinstance(event, Result)})


def needs(mode: str) -> None:
    """Skip a test where there is no such sandbox."""
    if reason := obstacle(mode):
        pytest.skip(reason)


@pytest.mark.parametrize("name", TOLD)
def test_intruder_is_stopped_and_told_of(name: str, tmp_path: Path) -> None:
    needs(NAMESPACES)
    dear = Victim(tmp_path / "homes" / "served")
    variables = ["env", f"HFTP_VICTIM={dear.path}", f"{LIMITED}=1"]
    words = [*variables, sys.executable, "-m", "tests.broken_servers.hostile", f"{name}-at-listing"]
    run = judge(words, NAMESPACES, "listings.one-file")
    assert dear.changes() == []
    assert "reached" not in run.end.output.replace("reached process -1", "")
    assert any(TOLD[name] in problem for problem in run.end.problems) or not TOLD[name], run.end
    assert run.end.exit == (1 if name.endswith("bomb") else 0)
    marked = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(dear.path).encode() in _content(path)]
    assert marked == []


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only a suite of root runs the server as another user")
def test_program_that_only_root_may_run_is_told_of(tmp_path: Path) -> None:
    needs(NAMESPACES)
    program = tmp_path / "python"
    shutil.copyfile(os.path.realpath(sys.executable), program)
    program.chmod(0o700)
    with pytest.raises(
        ServerStartError, match=r"/python as user \d+, whom the sandbox takes because .* as root: let all"
    ):
        judge([str(program), *HONEST["textbook"].split()], AUTO)


def test_notes_and_what_was_in_force_are_translated() -> None:
    in_force = str(Sandbox(NAMESPACES, str(ROOT), "", limits_for(10), has_folder_changes=True))
    told = note("too-much-memory", 2048)
    assert told == "the server used more than 2048 MiB of memory, and was ended"
    language.use("es")
    try:
        assert translated(told) == "el servidor usó más de 2048 MiB de memoria, y se lo terminó"
        words = translated(in_force)
    finally:
        language.use(language.ENGLISH)
    assert "del disco" in words
    assert not re.search(r"\b(the|its|and|at most|of)\b", words)


@pytest.mark.parametrize("name", HONEST)
def test_honest_servers_get_the_same_verdicts(name: str) -> None:
    words = [sys.executable, *HONEST[name].split()]
    modes = [mode for mode in (NAMESPACES, LANDLOCK) if not obstacle(mode)]
    if not modes:
        pytest.skip(f"{obstacle(NAMESPACES)}; {obstacle(LANDLOCK)}")
    with ThreadPoolExecutor() as pool:
        plain, *confined = pool.map(lambda mode: judge(words, mode), ["off", *modes])
    assert plain.end.exit == 0
    for run in confined:
        assert run.verdicts == plain.verdicts
        assert run.end.problems == []


def test_reports_say_which_protections_were_in_force(tmp_path: Path) -> None:
    needs("auto")
    files = {kind: tmp_path / f"run.{kind}" for kind in ("ndjson", "html", "junit")}
    words = ["run", "--serve", CORRECT, "--cwd", str(ROOT), "--sandbox", "auto", "-v", "-t", "framing.one-command"]
    done = conformance(*words, *(f"--{kind}={path}" for kind, path in files.items()))
    assert done.returncode == 0, done.stderr
    start = json.loads(files["ndjson"].read_text("utf-8").splitlines()[0])
    assert start["sandbox"].startswith(("namespaces: it sees", "Landlock "))
    assert f"sandbox: {start['sandbox']}" in done.stdout
    assert "--sandbox auto" in start["command"]
    for kind in ("html", "junit"):
        assert "it sees its folder" in files[kind].read_text("utf-8")


def test_pytest_confines_the_server(tmp_path: Path) -> None:
    needs("auto")
    confined = [f"--hftp-cwd={ROOT}", "--hftp-sandbox=auto", "--hftp-skip=paths"]
    done = pytest_(tmp_path, *asked(CORRECT, *confined))
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("nsenter") is None, reason="nsenter (util-linux) is not installed")
def test_server_that_was_tried_is_reached_by_the_line_that_is_printed() -> None:
    needs(NAMESPACES)
    words = ["try", "framing.one-command", "--serve", CORRECT, "--cwd", str(ROOT), "--sandbox", "namespaces"]
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "conformance", *words, "--pause", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as tried:
        assert tried.stdout is not None
        talk = next(line for line in tried.stdout if line.startswith("talk"))
        *entering, nc, _, host, port = talk.split()[1:]
        assert nc == "nc"
        script = f"import socket; s = socket.create_connection(({host!r}, {port})); s.sendall(b'quit\\r\\n')"
        said = subprocess.run(
            [*entering, sys.executable, "-c", f"{script}; print(s.recv(9))"],
            capture_output=True,
            text=True,
            check=False,
        )
        tried.send_signal(signal.SIGINT)
        tried.wait(60)
    assert said.stdout.startswith("b'0 "), said.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("127.0.0.1:9", "--sandbox", "auto"), "--sandbox is only used with --serve"),
        (("192.0.2.1:9", "--serve", "x", "--cwd", str(ROOT), "--sandbox", "auto"), "--sandbox needs a server at"),
        (("unix:/x", "--serve", "x", "--cwd", str(ROOT), "--sandbox", "auto"), "--sandbox needs a server at"),
        (("--serve", "x {port}", "--cwd", str(Path.home()), "--sandbox", "auto"), "give it a folder of its own"),
    ],
)
def test_rejects_what_cannot_be_confined(words: tuple[str, ...], message: str) -> None:
    done = conformance("run", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1

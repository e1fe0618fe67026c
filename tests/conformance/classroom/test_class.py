"""A class of real servers: each is judged in its own place, and costs its own row only, whatever it does."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conformance import cli
from conformance.classroom.machine import why_unconfined
from conformance.model.verdicts import Exit
from conformance.target.sandbox import landlock, own_network, sandbox
from conformance.target.sandbox.limits import limits_for
from conformance.target.sockets import free_port
from conformance.tools.verify import verify
from tests.broken_servers.starting import PYTHON

pytestmark = [pytest.mark.once, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[3]
SECONDS = 300
SOME = ("-t", "framing.lf-inside", "-t", "framing.one-command", "-t", "paths.parent", "-t", "arguments.*offset")
UNSTEADY = ("--skip", "arguments.*5000*")
"""What becomes of a long line in a server that takes one recv() for one command depends on how TCP cuts it."""
FAST = ("--size", "64K", "--clients", "5", "--timeout-scale", "0.5", "--deep", "0")
OPTIONS = (*SOME, *UNSTEADY, *FAST, "--dialect", "2019")
UNCONFINED = ("--sandbox", "off")
FIVE_BUGS = ("five bugs", "five bugs again", "five bugs once more")
OUTCOMES = "not conformant|conformant|does not start|does not build|no verdict|incomplete"
KILLER = """
import os, signal, sys, threading, time
from tests.broken_servers.__main__ import main
def parent(process):
    return int(open(f"/proc/{process}/stat").read().rpartition(")")[2].split()[1])
def attack():
    time.sleep(0.5)
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
    guard = os.getppid()
    for process in (parent(guard), guard):
        os.kill(process, signal.SIGKILL)
threading.Thread(target=attack, daemon=True).start()
sys.exit(main(["correct-threads", *sys.argv[1:]]))
"""
WRAPPER = """
import sys
from tests.broken_servers.__main__ import main
sys.exit(main(["lf-ends-a-line", *sys.argv[1:]]))
"""


def serve(name: str, port: str = "{port}") -> str:
    return shlex.join([*PYTHON, "-m", "tests.broken_servers", name, "-p", port, "-d", "{dir}", "--dialect", "2019"])


def target(name: str, **fields: str) -> str:
    rows = [f"{key} = {json.dumps(value)}" for key, value in ({"name": name} | fields).items()]
    return "\n".join(["[[target]]", *rows, ""])


@dataclass
class Course:
    """A class in a directory of its own, and what the command said of it."""

    place: Path
    said: str = ""
    status: int = -1
    lines: dict[str, str] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """The folder with the results."""
        return self.place / "out"

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start the command."""
        return subprocess.Popen(
            [sys.executable, "-m", "conformance", "class", str(self.place / "t.toml"), "-o", "out", *OPTIONS, *words],
            cwd=self.place,
            env=os.environ | {"TMPDIR": str(self.place / "tmp"), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def judge(self, *words: str) -> "Course":
        """Judge all targets, and keep what is said of each."""
        with self.start(*words) as running:
            self.said, _ = running.communicate(timeout=SECONDS)
        self.status = running.returncode
        self.lines = {
            found[1].strip(): found[2].strip()
            for line in self.said.splitlines()
            if (found := re.match(rf" *\d+/\d+ ([\w ]+?) +((?:{OUTCOMES}) .*)", line))
        }
        return self

    def end_of(self, name: str) -> dict[str, Any]:
        """Return the last event of a recording."""
        found: dict[str, Any] = json.loads((self.out / f"{name}.ndjson").read_bytes().splitlines()[-1])
        return found


def environment() -> str:
    return f"[defaults.environment]\nPYTHONPATH = {json.dumps(str(ROOT))}\n"


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """Judge a class of eleven, three at a time."""
    place = tmp_path_factory.mktemp("course")
    (place / "tmp").mkdir()
    for name, text in (("wrapped/handed-in/server.py", WRAPPER), ("empty/notes.txt", "hello"), ("unbuilt/x.c", "x")):
        (place / name).parent.mkdir(parents=True)
        (place / name).write_text(text, encoding="ascii")
    (place / "killer.py").write_text(KILLER, encoding="ascii")
    port = str(free_port())
    killer = shlex.join([*PYTHON, str(place / "killer.py"), "-p", "{port}", "-d", "{dir}"])
    (place / "t.toml").write_text(
        environment()
        + "".join(target(name, serve=serve("student-five-bugs")) for name in FIVE_BUGS)
        + target("correct", serve=serve("correct-threads"), id="77", email="a@b")
        + target("killer", serve=killer)
        + target("wired", serve=serve("correct-threads", port), address=f"127.0.0.1:{port}")
        + target("wired too", serve=serve("lf-ends-a-line", port), address=f"127.0.0.1:{port}")
        + target("wrapped", folder="wrapped")
        + target("empty", folder="empty")
        + target("unbuilt", folder="unbuilt", build="touch built; echo oops >&2; exit 3", serve="./x {port}")
        + target("late", serve=shlex.join(["sh", "-c", "echo starting; exit 9; : {port}"])),
        encoding="utf-8",
    )
    before = files_in(place)
    reports = [f"--{kind}={kind}" for kind in ("csv", "moodle", "markdown", "html")]
    found = Course(place).judge("-j", "3", *UNCONFINED, *reports)
    assert files_in(place).items() >= before.items()
    assert not (place / "unbuilt" / "built").exists()  # a copy is built
    return found


def test_each_target_has_its_own_row(course: Course) -> None:
    outcomes = {name: line.partition("  ")[0] for name, line in course.lines.items()}
    assert outcomes == dict.fromkeys((*FIVE_BUGS, "wired too", "wrapped"), "not conformant") | {
        "correct": "conformant",
        "wired": "conformant",
        "killer": "no verdict",
        "empty": "does not start",
        "unbuilt": "does not build",
        "late": "does not start",
    }, course.said
    assert course.status == Exit.SUITE_FAULT
    assert "Traceback" not in course.said


def test_each_row_says_why(course: Course) -> None:
    assert "SIGKILL ended the suite's process" in course.lines["killer"]
    assert "no start command" in course.lines["empty"]
    assert "exited with 3" in course.lines["unbuilt"]
    assert course.end_of("unbuilt")["output"] == "oops"
    assert course.lines["late"].endswith("the server ended before it accepted a connection: starting")
    assert "A bare LF ends a command" in course.lines["wrapped"]
    assert "2 servers use port" in course.said
    assert ("each in a network of its own" in course.said) == (not own_network.why_not())
    assert re.search(r"\n  5 of 11: A bare LF ends a command", course.said)


def test_each_recording_is_whole(course: Course) -> None:
    found = {path.name: verify(path).status for path in course.out.glob("*.ndjson")}
    assert len(found) == 11
    assert set(found.values()) == {Exit.CONFORMANT}


def test_equal_servers_have_equal_grades(course: Course, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "t.toml").write_text(environment() + target("alone", serve=serve("student-five-bugs")), "utf-8")
    alone = Course(tmp_path).judge("-j", "1", *UNCONFINED)
    lines = course.lines | alone.lines
    grades = {name: lines[name].partition(";")[0] for name in (*FIVE_BUGS, "alone")}
    assert len(grades) == 4
    assert len(set(grades.values())) == 1, grades


def test_nothing_is_left(course: Course) -> None:
    assert list((course.place / "tmp").iterdir()) == []
    assert sorted(path.name for path in course.out.iterdir() if path.suffix != ".ndjson") == ["class.json"]
    assert list(processes_of(course.place)) == []


def processes_of(place: Path) -> Iterator[str]:
    """Yield the processes that were started for the targets of a class."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            found = path.read_bytes()
        except OSError:
            continue
        if str(place).encode() in found:
            yield path.parent.name


def test_reports_have_a_row_for_each(course: Course) -> None:
    table = (course.place / "csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 12
    assert next(line for line in table if line.startswith("correct,77,a@b,conformant,100,100,2019,"))
    assert (course.place / "moodle").read_text(encoding="utf-8").startswith("Identifier,Full name")
    assert "| correct | conformant | 100 |" in (course.place / "markdown").read_text(encoding="utf-8")
    assert "five bugs once more" in (course.place / "html").read_text(encoding="utf-8")


def test_only_what_has_no_verdict_or_has_changed_is_judged_again(course: Course) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in course.out.glob("*.ndjson")}
    (course.place / "empty" / "notes.txt").write_text("changed", encoding="ascii")
    again = Course(course.place).judge(*UNCONFINED)
    assert "11 targets, 9 judged before" in again.said
    assert set(again.lines) == {"killer", "empty"}
    after = {path.name: path.stat().st_mtime_ns for path in course.out.glob("*.ndjson")}
    assert {name for name in before if before[name] != after[name]} == {"killer.ndjson", "empty.ndjson"}


def is_judged(path: Path, name: str) -> bool:
    return path.exists() and name in json.loads(path.read_bytes())["targets"]


def test_interrupted_class_goes_on(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    hanging = shlex.join(["sh", "-c", f"test -e {tmp_path}/go && exec {serve('correct-threads')}; sleep 600"])
    text = environment() + target("first", serve=serve("correct-threads"), id="x") + target("second", serve=hanging)
    (tmp_path / "t.toml").write_text(text, encoding="utf-8")
    course = Course(tmp_path)
    with course.start("-j", "1", *UNCONFINED) as running:
        deadline = time.monotonic() + SECONDS
        while not is_judged(tmp_path / "out" / "class.json", "first"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=SECONDS)
    assert running.returncode == Exit.INCOMPLETE
    assert "interrupted: 1 of 2 are judged; the same command judges the others" in said
    assert list((tmp_path / "tmp").iterdir()) == []
    assert list(processes_of(tmp_path)) == []
    (tmp_path / "go").touch()
    course.judge("-j", "1", *UNCONFINED)
    assert course.status == Exit.CONFORMANT, course.said
    assert set(course.lines) == {"second"}
    assert "2 targets, 1 judged before" in course.said


def wired(tmp_path: Path, before: str = "") -> str:
    """Return two targets, one of which is right, with one wired-in port; each runs a command in a shell before."""
    port = str(free_port())
    text = environment()
    for name, other, server in (("right", "wrong", "correct-threads"), ("wrong", "right", "lf-ends-a-line")):
        command = f"{before.format(own=tmp_path / name, other=tmp_path / other)}exec {serve(server, port)}"
        text += target(name, serve=shlex.join(["sh", "-c", command]), address=f"127.0.0.1:{port}")
    return text


@pytest.mark.parametrize("mode", ["off", "auto"])
def test_servers_with_one_wired_in_port_run_side_by_side(tmp_path: Path, mode: str) -> None:
    """Each starts only once the other has begun."""
    if reason := own_network.why_not():
        pytest.skip(reason)
    if mode == "auto" and (reason := why_unconfined(5, (str(ROOT),))):
        pytest.skip(reason)
    (tmp_path / "tmp").mkdir()
    meet = "touch {own}; until test -e {other}; do sleep 0.05; done; " if mode == "off" else ""
    (tmp_path / "t.toml").write_text(wired(tmp_path, meet), encoding="utf-8")
    words = ("-j", "2", "--sandbox", mode, "--sandbox-read", str(ROOT), "--timeout-scale", "5")
    side_by_side = Course(tmp_path).judge(*words)
    assert "2 servers use port" in side_by_side.said
    assert side_by_side.lines["right"].startswith("conformant"), side_by_side.said
    assert side_by_side.lines["wrong"].startswith("not conformant"), side_by_side.said


def test_servers_with_one_wired_in_port_run_in_turn_where_no_other_network_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(own_network, "why_not", lambda: "unshare: Operation not permitted")
    (tmp_path / "t.toml").write_text(wired(tmp_path), encoding="utf-8")
    words = ["class", str(tmp_path / "t.toml"), "-o", str(tmp_path / "out"), *OPTIONS, "-j", "2", *UNCONFINED]
    status = cli.commands.main(words, standalone_mode=False)
    said = capsys.readouterr().out
    assert status == Exit.NOT_CONFORMANT, said
    assert "one after another (unshare: Operation not permitted)" in " ".join(said.split())
    ends = {name: Course(tmp_path).end_of(name) for name in ("right", "wrong")}
    assert (ends["right"]["exit"], ends["wrong"]["exit"]) == (Exit.CONFORMANT, Exit.NOT_CONFORMANT)


def test_servers_are_confined_unless_that_is_impossible_or_refused(tmp_path: Path) -> None:
    """Copies in the temporary directory are seen in a sandbox, and what kills its parents does not reach them."""
    try:
        found = sandbox.choose(sandbox.AUTO, str(tmp_path), "", limits_for(10), (str(ROOT),))
    except sandbox.SandboxError as error:
        pytest.skip(str(error))
    if reason := sandbox.why_python_cannot_run(found):
        pytest.skip(reason)
    (tmp_path / "tmp").mkdir()
    for name, text in (("killer", KILLER), ("wrapped", WRAPPER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "server.py").write_text(text, encoding="ascii")
    run = shlex.join([*PYTHON, "server.py", "-p", "{port}", "-d", "{dir}"])
    text = environment() + "".join(target(name, folder=name, serve=run) for name in ("killer", "wrapped"))
    (tmp_path / "t.toml").write_text(text, encoding="utf-8")
    confined = Course(tmp_path).judge("--sandbox-read", str(ROOT))
    assert confined.status == Exit.NOT_CONFORMANT, confined.said
    assert confined.lines["killer"].startswith("conformant"), confined.said
    assert confined.lines["wrapped"].startswith("not conformant"), confined.said
    start = json.loads((confined.out / "wrapped.ndjson").read_bytes().splitlines()[0])
    assert start["sandbox"].startswith("namespaces: ")
    assert start["name"] == "wrapped"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_class_is_judged_where_no_sandbox_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(sandbox, "_GUARD", "/nonexistent")
    (tmp_path / "t.toml").write_text(environment() + target("correct", serve=serve("correct-threads")), "utf-8")
    words = ["class", str(tmp_path / "t.toml"), "-o", str(tmp_path / "out"), *OPTIONS]
    status = cli.commands.main(words, standalone_mode=False)
    said = " ".join(capsys.readouterr().out.split())
    assert status == Exit.CONFORMANT, said
    assert "the servers run without a sandbox: --sandbox auto is not possible here (namespaces: " in said
    assert json.loads((tmp_path / "out" / "correct.ndjson").read_bytes().splitlines()[0])["sandbox"] == ""

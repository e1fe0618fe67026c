"""The pytest plugin judges as the command line does, and does nothing unless it is enabled."""

import json
import os
import shlex
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import INTERPRETER

pytest_plugins = "pytester"
pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
QUICK = ("framing.*", "paths.*", "clients.two-at-once", "clients.idle", "clients.errors-of-others")
"""Scenarios of every isolation and level, and some that need two clients at once."""
SIZE = 1 << 20

CORRECT = f"{INTERPRETER} -m tests.conformance.correct_server -d {{dir}} -p {{port}}"
BROKEN = f"{INTERPRETER} -m tests.broken_servers {{name}} -d {{{{dir}}}} -p {{{{port}}}}"


def started(arguments: list[str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    for name in [name for name in environment if name.startswith(("PYTEST_XDIST", "COV_"))]:
        del environment[name]
    return subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True, timeout=100, check=False)


def pytest_(cwd: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    usual = ("-p", "conformance.pytest_plugin", "-p", "no:cacheprovider", "--junit-xml=out.xml")
    return started([PYTHON, "-m", "pytest", *usual, *arguments], cwd)


def verdicts_of_pytest(cwd: Path) -> dict[str, tuple[str, str]]:
    """Return the verdict and the outcome of each test."""
    found = {}
    for case in ET.parse(cwd / "out.xml").iter("testcase"):
        facts = {row.get("name"): row.get("value", "") for row in case.iter("property")}
        outcome = next((child.tag for child in case if child.tag in {"failure", "error", "skipped"}), "passed")
        found[case.get("name", "")] = (facts["verdict"] or "", outcome)
    return found


def verdicts_of_command_line(cwd: Path, serve: str) -> dict[str, str]:
    words = [word for pattern in QUICK for word in ("-t", pattern)]
    command = [
        PYTHON,
        "-m",
        "conformance",
        "run",
        "--serve",
        serve,
        "--size",
        str(SIZE),
        *words,
        "--ndjson",
        "out.ndjson",
    ]
    done = started(command, cwd)
    assert done.returncode in {0, 1}, done.stderr
    events = [json.loads(line) for line in (cwd / "out.ndjson").read_text().splitlines()]
    return {event["scenario"]: event["verdict"] for event in events if event["type"] == "result"}


def asked(serve: str, *more: str) -> list[str]:
    words = [word for pattern in QUICK for word in ("--hftp-test", pattern)]
    return ["--pyargs", "conformance", "--hftp-serve", serve, f"--hftp-size={SIZE}", *words, *more]


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Serve a directory that holds a file, and give the address."""
    directory.mkdir()
    (directory / "text.txt").write_bytes(b"Some text.\n")
    port_file = directory.with_suffix(".port")
    command = [PYTHON, "-m", "tests.conformance.correct_server", "-p", "0", "--port-file", str(port_file)]
    server = subprocess.Popen([*command, "-d", str(directory)], cwd=ROOT)
    try:
        while not port_file.exists():
            with pytest.raises(subprocess.TimeoutExpired):
                server.wait(0.05)  # it would be over, and the test as well, if it did not start
        yield f"127.0.0.1:{port_file.read_text().strip()}"
    finally:
        server.kill()
        server.wait()


OUTCOMES = dict.fromkeys(("pass", "info", "warn", "flaky"), "passed")
OUTCOMES |= dict.fromkeys(("fail", "error"), "failure")
OUTCOMES |= dict.fromkeys(("unsupported", "incomplete", "blocked"), "skipped")


@pytest.mark.parametrize(
    ("serve", "workers", "expected"),
    [
        pytest.param(CORRECT, [], {"pass", "info"}, marks=pytest.mark.long),
        (BROKEN.format(name="path-joined"), [], {"pass", "info", "fail", "warn"}),
        pytest.param(BROKEN.format(name="link-followed"), [], {"pass", "info", "warn"}, marks=pytest.mark.long),
        pytest.param(
            BROKEN.format(name="correct-sequential"), [], {"pass", "info", "unsupported"}, marks=pytest.mark.long
        ),
        (BROKEN.format(name="directory-crashes"), ["-p", "xdist", "-n", "2"], {"pass", "info", "fail", "unsupported"}),
    ],
    ids=["correct", "fails", "warns", "sequential", "two workers"],
)
def test_pytest_and_command_line_have_the_same_verdicts(
    tmp_path: Path, serve: str, workers: list[str], expected: set[str]
) -> None:
    by_command_line = verdicts_of_command_line(tmp_path, serve)
    done = pytest_(tmp_path, *asked(serve, *workers))
    by_pytest = verdicts_of_pytest(tmp_path)
    assert {name: verdict for name, (verdict, _) in by_pytest.items()} == by_command_line, done.stdout
    assert set(by_command_line.values()) == expected
    assert ("hftp diagnosis" in done.stdout) == bool(expected & {"fail", "warn"})
    assert all(outcome == OUTCOMES[verdict] for verdict, outcome in by_pytest.values())
    assert done.returncode == ("fail" in expected), done.stdout


def test_explains_a_failure_without_a_traceback(tmp_path: Path) -> None:
    serve = BROKEN.format(name="path-joined")
    done = pytest_(tmp_path, "--pyargs", "conformance", "--hftp-serve", serve, "--hftp-test", "paths.parent")
    assert done.returncode == 1
    for words in (
        "HFTP-8.1 ",
        "expected  an error status",
        "likely  ",
        "conformance try paths.parent --serve",
        "1 C get_metadata ../",
    ):
        assert words in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "1 failed in" in done.stdout


def test_warning_is_shown_and_fails_on_request(tmp_path: Path) -> None:
    serve = BROKEN.format(name="link-followed")
    asking = ["--pyargs", "conformance", "--hftp-serve", serve, "--hftp-test", "paths.link-out"]
    escape = pytest_(tmp_path, *asking, "-W", "error::DeprecationWarning")
    assert escape.returncode == 0
    assert "HftpWarning: warn: paths.link-out" in escape.stdout
    assert "1 passed, 1 warning" in escape.stdout
    assert pytest_(tmp_path, *asking, "--hftp-fail-on", "should").returncode == 1


def test_judges_a_remote_server_by_its_files(tmp_path: Path) -> None:
    with serving(tmp_path / "served") as address:
        words = ["--hftp-test", "framing.*", "--hftp-test", "paths.parent", "--hftp-clients", "10"]
        done = pytest_(tmp_path, "--pyargs", "conformance", "--hftp", address, *words, "-p", "xdist", "-n", "2")
    verdicts = verdicts_of_pytest(tmp_path)
    assert done.returncode == 0, done.stdout
    assert verdicts["paths.parent"] == ("incomplete", "skipped")
    assert verdicts["framing.byte-by-byte"] == ("pass", "passed")


def test_reports_a_server_that_is_not_running(tmp_path: Path) -> None:
    done = pytest_(tmp_path, "--pyargs", "conformance", "--hftp", "127.0.0.1:9", "--hftp-test", "paths.outside-answer")
    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert "cannot connect to 127.0.0.1:9: Connection refused" in done.stdout


def test_server_that_never_replies_passes_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        words = ("--hftp", address, "--hftp-test", "paths.outside-answer", "--hftp-timeout-scale", "0.1")
        done = pytest_(tmp_path, "--pyargs", "conformance", *words)
    verdicts = {name: verdict for name, (verdict, _) in verdicts_of_pytest(tmp_path).items()}
    assert verdicts == {"framing.one-command": "fail", "paths.outside-answer": "blocked"}
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--hftp-serve", "true"], "--hftp-serve needs {port}"),
        (["--hftp", "host:port"], "host:port"),
        (["--hftp", "127.0.0.1:9", "--hftp-dialect", "1999"], "--hftp-dialect: invalid choice: '1999'"),
        (["--hftp", "127.0.0.1:9", "--hftp-strict-dialect"], "the dialect is not given"),
        (["--hftp", "127.0.0.1:9", "--hftp-proxy", "ftp://x"], "is not a proxy"),
        (["--hftp", "127.0.0.1:9", "--hftp-clients", "1"], "--hftp-clients: 1 is not in the range from 2 to 20000"),
        (["--hftp", "127.0.0.1:9", "--hftp-size", "0"], "--hftp-size: '0' is not a size"),
        (["--hftp", "127.0.0.1:9", "--hftp-seed", "x"], "--hftp-seed: 'x' is not a whole number"),
        (["--hftp", "127.0.0.1:9", "--hftp-timeout-scale", "0"], "--hftp-timeout-scale: '0' is not a number from 0.01"),
        (["--hftp", "127.0.0.1:9", "--hftp-fixtures", "x", "-p", "xdist", "-n", "2"], "cannot share a directory"),
        (["--hftp", "127.0.0.1:9", "--hftp-test", "no-such"], "'no-such' matches no scenario"),
        (["--hftp-serve", "false {port}"], "ended before it accepted a connection"),
        (["--hftp", "127.0.0.1:9", "--hftp-scenarios", "missing.py"], "missing.py: no such file"),
    ],
)
def test_reports_an_invalid_option_in_one_line(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    done = pytester.runpytest_inprocess("-p", "conformance.pytest_plugin", "--pyargs", "conformance", *arguments)
    output = f"{done.stdout}\n{done.stderr}"
    assert done.ret not in {0, 1}
    assert words in output
    assert "Traceback" not in output


def test_imports_and_changes_nothing_unless_enabled(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import sys\n\n\ndef test_own():\n"
        "    loaded = {name.removeprefix('conformance.') for name in sys.modules if name.startswith('conformance.')}\n"
        "    own = {'pytest_plugin', 'option_table', 'language', 'printable', 'cli_types', 'spec', 'spec.dialects'}\n"
        "    assert loaded == own | {'spec.catalogues'}\n"
        "    assert not {'click', 'rich', 'gevent', 'resource'} & sys.modules.keys()\n"
    )
    done = pytest_(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "hftp" not in done.stdout
    assert "1 passed" in done.stdout
    assert pytest_(tmp_path, "--pyargs", "conformance").returncode == pytest.ExitCode.NO_TESTS_COLLECTED


WITHOUT_POSIX = """
import sys

MISSING = {"fcntl", "grp", "pwd", "resource", "syslog", "termios", "tty", "pty"}


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


for name in MISSING:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Absent())

import pytest

sys.exit(pytest.main())
"""


def pytest_without_posix(cwd: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest as on a platform that has no module of POSIX."""
    (cwd / "test_own.py").write_text("def test_own():\n    pass\n")
    usual = ("-p", "conformance.pytest_plugin", "-p", "no:cacheprovider")
    return started([PYTHON, "-c", WITHOUT_POSIX, *usual, *arguments], cwd)


def test_other_tests_run_without_posix(tmp_path: Path) -> None:
    done = pytest_without_posix(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("asking", [["--hftp", "127.0.0.1:9"], ["--hftp-serve", "server {port}"]])
def test_requires_posix(tmp_path: Path, asking: list[str]) -> None:
    done = pytest_without_posix(tmp_path, "--pyargs", "conformance", *asking)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
    assert done.stderr.strip() == "ERROR: --hftp and --hftp-serve need a POSIX system: this Python has no module fcntl"
    assert not done.stdout


def test_leaves_other_tests_alone(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")
    done = pytest_(tmp_path, "--hftp", "127.0.0.1:9")
    assert done.returncode == 0
    assert "1 passed" in done.stdout


def test_leaves_no_files_and_processes(tmp_path: Path) -> None:
    private = tmp_path / "tmp"
    private.mkdir()
    words = [
        "env",
        f"TMPDIR={private}",
        PYTHON,
        "-m",
        "pytest",
        "-p",
        "conformance.pytest_plugin",
        "-p",
        "xdist",
        "-n",
        "2",
    ]
    done = started([*words, *asked(CORRECT, "--hftp-skip", "framing.*")], tmp_path)
    assert done.returncode == 0, done.stdout
    assert not list(private.glob("hftp-*"))
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(private).encode() in _read(path)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("parallel", [(), ("-p", "xdist", "-n", "1")])
def test_session_fails_if_the_server_harms_its_directory_at_the_end(tmp_path: Path, parallel: tuple[str, ...]) -> None:
    (tmp_path / "dear").mkdir()
    hostile = f"{INTERPRETER} -m tests.broken_servers.hostile link-directory-at-end -d {{dir}} -p {{port}}"
    serve = f"env HFTP_VICTIM={tmp_path}/dear PYTHONPATH={shlex.quote(str(ROOT))} {hostile}"
    words = ("--pyargs", "conformance", "--hftp-serve", serve, "--hftp-test", "framing.lf-only", "--hftp-size", "64K")
    done = pytest_(tmp_path, *parallel, *words)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "was replaced by a link, which was not touched" in done.stdout
    assert done.returncode == 1

"""Probable mistakes of an operator are reported at start and by --check-config, one line each."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from greenserver.config.settings import Settings
from greenserver.service import inspection
from greenserver.service.inspection import inspect
from tests.greenserver.program import PROGRAM, as_nobody, plain_environment, running
from tests.greenserver.serving import wait_until

NOT_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GREENSERVER_")]:
        monkeypatch.delenv(name)


def events(settings: Settings) -> list[str]:
    return [finding.event for finding in inspect(settings)]


@pytest.fixture
def well(tmp_path: Path) -> Settings:
    """Return the settings of a server that nothing can be said against."""
    (tmp_path / "one").touch()
    return Settings(directory=str(tmp_path))


def test_reports_nothing_if_all_is_well(well: Settings) -> None:
    assert inspect(well) == []


def test_reports_files_that_the_protocol_cannot_express(directory: Path) -> None:
    (finding,) = inspect(Settings(directory=str(directory)))
    assert finding == (
        "files not served: the protocol cannot express their names",
        {"count": 2, "example": "my file.txt", "allowed": "A-Za-z0-9._-"},
    )


def test_reports_a_directory_without_files_to_serve(tmp_path: Path) -> None:
    def reason() -> object:
        (finding,) = inspect(Settings(directory=str(tmp_path)))
        assert finding.event == "no file to serve"
        assert finding.facts["directory"] == str(tmp_path)
        return finding.facts["reason"]

    assert reason() == "the directory is empty"
    (tmp_path / "folder").mkdir()
    assert reason() == "there are only directories, links, and names that the protocol cannot express"
    (tmp_path / ".hidden").touch()
    assert reason() == "all names begin with a dot; serve them with --hidden"
    assert events(Settings(directory=str(tmp_path), hidden=True)) == []
    (finding,) = inspect(Settings(directory=str(tmp_path / "none")))
    assert finding.event == "directory cannot be read"
    assert finding.facts["reason"] == "No such file or directory"


@pytest.mark.once  # newer interpreters warn of a fork beside the threads of a test run
@NOT_ROOT
def test_checks_files_as_the_user_who_will_serve_them() -> None:
    with tempfile.TemporaryDirectory() as path:  # that of the test is for its user only
        Path(path).chmod(0o755)
        (Path(path) / "secret").touch(0o600)
        assert events(Settings(directory=path)) == []
        (finding,) = inspect(Settings(directory=path, user="65534"))
    assert finding.event == "files cannot be read, so they are not listed"
    assert (finding.facts["count"], finding.facts["example"]) == (1, "secret")
    assert os.geteuid() == 0


def test_reports_an_unknown_environment_variable(well: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENSERVER_PROT", "1")
    monkeypatch.setenv("GREENSERVER_XYZZY", "1")
    assert inspect(well) == [
        ("environment variable ignored", {"name": "GREENSERVER_PROT", "did_you_mean": "GREENSERVER_PORT"}),
        ("environment variable ignored", {"name": "GREENSERVER_XYZZY"}),
    ]


def test_reports_a_system_without_proc(well: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_PROC", Path(well.directory) / "none")
    assert events(well) == ["/proc is not mounted"]


@pytest.mark.once
@pytest.mark.parametrize("workers", [(), ("--workers", "1")], ids=["one process", "workers"])
def test_server_logs_the_findings_once_it_listens(workers: tuple[str, ...], tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    environment = {"GREENSERVER_VERSION": "abc", "WEB_CONCURRENCY": "4", "PORT": "1"}
    options = ("-d", str(served), "--log-format", "json", *workers)
    with running(tmp_path / "server", *options, environment=environment) as server:
        # It is printed after the port file was written.
        wait_until(lambda: " listens on 127.0.0.1:" in server.stdout.read_text(), "it says where it listens")
    assert '"event": "environment variable ignored", "name": "GREENSERVER_VERSION"}' in server.log
    assert f'"event": "no file to serve", "directory": "{served}", "reason": "the directory is empty"}}' in server.log


@pytest.mark.once
def test_check_config_prints_the_findings(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "--check-config", "--user", "root"],
        cwd=tmp_path,
        env=plain_environment({"GREENSERVER_PROT": "1"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "greenserver: the configuration is valid\n")
    first, second = done.stderr.splitlines()
    assert "WARNING environment variable ignored name=GREENSERVER_PROT did_you_mean=GREENSERVER_PORT" in first
    assert "WARNING no file to serve" in second


@pytest.mark.once
@NOT_ROOT
def test_program_reports_a_system_without_proc(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh", PROGRAM, "--check-config"],
        cwd=tmp_path,
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare" in done.stderr or "mount" in done.stderr.partition("greenserver")[0].partition("/proc is")[0]:
        pytest.skip(f"no mounts here: {done.stderr}")
    assert (done.returncode, done.stdout) == (0, "greenserver: the configuration is valid\n")
    assert "WARNING /proc is not mounted effect=" in done.stderr


@pytest.mark.once
@pytest.mark.parametrize("workers", [[], ["--workers", "1"]], ids=["one process", "workers"])
@NOT_ROOT
def test_rejects_a_user_that_it_cannot_become_before_it_listens(workers: list[str]) -> None:
    done = subprocess.run(
        [*as_nobody(), PROGRAM, "-d", "/", "-p", "0", "--user", "root", *workers],
        cwd="/",
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "greenserver: cannot switch to user 0, group 0: Operation not permitted; only root can\n"

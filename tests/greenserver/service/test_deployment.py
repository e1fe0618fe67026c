"""The printed units, container file and configuration are valid, and refer to what exists."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from greenserver import __version__
from greenserver.config.config_file import read_file
from greenserver.config.limits import DEFAULT_PORT
from greenserver.config.settings import OPTIONS
from greenserver.service import deployment
from tests.greenserver.serving import ROOT, TIMEOUT_SECONDS, wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]

CONFIG = "/etc/greenserver/greenserver.toml"


def printed(what: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "greenserver", "deploy", what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    hidden = deployment.hidden_paths() if what == "systemd" else []
    assert all(path in done.stderr for path in hidden)
    assert len(done.stderr.splitlines()) == bool(hidden)
    return done.stdout


@pytest.fixture
def unit() -> dict[str, list[str]]:
    lines = [line for line in printed("systemd").splitlines() if line and line[0] not in "#["]
    values: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition("=")
        values.setdefault(name, []).append(value)
    return values


def test_deploy_prints_the_files_of_the_package() -> None:
    for what in ("systemd", "socket", "config", "container"):
        text = deployment.render(what)
        assert __version__ in text
        assert not re.search(r"\$\{?(version|executable|port|python|stop_seconds)", text)
    done = subprocess.run(
        [sys.executable, "-m", "greenserver", "deploy", "ship"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "'ship' is not one of 'systemd', 'socket', 'config', 'container'" in done.stderr


def test_systemd_verifies_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is missing (apt-get install systemd)")
    units = [tmp_path / "greenserver.service", tmp_path / "greenserver.socket"]
    for path, what in zip(units, ("systemd", "socket"), strict=True):
        path.write_text(printed(what))
    done = subprocess.run([analyze, "verify", *units], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    exposed = [analyze, "security", "--offline=true", "--threshold=20", str(units[0])]
    done = subprocess.run(exposed, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_unit_sets_nothing_that_the_file_can_set(unit: dict[str, list[str]], tmp_path: Path) -> None:
    assert not set(unit) & {"Environment", "EnvironmentFile", "PassEnvironment", "WorkingDirectory"}
    (start,) = unit["ExecStart"]
    assert shlex.split(start)[1:] == ["--config", CONFIG]
    file = tmp_path / "greenserver.toml"
    file.write_text(printed("config"))
    assert read_file(str(file)) == {
        "directory": "/srv/hftp",
        "address": "::",
        "port": DEFAULT_PORT,
        "workers": len(os.sched_getaffinity(0)),
        "admin": ("127.0.0.1", 9500),
    }
    for name in re.findall(r"^# ([a-z-]+) = ", file.read_text(), re.MULTILINE):
        assert name in {option.key for option in OPTIONS}


def test_warns_of_an_installation_that_the_service_cannot_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/me/.venv")
    monkeypatch.setattr(sys, "executable", "/root/python")
    assert set(deployment.hidden_paths()) >= {"/home/me/.venv", "/root/python"}
    monkeypatch.setattr(sys, "prefix", "/opt/home/greenserver")
    monkeypatch.setattr(sys, "executable", "/homeless/python")
    monkeypatch.setattr(deployment, "__file__", "/opt/lib/greenserver/service/deployment/__init__.py")
    assert deployment.hidden_paths() == []


def test_unit_sandboxes_the_service(unit: dict[str, list[str]]) -> None:
    for name, value in {
        "DynamicUser": "yes",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "CapabilityBoundingSet": "",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
        "Type": "notify",
        "KillMode": "mixed",
        "ExecReload": "/bin/kill -HUP $MAINPID",
    }.items():
        assert unit[name] == [value], name


def test_unit_starts_an_existing_program_with_valid_settings(unit: dict[str, list[str]], tmp_path: Path) -> None:
    (start,) = unit["ExecStart"]
    arguments = shlex.split(start)
    assert os.access(arguments[0], os.X_OK)
    config = tmp_path / "greenserver.toml"
    config.write_text(printed("config").replace("/srv/hftp", str(tmp_path)))
    done = subprocess.run(
        [*(str(config) if each.endswith(".toml") else each for each in arguments), "--check-config"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "greenserver: the configuration is valid\n")


def test_unit_quotes_any_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / 'two "words", 50%'
    folder.mkdir()
    shutil.copy("/bin/true", folder / "greenserver")
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    text = deployment.render("systemd")
    (start,) = [line.partition("=")[2] for line in text.splitlines() if line.startswith("ExecStart=")]
    assert shlex.split(start.replace("%%", "%"))[0] == str(folder / "greenserver")
    (folder / "greenserver").unlink()
    assert 'two \\"words\\", 50%%/python" -I -m greenserver --config' in deployment.render("systemd")


def test_container_serves_what_its_file_says_and_reports_its_health(tmp_path: Path) -> None:
    steps = [line.split(" ", 1) for line in printed("container").splitlines() if line and line[0] != "#"]
    assert {step for step, _ in steps} == {
        *("FROM", "COPY", "RUN", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT")
    }
    values = dict(steps)
    assert values["ENV"] == "PYTHONDONTWRITEBYTECODE=1", "no option: it would win over the file"
    assert values["RUN"].endswith(f"greenserver deploy config > {CONFIG}")
    entry, *options = json.loads(values["ENTRYPOINT"])
    assert entry == "/opt/greenserver/bin/greenserver"
    assert options == ["--config", CONFIG]
    (tmp_path / "one").write_bytes(b"1")
    port_file = tmp_path / "port"
    config = tmp_path / "greenserver.toml"
    text = printed("config").replace("/srv/hftp", str(tmp_path)).replace("\nworkers", "\n# workers")
    config.write_text(text.replace(f"port = {DEFAULT_PORT}", "port = 0").replace(":9500", ":0"))
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "greenserver", "--config", str(config), "--port-file", str(port_file)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        wait_until(port_file.exists, "it listens")
        found = re.search(r"admin endpoint listening address=(\S+)", log.read_text())
        assert found is not None
        config.write_text(config.read_text().replace("127.0.0.1:0", found[1]))
        _, probe = values["HEALTHCHECK"].split(" ", 1)
        _, *arguments = json.loads(probe)
        arguments = [each.replace(CONFIG, str(config)) for each in arguments]

        def is_healthy() -> bool:
            return (
                subprocess.run([sys.executable, *arguments], capture_output=True, timeout=60, check=False).returncode
                == 0
            )

        wait_until(is_healthy, "it is healthy")
    finally:
        process.terminate()
        assert process.wait(TIMEOUT_SECONDS) == 0
    assert not is_healthy()

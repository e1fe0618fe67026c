"""What is printed for elsewhere is right: systemd has nothing to say against it, and what it calls is there."""

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
from greenserver.config.settings import OPTIONS
from greenserver.service import deployment
from tests.greenserver.serving import PATIENCE_SECONDS, ROOT, wait_until

pytestmark = [pytest.mark.once, pytest.mark.measured]


def printed(what: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "greenserver", "deploy", what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def unit() -> dict[str, list[str]]:
    lines = [line for line in printed("systemd").splitlines() if line and line[0] not in "#["]
    values: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition("=")
        values.setdefault(name, []).append(value)
    return values


def test_the_command_line_prints_what_the_package_holds() -> None:
    for what in ("systemd", "container"):
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
    assert "'ship' is not one of 'systemd', 'container'" in done.stderr


def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    path = tmp_path / "greenserver.service"
    path.write_text(printed("systemd"))
    analyze = shutil.which("systemd-analyze")
    if analyze is None:  # then its words are at least those that systemd knows to be needed
        assert "ExecStart=" in path.read_text()
        return
    done = subprocess.run([analyze, "verify", str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_shuts_in_what_it_starts(unit: dict[str, list[str]]) -> None:
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


def test_what_the_unit_starts_is_there_and_takes_its_settings(unit: dict[str, list[str]], tmp_path: Path) -> None:
    (start,) = unit["ExecStart"]
    arguments = shlex.split(start)
    assert os.access(arguments[0], os.X_OK)
    config = tmp_path / "greenserver.toml"
    config.touch()
    environment = dict(each.split("=", 1) for each in unit["Environment"])
    known = {f"GREENSERVER_{option.name.upper()}" for option in OPTIONS}
    assert set(environment) <= known
    environment["GREENSERVER_DIRECTORY"] = str(tmp_path)
    done = subprocess.run(
        [*(str(config) if each.endswith(".toml") else each for each in arguments), "--check-config"],
        cwd=ROOT,
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "greenserver: the configuration is valid\n")


def test_a_unit_can_start_what_lies_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / 'two "words", 50%'
    folder.mkdir()
    shutil.copy("/bin/true", folder / "greenserver")
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    text = deployment.render("systemd")
    (start,) = [line.partition("=")[2] for line in text.splitlines() if line.startswith("ExecStart=")]
    assert shlex.split(start.replace("%%", "%"))[0] == str(folder / "greenserver")
    (folder / "greenserver").unlink()
    assert 'two \\"words\\", 50%%/python" -I -m greenserver --config' in deployment.render("systemd")


def test_the_container_serves_and_its_health_is_seen(tmp_path: Path) -> None:
    steps = [line.split(" ", 1) for line in printed("container").splitlines() if line and line[0] != "#"]
    assert {step for step, _ in steps} == {
        *("FROM", "COPY", "RUN", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT")
    }
    values = dict(steps)
    environment = dict(each.split("=", 1) for each in values["ENV"].split())
    (tmp_path / "one").write_bytes(b"1")
    port_file = tmp_path / "port"
    admin = "127.0.0.1:0"
    environment |= {"GREENSERVER_DIRECTORY": str(tmp_path), "GREENSERVER_PORT": "0", "GREENSERVER_ADMIN": admin}
    (entry,) = json.loads(values["ENTRYPOINT"])
    assert entry == "/opt/greenserver/bin/greenserver"
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "greenserver", "--port-file", str(port_file)],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        wait_until(port_file.exists, "it listens")
        found = re.search(r"admin endpoint listening address=(\S+)", log.read_text())
        assert found is not None
        _, probe = values["HEALTHCHECK"].split(" ", 1)
        _, *arguments = json.loads(probe)
        arguments = [each.replace("127.0.0.1:9500", found[1]) for each in arguments]

        def is_healthy() -> bool:
            return (
                subprocess.run([sys.executable, *arguments], capture_output=True, timeout=60, check=False).returncode
                == 0
            )

        wait_until(is_healthy, "it is healthy")
    finally:
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    assert not is_healthy()

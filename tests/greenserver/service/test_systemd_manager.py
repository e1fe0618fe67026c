"""The printed units run in their sandbox under a real systemd, and lose no client at a restart."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

import greenserver
from greenserver.config.limits import DEFAULT_PORT
from greenserver.service import deployment
from tests.greenserver.program import plain_environment
from tests.greenserver.serving import TIMEOUT_SECONDS, wait_until

pytestmark = pytest.mark.once

MANAGER = "/lib/systemd/systemd"
INTERPRETER = "/usr/bin/python3"
PROGRAM = "/opt/greenserver/bin/greenserver"
TARGETS = ("boot", "basic", "sysinit", "shutdown", "umount", "network-online", "network", "multi-user", "sockets")
NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup")

# What is in a home or a temporary directory is bound to where the service can see it.
BOOT = f"""
set -e
mount -t tmpfs none /run; mount -t tmpfs none /opt; mount -t tmpfs none /srv
ip link set lo up
mkdir -p /run/systemd /opt/greenserver/bin /opt/greenserver/lib /opt/greenserver/app /srv/hftp
mount --bind "$1" /opt/greenserver/lib
mount --bind "$2" /opt/greenserver/app
cp -r "$3" /run/units
cp "$4" {PROGRAM}
cp "$5" /srv/greenserver.toml
printf 1 > /srv/hftp/one
export SYSTEMD_UNIT_PATH=/run/units container=other SYSTEMD_LOG_TARGET=null
mount --make-rshared /  # as a machine and a container have it: credentials are mounted so
exec {MANAGER} --unit=boot.target
"""

# Clients come one after the other until standard input ends; each tenth is printed. None may be refused,
# reset or left without an answer.
CLIENTS = f"""
import socket, sys, threading
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
count = 0
while count < 20_000 and not (ended.is_set() and count):
    with socket.create_connection(("127.0.0.1", {DEFAULT_PORT}), {TIMEOUT_SECONDS}) as client:
        answer = b""
        client.sendall(b"get_metadata one\\r\\nquit\\r\\n")
        answer = client.makefile("rb").read()
    assert answer == b"0 OK\\r\\n1\\r\\n0 OK\\r\\n", (count, answer)
    count += 1
    if count % 10 == 0:
        print(count, flush=True)
print("all answered")
"""


def missing() -> str:
    """Return why no systemd can be had here, or ""."""
    if os.geteuid() != 0:
        return "only root can start a systemd of its own"
    for program in (MANAGER, "systemctl", "unshare", "nsenter", "ip", INTERPRETER):
        if shutil.which(program) is None:
            return f"{program} is missing (apt-get install systemd iproute2 python3)"
    version = subprocess.run(
        [INTERPRETER, "-V"], capture_output=True, text=True, timeout=60, check=True
    ).stdout.split()[1]
    if not version.startswith(f"{sys.version_info.major}.{sys.version_info.minor}."):
        return f"{INTERPRETER} is {version}, and cannot load the packages of {sys.version}"
    probe = subprocess.run(["unshare", *NAMESPACES, "--fork", "true"], capture_output=True, timeout=60, check=False)
    return "" if probe.returncode == 0 else f"no namespaces here: {probe.stderr!r}"


class Machine:
    """A separate systemd with the units and the configuration."""

    def __init__(self, process: int) -> None:
        self._enter = ["nsenter", "--target", str(process), "--mount", "--net", "--pid"]

    def command(self, *words: str) -> list[str]:
        """Return a command that runs another one in there."""
        return [*self._enter, *words]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in there to its end."""
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60, check=False)

    def systemctl(self, *words: str) -> None:
        """Have systemd do something; fail if that fails."""
        done = self.run("systemctl", *words)
        assert done.returncode == 0, (
            words,
            done.stderr,
            self.run("systemctl", "status", "greenserver").stdout,
            self.log(),
        )

    def log(self) -> str:
        """Return the log of the service."""
        return self.run("cat", "/srv/log").stdout


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    if reason := missing():
        pytest.skip(reason)
    units = tmp_path / "units"
    (units / "greenserver.service.d").mkdir(parents=True)
    for what, name in (("systemd", "greenserver.service"), ("socket", "greenserver.socket")):
        text = deployment.render(what).replace("/etc/greenserver/", "/srv/")
        (units / name).write_text(text.replace(deployment._executable(), PROGRAM))  # noqa: SLF001  (it lies elsewhere there)
    (units / "greenserver.service.d" / "log.conf").write_text("[Service]\nStandardError=file:/srv/log\n")
    for target in TARGETS:
        (units / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    program = tmp_path / "greenserver"
    program.write_text(
        f"#!{INTERPRETER} -I\nimport sys\nsys.path[:0] = ['/opt/greenserver/app', '/opt/greenserver/lib']\n"
        "from greenserver.__main__ import main\nmain()\n"
    )
    program.chmod(0o755)
    config = tmp_path / "greenserver.toml"
    config.write_text(deployment.render("config"))
    places = (Path(pytest.__file__).parents[1], Path(greenserver.__file__).parents[1], units, program, config)
    with subprocess.Popen(
        ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "sh", "-c", BOOT, "sh", *map(str, places)],
        env=plain_environment(),
        stdin=subprocess.DEVNULL,
    ) as booted:
        try:
            children = Path(f"/proc/{booted.pid}/task/{booted.pid}/children")
            wait_until(lambda: bool(children.read_text()), "unshare has forked")
            machine = Machine(int(children.read_text()))
            wait_until(
                lambda: machine.run("systemctl", "is-active", "boot.target").stdout == "active\n", "systemd has booted"
            )
            yield machine
        finally:
            booted.kill()


def test_service_runs_in_its_sandbox_and_reloads(machine: Machine) -> None:
    machine.systemctl("start", "greenserver")
    with subprocess.Popen(machine.command(sys.executable, "-c", CLIENTS), stdin=subprocess.DEVNULL) as clients:
        assert clients.wait(TIMEOUT_SECONDS) == 0
    users = machine.run("ps", "-o", "user=", "-C", "greenserver").stdout.split()
    assert users
    assert "root" not in users
    machine.systemctl("reload", "greenserver")
    wait_until(lambda: "configuration reloaded" in machine.log(), "it has reloaded")
    machine.run("sh", "-c", "echo 'port = 1' >> /srv/greenserver.toml")  # a second time
    machine.systemctl("reload", "greenserver")
    wait_until(lambda: "reload failed; keeping the old configuration" in machine.log(), "it refuses the new one")
    machine.systemctl("stop", "greenserver")


def test_socket_unit_restarts_without_refusing_a_client(machine: Machine) -> None:
    machine.systemctl("start", "greenserver.socket")  # the first client starts the service
    with subprocess.Popen(
        machine.command(sys.executable, "-c", CLIENTS), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as clients:
        assert clients.stdin is not None
        assert clients.stdout is not None
        for _ in range(3):
            assert clients.stdout.readline()
            machine.systemctl("restart", "greenserver")
        clients.stdin.close()
        *_, last = clients.stdout
        assert last == "all answered\n"
    machine.systemctl("stop", "greenserver.socket", "greenserver.service")


def test_restart_loads_a_renewed_certificate_readable_by_root_only(machine: Machine, tmp_path: Path) -> None:
    def renew() -> str:
        """Write a new pair of certificate and key, and return the certificate."""
        issued = trustme.CA().issue_cert("hftp.example.org")
        for name, content in (("fullchain.pem", issued.cert_chain_pems[0]), ("privkey.pem", issued.private_key_pem)):
            (tmp_path / name).write_bytes(content.bytes())
            (tmp_path / name).chmod(0o600)
        return issued.cert_chain_pems[0].bytes().decode()

    asking = f"import ssl; print(ssl.get_server_certificate(('127.0.0.1', {DEFAULT_PORT}), timeout={TIMEOUT_SECONDS}))"
    credentials = f"LoadCredential=chain.pem:{tmp_path}/fullchain.pem\nLoadCredential=key.pem:{tmp_path}/privkey.pem"
    machine.run("sh", "-c", f"printf '[Service]\n{credentials}\n' > /run/units/greenserver.service.d/tls.conf")
    machine.run("sed", "-i", "s/^# tls-/tls-/", "/srv/greenserver.toml")
    first = renew()
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "greenserver")
    assert machine.run(sys.executable, "-c", asking).stdout.split() == first.split()
    second = renew()
    machine.systemctl("restart", "greenserver")
    assert machine.run(sys.executable, "-c", asking).stdout.split() == second.split()
    machine.systemctl("stop", "greenserver")

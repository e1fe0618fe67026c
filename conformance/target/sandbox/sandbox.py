"""The sandbox of a server: which kind this machine allows, what the server sees in it, and its start."""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from conformance.client.network_namespace import NetworkNamespace, OpenSocket
from conformance.language import Message, joined
from conformance.target.failed_start import ServerStartError
from conformance.target.launcher import GuardedProcess
from conformance.target.sandbox import landlock
from conformance.target.sandbox.confined_guard import LANDLOCK, NAMESPACES
from conformance.target.sandbox.limits import Limits
from conformance.target.sandbox.namespaces import server_user
from conformance.target.sandbox.notes import note
from conformance.target.sandbox.visible_paths import DEVICES, is_below, needed_paths, visible_paths

OFF: Final = "off"
AUTO: Final = "auto"
MODES: Final = (OFF, AUTO, NAMESPACES, LANDLOCK)
_GUARD: Final = str(Path(__file__).with_name("confined_guard.py"))
_SECONDS: Final = 10.0
_MOST_BYTES: Final = 1 << 16
_READABLE: Final = 0o005
"""The bits of the mode of a directory that everybody may list and enter."""
_PASSED_ON: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "VIRTUAL_ENV"),
        *("LD_LIBRARY_PATH", "JAVA_HOME", "GOROOT", "GOPATH", "NODE_PATH", "GEM_PATH", "DOTNET_ROOT", "PYENV_ROOT"),
    }
)
"""The variables of the environment that a server in a sandbox gets, besides those of locales and of Python: others may
hold secrets."""
_PASSED_ON_PREFIXES: Final = ("LC_", "PYTHON", "PYENV_")


class SandboxError(ServerStartError):
    """There is no such sandbox on this machine; the one-line message says why, and what to do."""


@dataclass
class Sandbox:
    """How to confine one server.

    `folder` is the directory that it is started in, and `served` the one that it serves, if that is local.
    """

    mode: str
    folder: str
    served: str
    limits: Limits
    readable: tuple[str, ...] = ()
    """More paths that it may read."""
    has_folder_changes: bool = False
    """Whether it may change its folder, as it sees it."""
    has_proc: bool = True
    home: str = field(default_factory=lambda: os.path.realpath(Path.home()))

    @property
    def has_network(self) -> bool:
        """Whether it has a network of its own."""
        return self.mode == NAMESPACES

    def request(self, words: Sequence[str], port: int) -> dict[str, Any]:
        """Return what a guard needs to know to run a command that listens on a port."""
        needed = {*needed_paths(words, self.folder, self.home), *map(os.path.abspath, self.readable)}
        own = [path for path in (self.folder, self.served) if path]
        user, group = server_user(self.folder) if self.mode == NAMESPACES else (os.geteuid(), os.getegid())
        reached = visible_paths([*needed, *own, self.home])
        seen = visible_paths([*needed, *(own if self.mode == LANDLOCK else [])])
        return {
            "mode": self.mode,
            "readable": seen.real,
            "links": reached.links,
            "devices": [path for path in DEVICES if os.path.exists(path)],
            "folder": os.path.realpath(self.folder),
            "served": os.path.realpath(self.served) if self.served else "",
            "home": self.home,
            "user": user,
            "group": group,
            "port": port,
            "limits": self.limits.recorded(),
            "command": list(words),
            "cgroup": "",
        }

    def launch(self, words: Sequence[str], suite: int, output: int, port: int) -> "ConfinedProcess":
        """Start a guard that runs a command in the sandbox; raise OSError."""
        return ConfinedProcess(self, words, suite, output, port)

    def __str__(self) -> Message:
        """Return which protections are in force, for a report."""
        if self.mode == LANDLOCK:
            version = landlock.version()
            network = (
                Message("it listens on its port only, and connects nowhere by TCP")
                if version >= landlock.NETWORK_VERSION
                else Message("it may use any network")
            )
            signals = (
                Message("it cannot signal the user's other programs")
                if version >= landlock.SCOPE_VERSION
                else Message("it can signal the user's other programs")
            )
            return Message(
                "Landlock {version}: it reads its folder, the served files and programs, and writes nowhere; {network};"
                " {signals}; {limits}",
                version=version,
                network=network,
                signals=signals,
                limits=str(self.limits),
            )
        return Message(
            "namespaces: it sees its folder, the served files and programs, and nothing else of the disk; {changes};"
            " {processes}; at most {written} MiB of files; {limits}",
            changes=Message("changes to its folder stay in memory")
            if self.has_folder_changes
            else Message("its folder is read-only"),
            processes=Message("network and processes of its own")
            if self.has_proc
            else Message("network and processes of its own (without /proc)"),
            written=self.limits.written_bytes >> 20,
            limits=str(self.limits),
        )


class ConfinedProcess(GuardedProcess):
    """The guard of a server in a sandbox, and what the guard tells."""

    def __init__(self, sandbox: Sandbox, words: Sequence[str], suite: int, output: int, port: int) -> None:
        self.network: NetworkNamespace | None = None
        self._told = b""
        self._facts: dict[str, Any] = {}
        self._telling, telling = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._telling, False)
        asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = sandbox.request(words, port) | {"suite": suite, "telling": telling, "asked": asked.fileno()}
        request |= {} if sandbox.has_network else {"asked": -1}
        file = os.memfd_create("request")
        try:
            self._start(
                lambda cgroup: [_GUARD, _written(file, request | {"cgroup": cgroup})],
                sandbox.folder,
                output,
                (suite, telling, asked.fileno(), file),
                {name: value for name, value in os.environ.items() if _is_passed_on(name)},
            )
        except BaseException:
            asking.close()
            os.close(self._telling)
            raise
        finally:
            os.close(telling)
            os.close(file)
            asked.close()
        if sandbox.has_network:
            self.network = NetworkNamespace(asking)
        else:
            asking.close()

    @property
    def open_socket(self) -> OpenSocket:
        """What opens sockets in the server's network."""
        return self.network.open if self.network is not None else socket.socket

    @property
    def entering(self) -> str:
        """The command that runs another one in the server's network (nsenter(1)); empty if that is the suite's."""
        return f"nsenter -t {self.pid} -U -n --preserve-credentials" if self.network is not None else ""

    def facts(self) -> dict[str, Any]:
        """Return what the guard said first; empty if it said nothing in time."""
        poll = select.poll()
        poll.register(self._telling, select.POLLIN)
        while self._listen() or (not self._facts and poll.poll(_SECONDS * 1000) and self._listen()):
            pass
        return self._facts

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the guard to exit, and end what it has left; raise TimeoutExpired."""
        status = super().wait(timeout)
        self.close()
        return status

    def close(self) -> None:
        """Hear the last of the guard."""
        if self._telling >= 0:
            while self._listen():
                pass
            os.close(self._telling)
            self._telling = -1
        if self.network is not None:
            self.network.close()

    def _listen(self) -> bool:
        """Take what the guard has told; return whether there was something."""
        try:
            data = os.read(self._telling, _MOST_BYTES)
        except BlockingIOError:
            return False
        self._told += data
        *lines, self._told = self._told.split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):
                fact = json.loads(line)
                if "note" in fact:
                    said = note(fact["note"], fact["most"])
                    self.notes += [said] if said not in self.notes else []
                else:
                    self._facts |= fact
        return bool(data)


def _written(file: int, request: dict[str, Any]) -> str:
    """Write a request to a file, and return the descriptor as a word of a command line."""
    os.pwrite(file, json.dumps(request).encode(), 0)
    return str(file)


def _is_passed_on(name: str) -> bool:
    return name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)


def choose(mode: str, folder: str, served: str, limits: Limits, readable: tuple[str, ...] = ()) -> Sandbox | None:
    """Return a sandbox of a kind, or the best that this machine allows; None for `off`; raise SandboxError."""
    if mode == OFF:
        return None
    _check_folder(folder)
    reasons = []
    for kind in (NAMESPACES, LANDLOCK) if mode == AUTO else (mode,):
        sandbox = Sandbox(kind, folder, served, limits, readable)
        reason = _try(sandbox)
        if not reason:
            _check_rights(sandbox)
            return sandbox
        reasons.append(joined(": ", (kind, reason)))
    message = Message(
        "--sandbox {mode} is not possible here ({reasons}); see `conformance run --help`, or run the suite without"
        " --sandbox in a virtual machine or a container",
        mode=mode,
        reasons=joined("; ", reasons),
    )
    raise SandboxError(message)


def why_python_cannot_run(sandbox: Sandbox | None) -> str:
    """Return why the user of a server in a sandbox cannot run this interpreter; empty if it can."""
    if sandbox is None or sandbox.mode == LANDLOCK:
        return ""
    end, begin = os.pipe()
    with tempfile.TemporaryFile() as output, open(begin, "wb"), open(end, "rb") as suite:
        try:
            process = sandbox.launch((sys.executable, "-c", ""), suite.fileno(), output.fileno(), 0)
            suite.close()
            status = process.wait(_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Message("{file} does not run: {error}", file=sys.executable, error=error)
        output.seek(0)
        said = output.read(_MOST_BYTES).decode("utf-8", "replace").strip().rpartition("\n")[2]
    user, _ = server_user(sandbox.folder)
    if not status:
        return ""
    return Message("user {user} cannot run {file}: {strerror}", user=user, file=sys.executable, strerror=said)


def _check_folder(folder: str) -> None:
    home = os.path.realpath(Path.home())
    if is_below(home, os.path.realpath(folder)):
        message = Message(
            "--sandbox: the server would see all of {home}: give it a folder of its own (--cwd)", home=home
        )
        raise SandboxError(message)


def _check_rights(sandbox: Sandbox) -> None:
    """Raise SandboxError if a suite of root has made files that the user of the server may not read."""
    user, _ = server_user(sandbox.folder)
    if sandbox.mode == LANDLOCK or user == os.geteuid() or not sandbox.served:
        return
    facts = os.stat(sandbox.served)
    if facts.st_uid != user and facts.st_mode & _READABLE != _READABLE:
        message = Message(
            "--sandbox: the suite runs as root, but the server as user {user}, who may not read {directory}:"
            " set `umask 022`, or run the suite as another user",
            user=user,
            directory=sandbox.served,
        )
        raise SandboxError(message)


def _try(sandbox: Sandbox) -> str:
    """Build a sandbox without a server in it, and note what it has; return why that fails, or nothing."""
    if sandbox.mode == LANDLOCK:
        missing = Message("the kernel has no Landlock (Linux 5.13), or it is switched off")
        return "" if landlock.version() else missing
    suite, pipe = os.pipe()
    try:
        with open(os.devnull, "wb") as null:
            process = sandbox.launch([], suite, null.fileno(), 0)
    except OSError as error:
        return str(error.strerror)
    finally:
        os.close(suite)
    try:
        facts = process.facts()
    finally:
        os.close(pipe)
        process.wait()
    sandbox.has_folder_changes = bool(facts.get("folder-writable"))
    sandbox.has_proc = bool(facts.get("proc"))
    return "" if facts.get("begun") else str(facts.get("failed") or Message("the sandbox does not start"))

"""Run a command in a sandbox, and end all its processes with the suite: `confined_guard.py DESCRIPTOR`.

It is the guard of `guard.py`, with more to do. It reads what it is to do from a file (JSON), which the server cannot
see; it builds the sandbox, opens sockets for the suite in the server's network, measures what the server uses, and
tells the suite about that in lines of JSON, on a pipe.
"""

import json
import os
import resource
import select
import signal
import socket
import sys
from typing import Any

sys.path.append(os.path.abspath(f"{os.path.dirname(__file__)}/../../.."))

from conformance.client.network_namespace import ANSWER, REQUEST
from conformance.target import guard
from conformance.target.sandbox import kernel, landlock, namespaces
from conformance.target.sandbox.usage import Usage, threads_of_user

LANDLOCK = "landlock"
NAMESPACES = "namespaces"
_OF_ONE_PROCESS = 4
"""A single process is refused so many times the memory that all of them together may use."""
_OOM_SCORE = "1000"
"""The kernel ends this server before all other programs when the machine has no memory left."""
_GRACE_SECONDS = 1.0
_CANNOT_RUN = 127


def main(descriptor: int) -> int:
    """Run the command of a request until it exits or the suite closes its pipe; return its exit status."""
    with os.fdopen(descriptor, encoding="utf-8") as file:
        request: dict[str, Any] = json.load(file)
    guard.enter_cgroup(request["cgroup"])
    guard.become_subreaper()
    try:
        if request["mode"] == NAMESPACES:
            namespaces.enter(request["user"], request["group"])
        return _Confined(request).run()
    except OSError as error:
        return _fail(request["telling"], error)


def _fail(telling: int, error: OSError) -> int:
    """Tell the suite and whoever reads the output that there is no sandbox; return an exit status."""
    reason = f"{error.strerror or error}"
    _tell(telling, {"failed": reason})
    sys.stderr.write(f"cannot build the sandbox: {reason}\n")
    sys.stderr.flush()
    return _CANNOT_RUN


class _Confined:
    """A command in a sandbox."""

    def __init__(self, request: "dict[str, Any]") -> None:
        self._request = request
        self._suite = request["suite"]
        self._usage = Usage(request["limits"], self._say, has_own_files=request["mode"] == NAMESPACES)
        self._asked = socket.socket(fileno=request["asked"]) if request["asked"] >= 0 else None

    def run(self) -> int:
        child = os.fork()
        if child == 0:
            try:
                os._exit(self._be_child())
            finally:
                os._exit(_CANNOT_RUN)
        status = self._watch(child)
        guard.end_all(child)
        return status

    # --- The child: process 1 in namespaces, or the server -------------------------------------------

    def _be_child(self) -> int:
        request = self._request
        guard.come_of_age(self._suite)
        if self._asked is not None:
            self._asked.close()
        _end_first()
        facts: dict[str, object] = {}
        try:
            if request["mode"] == NAMESPACES:
                facts |= namespaces.build_root(request)
            self._say(facts | {"begun": True})
        except OSError as error:
            return _fail(request["telling"], error)
        if not request["command"]:
            return 0
        if request["mode"] == LANDLOCK:
            return self._become_server()
        server = os.fork()
        if server == 0:
            try:
                os._exit(self._become_server())
            finally:
                os._exit(_CANNOT_RUN)
        return namespaces.reap_until(server, self._usage.look_inside)

    def _become_server(self) -> int:
        request, command = self._request, self._request["command"]
        is_other = request["user"] != os.geteuid()
        os.close(request["telling"])
        try:
            _limit(request["limits"], others=threads_of_user() if request["mode"] == LANDLOCK else 0)
            kernel.drop_privileges(request["user"], request["group"])
            if request["mode"] == LANDLOCK:
                landlock.confine(request["readable"], request["devices"], request["port"])
            os.execvp(command[0], command)  # noqa: S606  (the user's own command, split into words)
        except OSError as error:
            other = f" as user {request['user']}" if is_other and isinstance(error, PermissionError) else ""
            sys.stderr.write(f"cannot run {command[0]}{other}: {error.strerror or error}\n")
            sys.stderr.flush()
        return _CANNOT_RUN

    # --- The guard -------------------------------------------------------------------------------

    def _watch(self, child: int) -> int:
        """Wait until the child exits, the suite closes the pipe, or the server uses too much; return an exit status."""
        ended = os.pidfd_open(child)
        asked = [self._asked] if self._asked is not None else []
        while True:
            ready, _, _ = select.select([self._suite, ended, *asked], [], [], self._usage.pause_seconds)
            if ended in ready:
                _, status = os.waitpid(child, 0)
                if not self._asked:
                    self._usage.look(os.getpid())
                code = os.waitstatus_to_exitcode(status)
                self._usage.end(code & 0xFF)
                return code & 0xFF
            if self._suite in ready:
                break
            if asked and asked[0] in ready and not _hand_over(asked[0]):
                asked = []
            if self._usage.is_excessive(child):
                return -signal.SIGKILL & 0xFF
        self._usage.look(child)
        guard.send(os.killpg, child, signal.SIGTERM)
        select.select([ended], [], [], _GRACE_SECONDS)
        return 0

    def _say(self, facts: "dict[str, Any]") -> None:
        _tell(self._request["telling"], facts)


def _tell(telling: int, facts: "dict[str, Any]") -> None:
    try:  # noqa: SIM105  (contextlib takes a while to import)
        os.write(telling, json.dumps(facts).encode() + b"\n")
    except OSError:  # the suite is gone
        pass


def _hand_over(asked: socket.socket) -> bool:
    """Open a socket for the suite, and hand it over; return whether the suite may ask again."""
    try:
        request = asked.recv(REQUEST.size)
        if len(request) != REQUEST.size:
            return False
        number, opened = 0, None
        try:
            opened = socket.socket(*REQUEST.unpack(request))
        except OSError as error:
            number = error.errno or 1
        socket.send_fds(asked, [ANSWER.pack(number)], [opened.fileno()] if opened is not None else [])
        if opened is not None:
            opened.close()
    except OSError:
        return False
    return True


def _limit(limits: "dict[str, int]", *, others: int) -> None:
    """Limit this process and all that it starts; see setrlimit(2).

    `others` are threads that count as the server's: outside a namespace, all of its user.
    """
    rows = {
        resource.RLIMIT_DATA: _OF_ONE_PROCESS * limits["memory_bytes"],
        resource.RLIMIT_NPROC: limits["processes"] + others,
        resource.RLIMIT_FSIZE: limits["written_bytes"],
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_CORE: 0,
    }
    for what, most in rows.items():
        soft, hard = resource.getrlimit(what)
        hard = most if hard == resource.RLIM_INFINITY else min(most, hard)
        soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
        resource.setrlimit(what, (soft, hard))


def _end_first() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(_OOM_SCORE)
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

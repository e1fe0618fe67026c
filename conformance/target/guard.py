"""Run a command, and kill all its processes when the suite ends: `guard.py DESCRIPTOR CGROUP COMMAND...`.

The guard holds one end of a pipe; the suite holds the other. When the suite closes it or is killed, the guard kills
everything that the command has started, including daemons with their own session: the guard is their subreaper, so
orphans become its children (PR_SET_CHILD_SUBREAPER, prctl(2)). As root, the command loses CAP_DAC_OVERRIDE and
CAP_DAC_READ_SEARCH (capabilities(7)), so that file permissions apply to it.

It starts before every server, so it imports little: contextlib, pathlib and typing would double its start-up time.
"""

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
_GRACE_SECONDS = 1.0
_ROUNDS = 50
_CANNOT_RUN = 127
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def main(arguments: list[str]) -> int:
    """Run the command until it exits or the suite closes the pipe; return its exit status."""
    enter_cgroup(arguments[1])
    return watch(int(arguments[0]), lambda: _become(arguments[2:]))


def enter_cgroup(cgroup: str) -> None:
    """Enter a cgroup, if there is one, with all that is started from here on."""
    if not cgroup:
        return
    try:
        with open(f"{cgroup}/cgroup.procs", "w", encoding="ascii") as file:  # noqa: PTH123  (pathlib takes a while)
            file.write("0")
    except OSError:
        pass


def become_subreaper() -> None:
    """Take over all orphans of this process, and ignore signals: only the pipe ends the guard."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def watch(suite: int, run: Callable[[], None]) -> int:
    """Run a function in a child process until it exits or the suite closes the pipe; return its exit status."""
    become_subreaper()
    child = os.fork()
    if child == 0:
        try:
            come_of_age(suite)
            run()
        finally:
            os._exit(_CANNOT_RUN)
    status = _wait(child, suite)
    end_all(child)
    return status


def set_parent_death_signal(number: int) -> None:
    """Have the kernel send this process a signal when its parent dies (the thread that started it, in prctl(2))."""
    _prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def come_of_age(suite: int) -> None:
    """Set up the child: default signals, own process group, SIGKILL when the guard dies, reduced capabilities."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.close(suite)
    os.setpgid(0, 0)
    set_parent_death_signal(signal.SIGKILL)
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            _prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _become(command: list[str]) -> None:
    try:
        os.execvp(command[0], command)  # noqa: S606  (the user's own command, split into words)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")


def _wait(child: int, suite: int) -> int:
    """Wait until the child exits or the pipe closes; return an exit status."""
    descriptor = os.pidfd_open(child)
    ready, _, _ = select.select([suite, descriptor], [], [])
    if descriptor in ready:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) & 0xFF
    send(os.killpg, child, signal.SIGTERM)
    select.select([descriptor], [], [], _GRACE_SECONDS)
    return 0


def end_all(group: int) -> None:
    """Kill the process group and orphans, until there are no children."""
    for _ in range(_ROUNDS):
        send(os.killpg, group, signal.SIGKILL)
        for child in _children():
            send(os.kill, child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def send(kill: Callable[[int, int], None], whom: int, number: int) -> None:
    """Send a signal, unless the process or group is gone or may not be signalled."""
    try:  # noqa: SIM105  (contextlib takes a while to import)
        kill(whom, number)
    except (ProcessLookupError, PermissionError):
        pass


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123  (so does pathlib)
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

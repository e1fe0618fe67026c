"""Runs a command, and leaves none of its processes behind, however the suite ends: `guard.py DESCRIPTOR COMMAND...`.

The guard holds one end of a pipe; the other end belongs to the suite. When that closes, by a call or because the suite
was killed, everything that the command has started is killed, daemons with a session of their own included: the guard
is their subreaper, so orphans become its children. As root, the command loses the right to read what is unreadable.

It is started before every server, and imports little: with contextlib, pathlib and typing it took twice as long.
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


def main(arguments: list[str]) -> int:
    """Run the command until it ends or the suite wants it to; return its exit status."""
    return watch(int(arguments[0]), lambda: _become(arguments[1:]))


def watch(suite: int, run: Callable[[], None]) -> int:
    """Run a function in a process of its own until it ends or the suite wants it to; return its exit status."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the pipe says when it is time
    child = os.fork()
    if child == 0:
        try:
            _come_of_age(suite, prctl)
            run()
        finally:
            os._exit(_CANNOT_RUN)
    status = _wait(child, suite)
    _end_all(child)
    return status


def _come_of_age(suite: int, prctl: "ctypes._FuncPointer") -> None:
    """Be the head of a group that can be signalled, and that ends with the guard."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.close(suite)
    os.setpgid(0, 0)
    prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _become(command: list[str]) -> None:
    try:
        os.execvp(command[0], command)  # noqa: S606  (the user's own command, which was split into words)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")


def _wait(child: int, suite: int) -> int:
    """Wait for the child's end or the suite's word; return an exit status."""
    descriptor = os.pidfd_open(child)
    ready, _, _ = select.select([suite, descriptor], [], [])
    if descriptor in ready:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) & 0xFF
    _send(os.killpg, child, signal.SIGTERM)
    select.select([descriptor], [], [], _GRACE_SECONDS)
    return 0


def _end_all(group: int) -> None:
    """Kill the group, and whatever was orphaned on the way, until nothing is left."""
    for _ in range(_ROUNDS):
        _send(os.killpg, group, signal.SIGKILL)
        for child in _children():
            _send(os.kill, child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def _send(kill: Callable[[int, int], None], whom: int, number: int) -> None:
    """Send a signal to whoever is still there."""
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

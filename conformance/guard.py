"""Runs a command, and leaves none of its processes behind, however the suite ends: `guard.py DESCRIPTOR COMMAND...`.

The guard holds one end of a pipe; the other end belongs to the suite. When that closes, by a call or because the suite
was killed, everything that the command has started is killed, daemons with a session of their own included: the guard
is their subreaper, so orphans become its children. As root, the command loses the right to read what is unreadable.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_DROP: Final = 24
_PR_SET_CHILD_SUBREAPER: Final = 36
_CAP_DAC_OVERRIDE: Final = 1
_CAP_DAC_READ_SEARCH: Final = 2
_GRACE_SECONDS: Final = 1.0
_ROUNDS: Final = 50
_CANNOT_RUN: Final = 127


def main(arguments: list[str]) -> int:
    """Run the command until it ends or the suite wants it to; return its exit status."""
    suite, command = int(arguments[0]), arguments[1:]
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the pipe says when it is time
    child = os.fork()
    if child == 0:
        _become(command, suite, prctl)
    status = _wait(child, suite)
    _end_all(child)
    return status


def _become(command: list[str], suite: int, prctl: "ctypes._FuncPointer") -> None:
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.close(suite)
        os.setpgid(0, 0)
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.geteuid() == 0:
            for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
                prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.execvp(command[0], command)  # noqa: S606  (the user's own command, which was split into words)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
    os._exit(_CANNOT_RUN)


def _wait(child: int, suite: int) -> int:
    """Wait for the child's end or the suite's word; return an exit status."""
    descriptor = os.pidfd_open(child)
    ready, _, _ = select.select([suite, descriptor], [], [])
    if descriptor in ready:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) & 0xFF
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGTERM)
    select.select([descriptor], [], [], _GRACE_SECONDS)
    return 0


def _end_all(group: int) -> None:
    """Kill the group, and whatever was orphaned on the way, until nothing is left."""
    for _ in range(_ROUNDS):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def _children() -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()]
    return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

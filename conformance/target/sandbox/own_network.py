"""Give this process, and all that it starts, a network of its own, with a loopback interface and nothing else.

Servers that always listen on one port can then run side by side. It takes root or, where the system allows that, a
user namespace (see network_namespaces(7) and user_namespaces(7)), in which the user is who they were.
"""

import os
import subprocess
import sys

sys.path.append(os.path.abspath(f"{os.path.dirname(__file__)}/../../.."))

from conformance.target.sandbox import kernel, namespaces

_SECONDS = 30.0


def enter() -> None:
    """Enter a new network; raise OSError."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        kernel.unshare(kernel.CLONE_NEWNET)
    else:
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET)
        namespaces.map_ids("self", {user}, {group}, forbids_groups=True)
    namespaces.start_loopback()


def why_not() -> str:
    """Return why there is no other network for a process of this user; empty if there is."""
    try:
        done = subprocess.run(  # noqa: S603  (this file)
            [sys.executable, "-I", "-S", __file__], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip().rpartition("\n")[2] or f"exit status {done.returncode}"


if __name__ == "__main__":
    try:
        enter()
    except OSError as error:
        sys.exit(error.strerror or str(error))

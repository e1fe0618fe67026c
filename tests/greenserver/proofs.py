"""Run the conformance suite against greenserver in each configuration of TLS, proxies, workers and rate.

Used as ``python -m tests.greenserver.proofs``; arguments are passed on to the suite (``-t framing``). The suite uses
plain TCP: where the server expects TLS or a PROXY protocol header, HAProxy between the two adds them.
"""

import subprocess
import sys
import time
from collections.abc import Sequence

from tests import INTERPRETER
from tests.greenserver.serving import ROOT

_RATE = "--rate 4000000"
_DIRECT = "-m greenserver -q --port {port} --directory {dir}"
_BEHIND = "-m tests.greenserver.behind_haproxy --port {port} --directory {dir}"

CONFIGURATIONS = {
    "tls": f"{_BEHIND} --tls",
    "proxy-v1": f"{_BEHIND} --proxy v1",
    "proxy-v2": f"{_BEHIND} --proxy v2",
    "tls-proxy-v1": f"{_BEHIND} --tls --proxy v1",
    "tls-proxy-v2-selectors": f"{_BEHIND} --tls --proxy v2 -- --engine selectors",
    "tls-proxy-v2-threads": f"{_BEHIND} --tls --proxy v2 -- --engine threads",
    "workers": f"{_DIRECT} --workers 4",
    "workers-tls-proxy-v2": f"{_BEHIND} --tls --proxy v2 -- --workers 4",
    "rate": f"{_DIRECT} {_RATE}",
    "rate-tls": f"{_BEHIND} --tls -- {_RATE}",
}
"""By name: the arguments of the interpreter that starts the server."""

_SIZE = ("--size", "2M", "--clients", "60")
"""A smaller large file and fewer clients than usual: at a limited rate, gigabytes would take too long."""


def run_suite(configuration: str, options: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run the suite against a server of this configuration."""
    serve = f"{INTERPRETER} {CONFIGURATIONS[configuration]}"
    command = [
        sys.executable,
        "-m",
        "conformance",
        "run",
        "-j",
        "2",
        "--fail-on",
        "should",
        "--dialect",
        "2026",
        "--seed",
        "2008",
    ]
    return subprocess.run(
        [*command, *_SIZE, "--cwd", str(ROOT), "--serve", serve, *options],
        cwd=ROOT,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def main() -> int:
    """Run each configuration; print one line for each, and the whole report of the suite after a failure."""
    failures = 0
    for configuration in CONFIGURATIONS:
        started = time.monotonic()
        result = run_suite(configuration, sys.argv[1:])
        failures += result.returncode != 0
        text = result.stdout if result.returncode else result.stdout.rstrip().rpartition("\n")[2]
        sys.stdout.write(f"{configuration} ({time.monotonic() - started:.0f} s): {text}\n")
        sys.stdout.flush()
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())

"""Judges greenserver by the conformance suite in each way that clients may reach it.

Used as ``python -m tests.greenserver.ways``; arguments are handed on to the suite (``-t framing``). The suite speaks
plain TCP: where the server must hear TLS or a PROXY protocol header, HAProxy stands between the two, and says them.
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

WAYS = {
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
"""What the suite begins, after the interpreter."""

_SIZE = ("--size", "2M", "--clients", "60")
"""Of the large file and of a crowd: a rate is part of the proof, waiting for gigabytes is not."""


def judge(way: str, options: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run the suite on a server that is reached so."""
    serve = f"{INTERPRETER} {WAYS[way]}"
    command = [sys.executable, "-m", "conformance", "run", "-j", "2", "--fail-on", "should", "--dialect", "2026"]
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
    """Judge each way, say a line on each, and all that the suite says where it finds a fault."""
    failures = 0
    for way in WAYS:
        started = time.monotonic()
        judged = judge(way, sys.argv[1:])
        failures += judged.returncode != 0
        told = judged.stdout if judged.returncode else judged.stdout.rstrip().rpartition("\n")[2]
        sys.stdout.write(f"{way} ({time.monotonic() - started:.0f} s): {told}\n")
        sys.stdout.flush()
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())

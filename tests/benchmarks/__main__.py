"""The command line: select the workloads, run them, write the reports, and judge the goals."""

import argparse
import datetime as dt
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from tests.benchmarks import client, report
from tests.benchmarks.files import LISTED_FILES, Files, raise_descriptor_limit
from tests.benchmarks.goals import judge_all, missed_goals
from tests.benchmarks.measure import Result, run_workload, started
from tests.benchmarks.peers import PEERS
from tests.benchmarks.workloads import ONE_CORE, WORKLOADS, Bench

MIB: Final = 1 << 20

FULL: Final = {
    "large_bytes": 256 * MIB,
    "rounds": 9,
    "slow_rounds": 9,
    "seconds": 0.7,
    "idle": 15_000,
    "stalled": 100,
    "listed": LISTED_FILES,
}
QUICK: Final = {
    "large_bytes": 64 * MIB,
    "rounds": 2,
    "slow_rounds": 1,
    "seconds": 0.1,
    "idle": 2_500,
    "stalled": 50,
    "listed": 20_000,
}

MISSED: Final = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, report, and return the exit status."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the peers are ended
    amount = QUICK if options.quick else FULL
    workloads = options.only or list(WORKLOADS)
    results: dict[tuple[str, str], Result] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.scratch) as scratch:
        path = Path(scratch)
        raise_descriptor_limit()
        files = Files(path, int(amount["large_bytes"]))
        command, language = client.build(path)
        machine = describe_machine(files.keep_in_memory(), language, quick=options.quick)
        bench = Bench(
            scratch=path,
            files=files,
            client=command,
            seconds=float(amount["seconds"]),
            idle_connections=int(amount["idle"]),
            stalled_readers=int(amount["stalled"]),
            listed_files=int(amount["listed"]),
            cores=frozenset(os.sched_getaffinity(0)),
        )
        wanted = dict.fromkeys(peer for name in workloads for peer in WORKLOADS[name].peers)
        with started(bench, [PEERS[name] for name in wanted]) as started_peers:
            for name in workloads:
                placements = WORKLOADS[name].placements
                for placement in placements[:1] if options.quick else placements:
                    started_at = time.monotonic()
                    usual = amount["rounds" if ONE_CORE in placements else "slow_rounds"]
                    rounds = options.rounds or int(usual)
                    results[name, placement] = run_workload(bench, WORKLOADS[name], placement, rounds, started_peers)
                    _say(f"{name}, {placement}: {time.monotonic() - started_at:.1f} s")
    verdicts = judge_all(results, workloads)
    markdown = report.as_markdown(machine, results, verdicts)
    sys.stdout.write(markdown)
    if options.markdown:
        options.markdown.write_text(markdown, encoding="utf-8")
    if options.json:
        options.json.write_text(report.as_json(machine, results, verdicts), encoding="utf-8")
    if options.svg:
        try:
            report.as_svg(results, options.svg)
        except ImportError:
            _say("no plot: matplotlib is not installed")
    missed = missed_goals(verdicts) if options.gate else []
    for line in missed:
        _say(f"missed: {line}")
    return MISSED if missed else 0


def describe_machine(mode: str, language: str, *, quick: bool) -> dict[str, str]:
    """Return the conditions of the run: machine, date, versions and method."""
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    cores = len(os.sched_getaffinity(0))
    return {
        "machine": f"{model[1] if model else platform.machine()}, {cores} cores, Linux {platform.release()}",
        "date": dt.datetime.now(tz=dt.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": ", ".join(f"{name} {version}" for name, version in _versions().items()),
        "run": f"{'quick, with smaller files and fewer rounds; ' if quick else ''}client in {language}, files {mode}; "
        "medians, quartiles in brackets",
    }


def _versions() -> Mapping[str, str]:
    """Return the versions of the programs under comparison."""
    found = {"Python": platform.python_version()}
    for name in ("greenserver", "gevent", "pybase64", "uvloop", "pyftpdlib"):
        found[name] = next((each.version for each in metadata.distributions(name=name)), "missing")
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    shown = (
        subprocess.run([nginx, "-v"], capture_output=True, text=True, timeout=10, check=False).stderr if nginx else ""
    )
    return {**found, "nginx": shown.strip().rpartition("/")[2] or "missing"}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measure greenserver beside its peers."
    )
    parser.add_argument("--quick", action="store_true", help="smaller and fewer rounds, within a minute")
    parser.add_argument("--gate", action="store_true", help=f"exit with {MISSED} if a goal is missed, and say which")
    parser.add_argument(
        "--only", action="append", choices=list(WORKLOADS), metavar="WORKLOAD", help=", ".join(WORKLOADS)
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="instead of the usual number")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE", help=f"a plot of the rates on {ONE_CORE}")
    parser.add_argument(
        "--scratch",
        type=Path,
        metavar="DIR",
        help="where to create the files, instead of the usual place",
    )
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

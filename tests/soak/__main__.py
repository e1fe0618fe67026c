"""Run the trials: ``python -m tests.soak SECONDS [--count N] [--engine NAME]... [TRIAL]...``.

SECONDS is the duration of `churn` on all engines together, and of `swap`; the other trials last as long as the timeouts
that they test.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import trustme

from tests.greenserver.launching import CONCURRENT, EVENT_LOOP_ENGINES
from tests.soak.trials import EVENT_LOOP_ONLY, TRIALS


def main() -> int:
    """Run the selected trials, print their figures, and return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=60.0)
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=", ".join(TRIALS))
    parser.add_argument("--count", type=int, default=1000, help="clients of a trial")
    parser.add_argument("--megabytes", type=int, default=1024, help="length of the endless line")
    parser.add_argument("--limit-seconds", type=float, default=10.0, help="the timeouts under test")
    parser.add_argument("--engine", action="append", choices=CONCURRENT)
    options = parser.parse_args()
    engines = options.engine or CONCURRENT
    failures = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        scratch = Path(name)
        certificate = make_certificate(scratch)
        for trial in options.trials or TRIALS:
            for engine in (
                engines if trial not in EVENT_LOOP_ONLY else [each for each in engines if each in EVENT_LOOP_ENGINES]
            ):
                where = scratch / f"{trial}-{engine}"
                where.mkdir()
                started = time.monotonic()
                try:
                    figures = TRIALS[trial](
                        where,
                        engine,
                        seconds=options.seconds / len(engines),
                        count=options.count,
                        megabytes=options.megabytes,
                        limit_seconds=options.limit_seconds,
                        certificate=certificate,
                    )
                except AssertionError as error:
                    failures += 1
                    figures = {"FAILED": error}
                text = " ".join(f"{name}={value}" for name, value in figures.items())
                sys.stdout.write(f"{trial} {engine} {text} seconds={time.monotonic() - started:.1f}\n")
                sys.stdout.flush()
    return min(failures, 1)


def make_certificate(directory: Path) -> tuple[str, str]:
    """Return the paths of a new certificate and its key."""
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(directory / "chain.pem")
    issued.private_key_pem.write_to_path(directory / "key.pem")
    return str(directory / "chain.pem"), str(directory / "key.pem")


if __name__ == "__main__":
    sys.exit(main())

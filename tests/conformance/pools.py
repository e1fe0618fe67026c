"""Where the tools of the tests judge their servers: here, or on a cluster, as `conformance class` does."""

import argparse
import os
from contextlib import AbstractContextManager

from conformance.classroom.pool import LOCAL, Pool, open_pool


def pool_options(parser: argparse.ArgumentParser, jobs: int) -> None:
    """Add the options that say where servers are judged, and how many at a time."""
    parser.add_argument("-j", "--jobs", type=int, help=f"how many servers are judged at a time (by default {jobs})")
    parser.add_argument(
        "--on",
        default=LOCAL,
        metavar="WHERE",
        help="dask://HOST:PORT judges them on a cluster, which needs this source tree on its path (PYTHONPATH)",
    )
    parser.set_defaults(default_jobs=jobs)


def pool_of(asked: argparse.Namespace) -> AbstractContextManager[Pool]:
    """Return the pool that these options name."""
    return open_pool(
        asked.on, asked.jobs or (asked.default_jobs if asked.on == LOCAL else 0), f"tests of {os.getpid()}"
    )

"""Servers with limits, certificates and proxies of a test's choice, in separate processes."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.greenserver.serving import ENGINES, Server, fork_kind, start_process, wait_until

CONCURRENT = tuple(name for name in ENGINES if name != "sequential")
"""The engines that serve several clients at once."""

EVENT_LOOP_ENGINES = ("gevent", "selectors")
"""The engines that serve all clients in one thread, on an event loop."""

Launch = Callable[..., "LaunchedServer"]
"""Starts a server with an engine and keyword arguments of `LaunchedServer`."""


class LaunchedServer(Server):
    """A `greenserver.Server` in a separate process, with its log as JSON in a file.

    `limits` are fields of `greenserver.config.limits.Limits`, of which the log is not limited unless they say so;
    `access_log` is what it tells of connections; `tls` is certificate, key and client authority;
    `descriptors` is RLIMIT_NOFILE; while the file `hang` exists, reads of files named hung* block; `strace`
    are options of strace, under which the server then runs; `stderr` is a descriptor that replaces the log file.
    """

    def __init__(
        self,
        directory: Path,
        scratch: Path,
        engine: str,
        *,
        strace: Sequence[str] = (),
        stderr: int | None = None,
        **settings: Any,  # noqa: ANN401  (any JSON value)
    ) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.stdout = scratch / "stdout"
        self.stderr = scratch / "stderr"
        self._counts = scratch / "counts"
        settings |= {"directory": str(directory), "engine": engine, "counts": str(self._counts)}
        with self.stdout.open("wb") as out, self.stderr.open("ab") as err:
            self.process = start_process(
                "tests.greenserver.launcher",
                [json.dumps(settings)],
                (out.fileno(), err.fileno() if stderr is None else stderr),
                kind=None if strace else fork_kind(engine),
                under=strace_command(strace),
            )
        wait_until(lambda: b"\n" in self.stdout.read_bytes() or self.process.poll() is not None, "the server starts")
        assert self.process.poll() is None, self.log()
        self.port = int(self.stdout.read_text())

    def events(self) -> list[dict[str, Any]]:
        """Return the logged events; each line must be one JSON object."""
        return [json.loads(line) for line in self.log().splitlines()]

    def events_named(self, *words: str) -> list[dict[str, Any]]:
        """Return the logged events whose names contain one of these words."""
        return [event for event in self.events() if any(word in event["event"] for word in words)]


def strace_command(options: Sequence[str]) -> list[str]:
    """Return the command that runs a program under strace with these options; empty without options."""
    if not options:
        return []
    return [find_program("strace"), "-D", "-f", "--seccomp-bpf", "-qq", "-o", os.devnull, *options]


def find_program(name: str) -> str:
    """Return the path of a program of the system. Skip the test, and name the missing package, without it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is missing: apt-get install {name}")
    return found

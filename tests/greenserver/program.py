"""The installed command, run as a user would: with streams, an environment and a directory of the test's own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from tests.greenserver.serving import TIMEOUT_SECONDS, environment_without_coverage, wait_until

PROGRAM = str(Path(sys.executable).with_name("greenserver"))


class Running:
    """A server that runs, and where its output goes."""

    def __init__(self, process: "subprocess.Popen[bytes]", scratch: Path) -> None:
        self.process = process
        self.stdout = scratch / "stdout"
        self.stderr = scratch / "stderr"
        self._port_file = scratch / "port"

    @property
    def port(self) -> int:
        """The port, from the file that the server wrote it to."""
        return int(self._port_file.read_text(encoding="ascii"))

    @property
    def log(self) -> str:
        """What the server has written to its standard error stream."""
        return self.stderr.read_text(encoding="utf-8")


def plain_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without what could change how an interpreter or the server starts."""
    known = environment_without_coverage().items()
    return {name: value for name, value in known if not name.startswith(("PYTHON", "GREENSERVER_"))} | dict(more or {})


def as_nobody() -> list[str]:
    """Return how to run a command as a user without rights, if this one is root; skip the test where that fails."""
    if os.geteuid() != 0:
        return []
    command = ["setpriv", "--reuid=65534", "--clear-groups"]
    environment = plain_environment()
    done = subprocess.run(
        [*command, PROGRAM, "--version"], env=environment, capture_output=True, timeout=60, check=False
    )
    if done.returncode:
        pytest.skip(f"another user cannot run {PROGRAM}: {done.stderr!r}")
    return command


@contextlib.contextmanager
def running(
    scratch: Path,
    *options: str,
    command: Sequence[str] = (PROGRAM,),
    environment: Mapping[str, str] | None = None,
    has_port_file: bool = True,
    **more: Any,  # noqa: ANN401  (as Popen)
) -> Iterator[Running]:
    """Run a server until the end of the block, on a free port unless it has an address of its own."""
    scratch.mkdir(exist_ok=True)
    port_file = scratch / "port"
    where = ["-p", "0"]
    told = scratch / "stdout"
    if has_port_file and not any(each.startswith("unix:") for each in options):
        where += ["--port-file", str(port_file)]
        told = port_file
    streams: dict[str, IO[bytes]] = {}
    with contextlib.ExitStack() as files:
        for name in ("stdout", "stderr"):
            streams[name] = files.enter_context((scratch / name).open("wb"))
        process = subprocess.Popen(
            [*command, *where, *options],
            env=plain_environment(environment),
            **{"stdin": subprocess.DEVNULL, **streams, **more},
        )
    server = Running(process, scratch)
    with process:
        try:
            wait_until(
                lambda: (told.exists() and told.stat().st_size > 0) or process.poll() is not None,
                "the server listens",
            )
            assert process.poll() is None, server.log
            yield server
            process.terminate()
            assert process.wait(TIMEOUT_SECONDS) == 0, server.log
        except BaseException:
            process.kill()
            raise

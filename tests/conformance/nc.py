"""Run the command lines with nc(1) that the suite prints, also where there is no nc."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

STAND_IN = """#!/usr/bin/env bash
exec 3<>"/dev/tcp/$1/$2" || exit 1
cat <&3 &
cat >&3
wait
"""
SECONDS = 2.0
"""How long a connection that stays open is looked at."""


def run_line(line: str, directory: Path, port: int) -> tuple[bytes, bool]:
    """Run a line for $PORT in a shell; return what it prints, and whether the connection ended.

    Where there is no nc, one that bash makes of /dev/tcp is put into the directory; without bash the test is skipped.
    """
    path = os.environ["PATH"]
    if not shutil.which("nc"):
        path = f"{_stand_in(directory)}{os.pathsep}{path}"
    environment = {**os.environ, "PATH": path, "PORT": str(port)}
    with subprocess.Popen(
        ["sh", "-c", line], stdout=subprocess.PIPE, env=environment, start_new_session=True
    ) as running:
        try:
            return running.communicate(timeout=SECONDS)[0], True
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            return running.communicate()[0], False


def _stand_in(directory: Path) -> Path:
    if not shutil.which("bash"):
        pytest.skip("there is neither nc nor bash, which knows /dev/tcp")
    directory.mkdir(exist_ok=True)
    (directory / "nc").write_text(STAND_IN, "ascii")
    (directory / "nc").chmod(0o755)
    return directory

"""What the matrix installs is installed by uv, and by pip where uv is missing, fails, or does not know the index."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

INSTALL = Path(__file__).parent / "tox_interpreters" / "install.py"
SYSTEMS_PIP = Path("/etc/pip.conf")
PIP_HELP = "pip install [options]"

pytestmark = pytest.mark.once


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def uv_that_exits(directory: Path, status: int) -> str:
    """Make a program that says what it is told, and exits."""
    uv = directory / "uv"
    uv.write_text(f'#!/bin/sh\necho "uv was told: $*"\nexit {status}\n', encoding="ascii")
    uv.chmod(uv.stat().st_mode | stat.S_IXUSR)
    return str(uv)


def install(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installer, with what makes pip only say how it is used."""
    return subprocess.run(
        [sys.executable, "-I", str(INSTALL), "--help"],
        env={"HOME": str(home), "PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.skipif(
    SYSTEMS_PIP.exists() and "index" in SYSTEMS_PIP.read_text(encoding="utf-8"),
    reason="this system's pip has an index of its own, and installs",
)
def test_uv_installs_into_the_interpreter_that_asks(home: Path) -> None:
    done = install(home, MATRIX_UV=uv_that_exits(home, 0))
    assert done.returncode == 0
    assert done.stdout == f"uv was told: pip install --quiet --python {sys.executable} --help\n"


def test_pip_installs_where_there_is_no_uv(home: Path) -> None:
    done = install(home)
    assert done.returncode == 0
    assert PIP_HELP in done.stdout


@pytest.mark.parametrize("is_there", [True, False])
def test_pip_installs_where_uv_does_not_and_says_so(home: Path, is_there: bool) -> None:
    done = install(home, MATRIX_UV=uv_that_exits(home, 2) if is_there else str(home / "nothing"))
    assert done.returncode == 0
    assert PIP_HELP in done.stdout
    assert "uv did not install it; pip does" in done.stderr


@pytest.mark.parametrize("is_file", [True, False])
def test_pip_installs_where_it_alone_knows_the_index(home: Path, is_file: bool) -> None:
    more = {} if is_file else {"PIP_INDEX_URL": "http://127.0.0.1:9/"}
    if is_file:
        (home / ".pip").mkdir()
        (home / ".pip" / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/\n", encoding="utf-8")
    done = install(home, MATRIX_UV=uv_that_exits(home, 0), **more)
    assert done.returncode == 0
    assert PIP_HELP in done.stdout
    assert "uv was told" not in done.stdout

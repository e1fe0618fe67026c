"""Suits tox to the matrix: tells it of interpreters, of uv, and how many environments to run at a time.

A plugin of tox: it puts the directories of pyenv's, asdf's, mise's and uv's interpreters at the end of
PATH before tox looks for any, so that what was there first still wins. `install.py` uses uv if it is installed.
A parallel run has two environments at a time for each processor: most of them are one process that waits for half of
its time.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tox.config.cli.parser import ToxParser
from tox.plugin import impl

_MANAGERS: Final = (
    # The variable that says where a manager keeps its interpreters, the usual place, and what lies between.
    ("PYENV_ROOT", ".pyenv", "versions"),
    ("ASDF_DATA_DIR", ".asdf", "installs/python"),
    ("MISE_DATA_DIR", ".local/share/mise", "installs/python"),
    ("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python", ""),
)


def interpreter_directories(environment: Mapping[str, str], home: Path) -> Iterator[str]:
    """Yield the directories of the interpreters that version managers have installed, the newest first."""
    for variable, usual, between in _MANAGERS:
        root = Path(environment.get(variable) or home / usual) / between
        yield from sorted((str(path) for path in root.glob("*3.*/bin")), reverse=True)


@impl
def tox_add_option(parser: ToxParser) -> None:  # noqa: ARG001  (the first hook that tox calls)
    """Extend PATH, tell where uv is, and let two environments run at a time for each processor."""
    os.environ.setdefault("TOX_PARALLEL", str(2 * (os.cpu_count() or 1)))
    present = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([present, *interpreter_directories(os.environ, Path.home())])
    with contextlib.suppress(ImportError, FileNotFoundError):  # no uv for this machine: pip installs
        from uv import find_uv_bin  # noqa: PLC0415

        os.environ["MATRIX_UV"] = find_uv_bin()

"""Fit tox-uv to the matrix: interpreters that are not on PATH, pip's index, shared bytecode, how much runs at a time.

A plugin of tox, installed from this folder; see https://tox.wiki/en/latest/plugins.html. CONTRIBUTING.md says what each
part saves.
"""

import configparser
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Final

from tox.config.cli.parser import ToxParser
from tox.plugin import impl
from tox.tox_env.api import ToxEnv

_MANAGERS: Final = (
    # The variable that says where a manager keeps its interpreters, the usual place, and what lies between.
    ("PYENV_ROOT", ".pyenv", "versions"),
    ("ASDF_DATA_DIR", ".asdf", "installs/python"),
    ("MISE_DATA_DIR", ".local/share/mise", "installs/python"),
)
_PIP_FILES: Final = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")


@impl
def tox_add_option(parser: ToxParser) -> None:  # noqa: ARG001  (the first hook that tox calls)
    """Set the environment of tox, before it looks for interpreters or reads tox.ini."""
    prepare(os.environ, Path.home())


def prepare(environment: MutableMapping[str, str], home: Path) -> None:
    """Add the variables that tox, uv and tox.ini read, but for those that are set."""
    # What was on PATH first still wins.
    found = [environment.get("PATH", os.defpath), *interpreter_directories(environment, home)]
    environment["PATH"] = os.pathsep.join(found)
    # Most environments are one process that waits for half of its time.
    environment.setdefault("TOX_PARALLEL", str(2 * (os.cpu_count() or 1)))
    environment.setdefault("UV_PYTHON_DOWNLOADS", "never")  # an interpreter that is missing is skipped
    environment.setdefault("UV_SYSTEM_CERTS", "1")  # as pip does
    if "UV_DEFAULT_INDEX" not in environment and (index := index_of_pip(environment)):
        environment["UV_DEFAULT_INDEX"] = index
    # tox-uv takes the first name in a list of base_python, whether that interpreter exists or not.
    if "MATRIX_PYTHON" not in environment and has_interpreter("3.11", environment):
        environment["MATRIX_PYTHON"] = "python3.11"


def interpreter_directories(environment: Mapping[str, str], home: Path) -> Iterator[str]:
    """Yield the directories of the interpreters that version managers have installed, the newest first."""
    for variable, usual, between in _MANAGERS:
        root = Path(environment.get(variable) or home / usual) / between
        yield from sorted((str(path) for path in root.glob("*3.*/bin")), reverse=True)


def has_interpreter(version: str, environment: Mapping[str, str]) -> bool:
    """Return whether uv finds an interpreter: it looks for those of the environments, too."""
    command = [sys.executable, "-m", "uv", "python", "find", "--quiet", "--system", version]  # in no environment
    return not subprocess.run(command, env=environment, capture_output=True, check=False).returncode


def index_of_pip(environment: Mapping[str, str]) -> str:
    """Return the index that pip is told to use instead of PyPI, or nothing. uv does not read what pip is told."""
    files = configparser.RawConfigParser(strict=False)
    files.read((Path(path).expanduser() for path in _PIP_FILES), encoding="utf-8")
    return environment.get("PIP_INDEX_URL") or str(files.get("global", "index-url", fallback=""))


@impl
def tox_before_run_commands(tox_env: ToxEnv) -> None:
    """Share what is compiled."""
    if bytecode := tox_env.environment_variables.get("PYTHONPYCACHEPREFIX"):
        link_bytecode(Path(bytecode), tox_env.conf["env_dir"], tox_env.conf["env_site_packages_dir"])


def link_bytecode(bytecode: Path, prefix: Path, packages: Path) -> None:
    """Link what is compiled of packages in environments beside this one, if nothing is compiled here yet.

    uv links the files of packages from its cache, so that they have one time of modification everywhere, and their
    bytecode fits. `bytecode` is PYTHONPYCACHEPREFIX, where the path of each source is repeated; `prefix` is the
    environment, `packages` its site-packages.
    """
    below = packages.relative_to(prefix)
    ours = prefix.relative_to(prefix.anchor)
    if (bytecode / ours).exists():
        return
    for environment in (bytecode / ours.parent).glob("*"):
        for compiled in (environment / below).rglob("*.pyc"):
            link = bytecode / ours / compiled.relative_to(environment)
            link.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # another environment had it, too, or compiles it just now
                link.hardlink_to(compiled)

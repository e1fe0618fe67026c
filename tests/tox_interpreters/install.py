"""Installs packages with uv, which takes a tenth of pip's time; with pip where uv is missing or does not succeed.

What other environments of the same interpreter have compiled of them by then is taken over: uv links the files of all
environments from one cache, so that they are the same to the interpreter, which compiles anew whatever is not.

Used by tox as ``python -I install.py OPTION... PACKAGE...``; the plugin tells in `MATRIX_UV` where uv is. pip's own
index, if it is told to use one, is known to pip alone: then it installs.
"""

import configparser
import contextlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

_UV_SECONDS = 300


def main(arguments: list[str]) -> int:
    """Install, and return the exit status of what has done it."""
    uv = os.environ.get("MATRIX_UV")
    if uv and not has_own_index(os.environ):
        # The interpreters are there already, and the certificates are those that pip trusts, too.
        environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1"}
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, *arguments]
        try:
            if not subprocess.run(command, env=environment, check=False, timeout=_UV_SECONDS).returncode:
                if bytecode := os.environ.get("PYTHONPYCACHEPREFIX"):
                    take_over_bytecode(Path(bytecode), Path(sysconfig.get_path("purelib")))
                return 0
        except (OSError, subprocess.TimeoutExpired) as error:
            sys.stderr.write(f"{error}\n")
        sys.stderr.write("uv did not install it; pip does\n")
    pip = [sys.executable, "-I", "-m", "pip", "install", "--no-compile"]
    return subprocess.run([*pip, *arguments], check=False).returncode


def has_own_index(environment: Mapping[str, str]) -> bool:
    """Tell whether pip is told to look elsewhere than at PyPI for what it installs."""
    if any(environment.get(f"PIP_{name}") for name in ("INDEX_URL", "NO_INDEX", "CONFIG_FILE")):
        return True
    for path in ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf"):
        read = configparser.RawConfigParser(strict=False)
        read.read(Path(path).expanduser(), encoding="utf-8")
        if any(read.has_option(section, name) for section in read.sections() for name in ("index-url", "no-index")):
            return True
    return False


def take_over_bytecode(bytecode: Path, packages: Path) -> None:
    """Link what is compiled of packages in environments that stand beside this one, if it has nothing yet.

    `bytecode` is where all of it is kept, by the paths of the sources; `packages` is where ours are.
    """
    below = packages.relative_to(sys.prefix)
    ours = Path(sys.prefix).relative_to("/")
    if (bytecode / ours).exists():
        return
    for environment in (bytecode / ours.parent).glob("*"):
        for compiled in (environment / below).rglob("*.pyc"):
            link = bytecode / ours / compiled.relative_to(environment)
            link.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # another one had it, too, or it was written anew just now
                link.hardlink_to(compiled)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

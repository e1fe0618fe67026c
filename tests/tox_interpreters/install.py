"""Installs packages with uv, which takes a tenth of pip's time; with pip where uv is missing or does not succeed.

Used by tox as ``python -I install.py OPTION... PACKAGE...``; the plugin tells in `MATRIX_UV` where uv is. pip's own
index, if it is told to use one, is known to pip alone: then it installs.
"""

import configparser
import os
import subprocess
import sys
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Deployment files: render the templates of systemd units, a configuration and a Containerfile."""

import os
import sys
from importlib import resources
from string import Template
from typing import Final

from greenserver import __version__
from greenserver.config import limits

_TEMPLATES: Final = {
    "systemd": "greenserver.service",
    "socket": "greenserver.socket",
    "config": "greenserver.toml",
    "container": "Containerfile",
}

_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  (ProtectHome= and PrivateTmp= of systemd.exec(5))


def render(what: str) -> str:
    """Return a deployment file that runs this version, as installed here."""
    template = resources.files(__package__).joinpath(_TEMPLATES[what]).read_text(encoding="utf-8")
    return Template(template).substitute(
        version=__version__,
        executable=_executable(),
        port=limits.DEFAULT_PORT,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        # systemd or podman kills what is still running then, somewhat later than the server itself would.
        stop_seconds=int(limits.DEFAULTS.grace_seconds) + 15,
    )


def hidden_paths() -> list[str]:
    """Return where this installation lies in directories that the systemd unit hides from the service."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))  # noqa: PTH120  (as below)
    places = [sys.prefix, os.path.realpath(sys.executable), package]
    return sorted({place for place in places if place.startswith(tuple(f"{each}/" for each in _HIDDEN))})


def _executable() -> str:
    """Return the greenserver command next to the interpreter, or `python -I -m greenserver` if there is none."""
    script = os.path.join(os.path.dirname(sys.executable), "greenserver")  # noqa: PTH118, PTH120  (keeps symbolic links)
    return _as_word(script) if os.access(script, os.X_OK) else f"{_as_word(sys.executable)} -I -m greenserver"


def _as_word(path: str) -> str:
    """Return a path quoted as one word of a unit: systemd.syntax(7), "Quoting".

    https://www.freedesktop.org/software/systemd/man/latest/systemd.syntax.html#Quoting
    """
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if set(escaped) & set(" \t\"'\\;") else escaped

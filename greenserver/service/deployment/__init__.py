"""Deployment files: render the templates of a systemd unit and a Containerfile for this installation."""

import os
import sys
from importlib import resources
from string import Template
from typing import Final

from greenserver import __version__
from greenserver.config import limits

_TEMPLATES: Final = {"systemd": "greenserver.service", "container": "Containerfile"}


def render(what: str) -> str:
    """Return a systemd unit or a Containerfile that runs this version, as installed here."""
    template = resources.files(__package__).joinpath(_TEMPLATES[what]).read_text(encoding="utf-8")
    return Template(template).substitute(
        version=__version__,
        executable=_executable(),
        port=limits.DEFAULT_PORT,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        # systemd or podman kills what is still running then, somewhat later than the server itself would.
        stop_seconds=int(limits.DEFAULTS.grace_seconds) + 15,
    )


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

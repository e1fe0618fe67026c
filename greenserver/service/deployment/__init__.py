"""What runs the server elsewhere, as files that are printed: templates in the package, filled in for this place."""

import os
import sys
from importlib import resources
from string import Template
from typing import Final

from greenserver import __version__
from greenserver.config import limits

_TEMPLATES: Final = {"systemd": "greenserver.service", "container": "Containerfile"}


def render(what: str) -> str:
    """Return a systemd unit, or a Containerfile, that runs this version as it is installed here."""
    template = resources.files(__package__).joinpath(_TEMPLATES[what]).read_text(encoding="utf-8")
    return Template(template).substitute(
        version=__version__,
        executable=_executable(),
        port=limits.DEFAULT_PORT,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        # Ends what has not drained by then, somewhat later than the server itself would.
        stop_seconds=int(limits.DEFAULTS.grace_seconds) + 15,
    )


def _executable() -> str:
    """Return the command that is beside the interpreter; the interpreter's own way where there is none."""
    script = os.path.join(os.path.dirname(sys.executable), "greenserver")  # noqa: PTH118, PTH120  (links are kept)
    return _as_word(script) if os.access(script, os.X_OK) else f"{_as_word(sys.executable)} -m greenserver"


def _as_word(path: str) -> str:
    """Return a path as one word of a unit, whatever characters are in it; see systemd.syntax(7), "Quoting"."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if set(escaped) & set(" \t\"'\\;") else escaped

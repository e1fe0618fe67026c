"""How the pages are rendered: escaped, and with no character in them that does something to a page."""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from conformance.language import gettext, ngettext
from conformance.printable import printable_lines

_PACKAGE: Final = "conformance"
NONE: Final = "'none'"


def environment(folder: str) -> Environment:
    """Return an environment for the templates in a folder of this package."""
    found = Environment(
        loader=PackageLoader(_PACKAGE, folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {"gettext": gettext, "ngettext": ngettext}
    return found


def inlined(folder: Path, names: Iterable[str]) -> Markup:
    """Return the text of several files of ours, to be put into a page."""
    return Markup("\n" + "\n".join((folder / name).read_text(encoding="utf-8") for name in names))  # noqa: S704


def policy(style: str, script: str = "") -> str:
    """Return the Content-Security-Policy of a page: nothing but its own style and script, by their hashes."""
    return f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script) if script else NONE}"


def _digest(text: str) -> str:
    """Return the source expression of a text that stands in the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _printed(value: object) -> object:
    """Return a value as printable text, before it is escaped."""
    return value if isinstance(value, Markup) else printable_lines(str(value))

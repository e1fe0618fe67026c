"""How the pages are rendered: escaped, and with no character in them that does something to a page."""

from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from conformance.language import gettext, ngettext
from conformance.printable import printable_lines

_PACKAGE: Final = "conformance"


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


def _printed(value: object) -> object:
    """Return a value as printable text, before it is escaped."""
    return value if isinstance(value, Markup) else printable_lines(str(value))

"""A conformance suite for HFTP servers in any language; it shares only the wire protocol with them.

The public names, for scenarios of your own, are imported on first use, so that the plugin does not slow down pytest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conformance.client.client import Client
    from conformance.failures import Failure, Incomplete, Kind, Unsupported
    from conformance.model.context import ScenarioContext
    from conformance.model.scenario import Chapter

__version__ = "0.1.0"

__all__ = ["Chapter", "Client", "Failure", "Incomplete", "Kind", "ScenarioContext", "Unsupported", "__version__"]

_MODULES = {
    "Chapter": "model.scenario",
    "Client": "client.client",
    "Failure": "failures",
    "Incomplete": "failures",
    "Kind": "failures",
    "ScenarioContext": "model.context",
    "Unsupported": "failures",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module attribute may be of any type)
    """Import the module of a public name, and return it."""
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

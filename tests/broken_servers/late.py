"""Imports a module when it is first used: asyncio takes longer than everything else that these servers import."""

import importlib.util
import sys
from types import ModuleType


def load(name: str) -> ModuleType:
    """Return a module that is executed when one of its attributes is looked up."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    assert spec is not None, name
    assert spec.loader is not None, name
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

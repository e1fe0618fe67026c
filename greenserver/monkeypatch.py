"""Monkey-patch the standard library for gevent, before any other import, and find what was there before."""

import importlib
import sys
from typing import Any

from greenserver.config.settings import ENGINES


def patch_for(engine: str) -> None:
    """Monkey-patch this process if the engine uses greenlets.

    Some modules stay unpatched: `ssl`, which works on memory buffers here; the resolver, which is used only before
    clients are served; and `os`, `signal` and `subprocess`, which belong together: gevent's `os.close` closes a pipe in
    a later iteration of its loop, so the standard library's `subprocess` would wait forever. No greenlet waits for a
    process while clients are served.
    """
    if engine == ENGINES[0]:
        from gevent import events, monkey  # noqa: PLC0415  (other engines do not load gevent)

        # To find plugins, gevent reads the entry points of every installed distribution, once per module that it
        # patches. That takes four fifths of the time of patching.
        events.notify_and_call_entry_points = events.notify  # type: ignore[attr-defined]  # missing in the stubs
        monkey.patch_all(os=False, signal=False, subprocess=False, ssl=False, dns=False)


def native(module: str, name: str) -> Any:  # noqa: ANN401  (of any type)
    """Return what the standard library has by a name, as if nothing were patched."""
    if "gevent.monkey" in sys.modules:
        from gevent import monkey  # noqa: PLC0415  (other engines do not load gevent)

        return monkey.get_original(module, name)
    return getattr(importlib.import_module(module), name)

"""Chooses what to collect: a module without a test to run is not even imported. Lets SIGINT end what tests start."""

import os
import signal
from pathlib import Path

import pytest

_MARK = "pytest.mark.once"
"""Marks whole modules, in their `pytestmark`."""


def pytest_configure() -> None:
    """Let SIGINT end the programs that tests start, also where a shell ignores it, and have them speak English."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["LANGUAGE"] = "en"  # of all that tests start, whatever the locale


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a module that is marked if only others are wanted, and the other way round."""
    wanted = config.getoption("markexpr")
    if not (wanted.startswith(("once", "not once")) and collection_path.match("test_*.py")):
        return None
    is_marked = _MARK in collection_path.read_text(encoding="utf-8")
    return None if is_marked == wanted.startswith("once") else True

"""Reload for single processes and supervisors: callback types, and the log's configuration and events."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from greenserver.config.settings import Settings
from greenserver.telemetry import log
from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)

Announce = Callable[[str, int], None]
"""Announces the host and port that the server listens on."""

Reread = Callable[[], Settings]
"""Reads the configuration again. Raises ConfigurationError if it is wrong."""

_LEVELS: Final = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)


def configure_log(settings: Settings) -> None:
    """Set up the log of a process from settings."""
    log.configure(settings.log_format, _level(settings))


def adjust_log(settings: Settings) -> None:
    """Apply new settings to the log."""
    log.adjust(settings.log_format, _level(settings))


def report_refusal(reason: str) -> None:
    """Log that a configuration was rejected."""
    report(_log, logging.ERROR, "reload failed; keeping the old configuration", reason=reason)


def report_reload(kept: Sequence[str]) -> None:
    """Log that a configuration was applied, and which changed options need a restart."""
    report(_log, logging.INFO, "configuration reloaded")
    if kept:
        report(_log, logging.WARNING, "change ignored until a restart", options=" ".join(kept))


def _level(settings: Settings) -> int:
    usual = _LEVELS.index(logging.INFO)
    return _LEVELS[min(max(usual + settings.verbose - settings.quiet, 0), len(_LEVELS) - 1)]

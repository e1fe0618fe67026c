"""How a running server and its operator talk: what is announced, read anew, and logged of that."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from greenserver.config.settings import Settings
from greenserver.telemetry import log
from greenserver.telemetry.log import report

_log = logging.getLogger(__name__)

Announce = Callable[[str, int], None]
"""Tells people where the server listens: its host and port."""

Reread = Callable[[], Settings]
"""Settles the configuration anew; raises ConfigurationError if something in it is wrong."""

_LEVELS: Final = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)


def configure_log(settings: Settings) -> None:
    """Log as settings say, from now on, in a process that does not log yet."""
    log.configure(settings.log_format, _level(settings))


def adjust_log(settings: Settings) -> None:
    """Log as new settings say."""
    log.adjust(settings.log_format, _level(settings))


def report_refusal(reason: str) -> None:
    """Log that a configuration is not taken."""
    report(_log, logging.ERROR, "reload failed; keeping the old configuration", reason=reason)


def report_reload(kept: Sequence[str]) -> None:
    """Log that a configuration is taken, but for what needs a restart."""
    report(_log, logging.INFO, "configuration reloaded")
    if kept:
        report(_log, logging.WARNING, "change ignored until a restart", options=" ".join(kept))


def _level(settings: Settings) -> int:
    usual = _LEVELS.index(logging.INFO)
    return _LEVELS[min(max(usual + settings.verbose - settings.quiet, 0), len(_LEVELS) - 1)]

"""Reload the configuration: what SIGHUP does in a single process, and what supervisors do in the same way."""

import _thread
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from greenserver.config import limits
from greenserver.config.settings import Settings, kept_until_restart
from greenserver.service.deadline import Calls
from greenserver.service.inspection import Finding, inspect_directory, warn
from greenserver.telemetry import log
from greenserver.telemetry.log import report

if TYPE_CHECKING:
    from greenserver.connection.serving_config import ServingConfig
    from greenserver.server import Server, ServingOptions

_log = logging.getLogger(__name__)

_FIXED_LIMITS: Final = ("grace_seconds", "file_threads")  # an engine reads them once, when it starts

Announce = Callable[[str, int], None]
"""Announces the host and port that the server listens on."""

Reread = Callable[[], Settings]
"""Reads the configuration again. Raises ConfigurationError if it is wrong."""

_LEVELS: Final = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)


class Reload:
    """Reloads the configuration outside of the signal handler, and coalesces requests that arrive meanwhile."""

    def __init__(self, server: "Server", settings: Settings, reread: Reread) -> None:
        self._server = server
        self._settings = settings
        self._reread = reread
        self._asked = 0
        self._calls = Calls()

    def ask(self) -> None:
        """Request a reload."""
        self._asked += 1
        if self._asked == 1:
            try:
                _thread.start_new_thread(self._reload_while_asked, ())
            except RuntimeError as error:  # the system cannot start another thread
                self._asked = 0
                report_failed_reload(f"{error}; try again")

    def _reload_while_asked(self) -> None:
        while self._asked:
            answered = self._asked
            try:
                self._reload()
            except Exception as error:  # noqa: BLE001  (keep serving after any error)
                report_failed_reload(str(error))
            self._asked -= answered

    def _reload(self) -> None:
        deadline = monotonic() + limits.RELOAD_SECONDS
        settings = self._calls.within(limits.RELOAD_SECONDS, "read", self._reread, lambda _late: None)
        # A corrected configuration is tried while another one hangs.
        prepared = self._calls.within(
            deadline - monotonic(),
            settings,
            lambda: self._prepare(settings),
            lambda late: late.config.group.drain(),
        )
        self._server.apply(prepared.config)
        adjust_log(prepared.settings)
        self._settings = prepared.settings
        report_reload(prepared.kept, prepared.findings)

    def _prepare(self, wanted: Settings) -> "_Prepared":
        """Do all else that may wait for a file system, and change nothing."""
        settings, kept = kept_until_restart(self._settings, wanted)
        if settings.workers:
            kept.append("workers")
        kept += [
            name.replace("_", "-")
            for name in _FIXED_LIMITS
            if getattr(settings.limits, name) != getattr(self._settings.limits, name)
        ]
        findings = inspect_directory(settings)
        config = self._server.prepare(settings.directory, **serving_options(settings))
        return _Prepared(settings, kept, findings, config)


class _Prepared(NamedTuple):
    """A new configuration, ready to be applied."""

    settings: Settings
    kept: list[str]
    """The options whose change needs a restart."""
    findings: list[Finding]
    config: "ServingConfig"


def serving_options(settings: Settings) -> "ServingOptions":
    """Return the part of the settings that a reload can change.

    Raise OSError with a readable message if a certificate or a key is unusable.
    """
    secure = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        from greenserver.connection.tls import server_context  # noqa: PLC0415  (only needed for TLS)

        secure = server_context(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    return {
        "dialect": settings.dialect,
        "hidden": settings.hidden,
        "limits": settings.limits,
        "tls": secure,
        "proxy_from": settings.trusted_proxies,
        "access_log": settings.access_log,
    }


def configure_log(settings: Settings) -> None:
    """Set up the log of a process from settings."""
    log.configure(settings.log_format, _level(settings))


def adjust_log(settings: Settings) -> None:
    """Apply new settings to the log."""
    log.adjust(settings.log_format, _level(settings))


def report_failed_reload(reason: str) -> None:
    """Log that a configuration was rejected."""
    report(_log, logging.ERROR, "reload failed; keeping the old configuration", reason=reason)


def report_reload(kept: Sequence[str], findings: Sequence[Finding]) -> None:
    """Log that a configuration was applied, which changed options need a restart, and what an operator should know."""
    report(_log, logging.INFO, "configuration reloaded")
    if kept:
        report(_log, logging.WARNING, "change ignored until a restart", options=" ".join(kept))
    warn(findings)


def _level(settings: Settings) -> int:
    usual = _LEVELS.index(logging.INFO)
    return _LEVELS[min(max(usual + settings.verbose - settings.quiet, 0), len(_LEVELS) - 1)]

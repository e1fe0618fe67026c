"""Log what nothing has caught, as events: a traceback or a warning as it is would break the format of the log."""

import logging
import sys
import threading
import warnings
from types import TracebackType
from typing import TextIO

from greenserver.telemetry.log import PACKAGE, report

_log = logging.getLogger(__name__)


def log_uncaught() -> None:
    """Log errors that no thread and no finalizer has caught, warnings, and what other packages log.

    Call this after `log.configure`.
    """
    sys.excepthook = _log_error
    threading.excepthook = _log_thread_error
    sys.unraisablehook = _log_unraisable
    warnings.showwarning = _log_warning
    logging.lastResort = logging.getLogger(PACKAGE).handlers[0]


def _log_error(kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        report(_log, logging.ERROR, "uncaught error", error=error)


def _log_thread_error(arguments: threading.ExceptHookArgs) -> None:
    name = arguments.thread.name if arguments.thread is not None else ""
    report(_log, logging.ERROR, "uncaught error in a thread", thread=name, error=arguments.exc_value)


def _log_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    where = f"{unraisable.err_msg or 'in'} {unraisable.object!r}"
    report(_log, logging.ERROR, "error ignored", where=where, error=unraisable.exc_value)


def _log_warning(  # noqa: PLR0913, PLR0917  (the signature of what it replaces)
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del file, line
    where = f"{filename}:{lineno}"
    report(_log, logging.WARNING, "warning of the interpreter", text=str(message), kind=category.__name__, where=where)

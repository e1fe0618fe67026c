"""The log: one event a line, as text or as JSON, each line one write.

An event is a short phrase with named facts. Whatever a client sent is escaped, so that a line is
always one line and always ASCII.
"""

import codecs
import json
import logging
import os
import sys
from datetime import datetime, timezone
from typing import Final

from greenserver import limits

# Loaded from its file now: when the first command is logged, there may be no descriptor left for that.
codecs.lookup("unicode_escape")

_FACTS: Final = "facts"  # the attribute of a log record that carries the event's facts


def report(log: logging.Logger, level: int, event: str, *, error: BaseException | None = None, **facts: object) -> None:
    """Log an event with its facts, and with the traceback of an error."""
    if log.isEnabledFor(level):
        log.log(level, event, extra={_FACTS: facts}, exc_info=error)


def configure(form: str, level: int) -> None:
    """Send the package's events of a level and above to the standard error stream."""
    handler = LineHandler(sys.stderr.fileno())
    handler.setFormatter(FORMATTERS[form]())
    package = logging.getLogger(__package__)
    package.handlers = [handler]
    package.setLevel(level)
    package.propagate = False


class LineHandler(logging.Handler):
    """Writes each line by one call to the system, past any buffer."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record).encode("ascii", "backslashreplace") + b"\n"
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError:
            pass  # nobody reads the log any more; serving goes on


class TextFormatter(logging.Formatter):
    """``TIME LEVEL event key=value ...``, values quoted as in JSON where they need it."""

    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={_quoted(value)}" for name, value in _facts(self, record).items())
        return f"{_time(record)} {record.levelname:<7} {record.getMessage()} {facts}".rstrip()


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, event, and the facts by their names."""

    def format(self, record: logging.LogRecord) -> str:
        head = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(head | _facts(self, record))


FORMATTERS: Final[dict[str, type[logging.Formatter]]] = {"text": TextFormatter, "json": JsonFormatter}


def shown(command: str) -> str:
    """Return a client's command as a log line shows it: abridged and escaped."""
    text = command.removesuffix("\r\n")
    if len(text) > limits.LOGGED_COMMAND_CHARACTERS:
        text = text[: limits.LOGGED_COMMAND_CHARACTERS] + "..."
    return text.encode("unicode_escape").decode("ascii")


def _facts(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, object]:
    facts: dict[str, object] = dict(getattr(record, _FACTS, {}))
    if record.exc_info:
        facts["traceback"] = formatter.formatException(record.exc_info)
    return facts


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")


def _quoted(value: object) -> str:
    text = str(value)
    plain = text.isascii() and text.isprintable() and text and not set(text) & set(' "=\\')
    return text if plain else json.dumps(text)

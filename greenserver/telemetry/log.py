"""The log: one event a line, as text or as JSON, each line one write.

An event is a short phrase with named facts. Whatever a client sent is escaped, so that a line is
always one line and always ASCII.
"""

import codecs
import errno
import json
import logging
import os
import stat
import sys
from _socket import socket as RawSocket  # noqa: N812  (the one of C: nothing patches it)
from collections import deque
from datetime import datetime, timezone
from functools import partial
from socket import MSG_DONTWAIT
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from greenserver.config import limits

if TYPE_CHECKING:
    from collections.abc import Callable

# Loaded from its file now: when the first command is logged, there may be no descriptor left for that.
codecs.lookup("unicode_escape")

_FLUSH_PAUSE_SECONDS: Final = 0.01
PACKAGE: Final = "greenserver"
"""The logger above those of all modules."""
_FACTS: Final = "facts"  # the attribute of a log record that carries the event's facts


def report(log: logging.Logger, level: int, event: str, *, error: BaseException | None = None, **facts: object) -> None:
    """Log an event with its facts, and with the traceback of an error."""
    if log.isEnabledFor(level):
        log.log(level, event, extra={_FACTS: facts}, exc_info=error)


def configure(form: str, level: int) -> None:
    """Send the package's events of a level and above to the standard error stream."""
    package = logging.getLogger(PACKAGE)
    before, package.handlers = package.handlers, [LineHandler(sys.stderr.fileno())]
    for each in before:
        each.close()
    package.propagate = False
    adjust(form, level)


def adjust(form: str, level: int) -> None:
    """Change the form and the level of what is logged, while others log."""
    package = logging.getLogger(PACKAGE)
    for each in package.handlers:
        each.setFormatter(FORMATTERS[form]())
    package.setLevel(level)


class LineHandler(logging.Handler):
    """Writes each line by one call to the system, past any buffer, and never waits for whoever reads them.

    While nobody does, so many lines are kept; the number of further ones is told once there is room again.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._sink = _Sink(descriptor)
        self._backlog: deque[bytes] = deque()
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        line = self._line(record)
        if self._backlog and not self._write_backlog():
            self._keep(line)
        elif rest := self._sink.write(line):
            self._backlog.append(rest)

    def flush(self) -> None:
        """Write what is kept, if somebody reads it soon."""
        deadline = monotonic() + limits.LOG_FLUSH_SECONDS
        while self._backlog and not self._write_backlog() and monotonic() < deadline:
            sleep(_FLUSH_PAUSE_SECONDS)

    def close(self) -> None:
        self.flush()
        self._sink.close()
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("ascii", "backslashreplace") + b"\n"

    def _keep(self, line: bytes) -> None:
        if len(self._backlog) < limits.LOG_BACKLOG_LINES:
            self._backlog.append(line)
        else:
            self._dropped += 1

    def _write_backlog(self) -> bool:
        """Write the lines that are kept, and tell whether all are written."""
        while self._backlog:
            if rest := self._sink.write(self._backlog[0]):
                self._backlog[0] = rest
                return False
            self._backlog.popleft()
            if self._dropped and not self._backlog:
                self._backlog.append(self._line(self._loss()))
                self._dropped = 0
        return True

    def _loss(self) -> logging.LogRecord:
        event = "log lines were dropped, for nobody read them"
        record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, event, None, None)
        setattr(record, _FACTS, {"count": self._dropped})
        return record


class _Sink:
    """A descriptor that is written to without waiting, and without changing it for all who share it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._write: Callable[[bytes], int] = partial(os.write, descriptor)  # a file is always ready
        self._close: Callable[[], object] = int
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(mode):
            own = RawSocket(fileno=os.dup(descriptor))
            self._write, self._close = (lambda line: own.send(line, MSG_DONTWAIT)), own.close
        elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            try:
                again = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            except OSError:  # it is not ours: made by root for a server without rights, say
                self._write = self._write_at_once
            else:
                self._write, self._close = partial(os.write, again), partial(os.close, again)

    def write(self, line: bytes) -> bytes:
        """Write what can be written at once, and return the rest."""
        try:
            while line:
                line = line[self._write(line) :]
        except BlockingIOError:
            return line
        except OSError:
            pass  # nobody will ever read the log again; serving goes on
        return b""

    def close(self) -> None:
        self._close()

    def _write_at_once(self, line: bytes) -> int:
        try:
            return os.pwritev(self._descriptor, [line], -1, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno in {errno.EOPNOTSUPP, errno.EINVAL}:  # a kernel that cannot: better wait than say nothing
                return os.write(self._descriptor, line)
            raise


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

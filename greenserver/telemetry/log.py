"""The log: one event per line, as text or JSON, one write per line.

An event is a short phrase with named fields. Everything that a client sent is escaped, so an event is
always a single line of ASCII.
"""

import codecs
import contextlib
import errno
import json
import logging
import os
import re
import select
import stat
import sys
from _socket import socket as RawSocket  # noqa: N812  (the C class, which gevent does not patch)
from collections import deque
from datetime import datetime, timezone
from functools import partial
from socket import MSG_DONTWAIT
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from greenserver.config import limits
from greenserver.io import c_library
from greenserver.monkeypatch import native

if TYPE_CHECKING:
    from collections.abc import Callable

# Import the codec now: when the first command is logged, there may be no descriptor left to open its file.
codecs.lookup("unicode_escape")

_FLUSH_PAUSE_SECONDS: Final = 0.01
_GONE: Final = {errno.EBADF, errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE}
"""Errors of write(2) after which nothing will ever read the log. After others, such as ENOSPC, it may go on."""
_NO_NOWAIT: Final = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
"""Errors of a kernel or a container that does not support `c_library.NOWAIT`."""

PACKAGE: Final = "greenserver"
"""The parent of all loggers of the package."""
_PLAIN: Final = re.compile(r"[!#-<>-\[\]-~]+")
"""What needs no quotes in the text format: printable ASCII without the space, quotes, equals signs and backslashes."""

_FACTS: Final = "facts"  # the attribute of a log record that holds the fields of the event


def report(log: logging.Logger, level: int, event: str, *, error: BaseException | None = None, **facts: object) -> None:
    """Log an event with its fields, and the traceback of an error; do nothing if there is no memory for that."""
    with contextlib.suppress(MemoryError):
        if log.isEnabledFor(level):
            log.log(level, event, extra={_FACTS: facts}, exc_info=error)


def configure(form: str, level: int) -> None:
    """Log the events of the package to stderr, from a level up."""
    package = logging.getLogger(PACKAGE)
    before, package.handlers = package.handlers, [LineHandler(sys.stderr.fileno())]
    for each in before:
        each.close()
    package.propagate = False
    logging.logThreads = False  # no line names its thread, and `threading` would keep an object for each that logs
    adjust(form, level)


def adjust(form: str, level: int) -> None:
    """Change the format and the level of the log. Other threads may log meanwhile."""
    package = logging.getLogger(PACKAGE)
    for each in package.handlers:
        each.setFormatter(FORMATTERS[form]())
    package.setLevel(level)


class LineHandler(logging.Handler):
    """Writes each line with one unbuffered system call, and never blocks on the reader of the log.

    While the log is not read, or its disk is full, up to `LOG_BACKLOG_LINES` lines are kept. Further ones are dropped,
    and their number is logged once the kept lines are written.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._sink = _Sink(descriptor)
        self._backlog: deque[bytes] = deque()
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._write_backlog():
                self._backlog.append(self._line(record))
                self._write_backlog()
            elif len(self._backlog) < limits.LOG_BACKLOG_LINES:
                self._backlog.append(self._line(record))
            else:
                self._dropped += 1
        except Exception:  # noqa: BLE001  (for lack of memory, say: who logs must go on)
            self._dropped += 1

    def flush(self) -> None:
        """Write the kept lines, or give up after `LOG_FLUSH_SECONDS`."""
        deadline = monotonic() + limits.LOG_FLUSH_SECONDS
        while self._backlog and not self._write_backlog() and monotonic() < deadline:
            sleep(_FLUSH_PAUSE_SECONDS)

    def close(self) -> None:
        self.flush()
        self._sink.close()
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("ascii", "backslashreplace") + b"\n"

    def _write_backlog(self) -> bool:
        """Write the kept lines, and how many were dropped. Return whether all are written."""
        while self._backlog or self._dropped:
            if not self._backlog:
                self._backlog.append(self._line(self._loss()))
                self._dropped = 0
            if rest := self._sink.write(self._backlog[0]):
                self._backlog[0] = rest
                return False
            self._backlog.popleft()
        return True

    def _loss(self) -> logging.LogRecord:
        event = "log lines dropped"
        record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, event, None, None)
        setattr(record, _FACTS, {"count": self._dropped})
        return record


class _Sink:
    """Writes to a descriptor without blocking, and without O_NONBLOCK on a file description that others share."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._write: Callable[[bytes], int] = partial(os.write, descriptor)  # a regular file is always writable
        self._close: Callable[[], object] = int
        mode = os.fstat(descriptor).st_mode
        self._is_file = stat.S_ISREG(mode)
        if stat.S_ISSOCK(mode):
            own = RawSocket(fileno=os.dup(descriptor))
            self._write, self._close = (lambda line: own.send(line, MSG_DONTWAIT)), own.close
        elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            try:
                again = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            except OSError:  # no permission, for example on root's pipe after dropping privileges
                self._write = self._write_at_once
            else:
                self._write, self._close = partial(os.write, again), partial(os.close, again)

    def write(self, line: bytes) -> bytes:
        """Write what can be written now, without blocking. Return the rest."""
        rest = line
        try:
            while rest:
                rest = rest[self._write(rest) :]
        except OSError as error:
            if error.errno in _GONE:
                return b""  # the reader of the log is gone for good; keep serving
            if len(rest) < len(line) and self._is_file and self._take_back(len(line) - len(rest)):
                return line
        return rest

    def _take_back(self, count: int) -> bool:
        """Remove the part of a line that fitted on the disk. Return whether that was possible.

        Otherwise other processes, which may share the file, would go on in the middle of the line.
        """
        with contextlib.suppress(OSError):
            end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            if end == os.fstat(self._descriptor).st_size:
                os.ftruncate(self._descriptor, end - count)
                os.lseek(self._descriptor, end - count, os.SEEK_SET)
                return True
        return False

    def close(self) -> None:
        self._close()

    def _write_at_once(self, line: bytes) -> int:
        if c_library.NOWAIT is not None:
            try:
                return os.pwritev(self._descriptor, [line], -1, c_library.NOWAIT)
            except OSError as error:
                if error.errno not in _NO_NOWAIT:
                    raise
        return self._write_if_ready(line)

    def _write_if_ready(self, line: bytes) -> int:
        """Write so much that a pipe that is ready takes it without blocking, unless others write to it just then."""
        poll = native("select", "poll")()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return os.write(self._descriptor, line[: select.PIPE_BUF])


class TextFormatter(logging.Formatter):
    """``TIME LEVEL event key=value ...``, values quoted as in JSON where necessary."""

    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={_quoted(value)}" for name, value in _facts(self, record).items())
        return f"{_time(record)} {record.levelname:<7} {_event(record)} {facts}".rstrip()


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, event, and the fields by name."""

    def format(self, record: logging.LogRecord) -> str:
        head = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(head | _facts(self, record), default=str)


FORMATTERS: Final[dict[str, type[logging.Formatter]]] = {"text": TextFormatter, "json": JsonFormatter}


def shown(line: bytes) -> str:
    """Return a client's command line for a log line: shortened and escaped."""
    text = line.decode("latin-1")
    if len(text) > limits.LOGGED_COMMAND_CHARACTERS:
        text = text[: limits.LOGGED_COMMAND_CHARACTERS] + "..."
    return text.encode("unicode_escape").decode("ascii")


def _facts(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, object]:
    facts: dict[str, object] = dict(getattr(record, _FACTS, {}))
    if record.exc_info:
        traceback = formatter.formatException(record.exc_info)
        facts["traceback"] = traceback[-limits.LOGGED_TRACEBACK_CHARACTERS :]
    return facts


def _event(record: logging.LogRecord) -> str:
    """Return the event; one of another package may be of several lines."""
    event = record.getMessage()
    return event if event.isprintable() else json.dumps(event)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")


def _quoted(value: object) -> str:
    text = str(value)
    if isinstance(value, (int, float)):
        return text.lower()  # true and false, as in JSON
    return text if _PLAIN.fullmatch(text) else json.dumps(text)

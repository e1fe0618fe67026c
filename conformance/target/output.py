"""Read a server's output as it comes, keep its head and tail in bounded memory, and find the line with the error."""

import contextlib
import os
import re
import select
import threading
from typing import Final

OUTPUT_BYTES: Final = 4096
"""How many bytes of the tail of a server's output a report includes."""
HEAD_BYTES: Final = 1 << 14
"""How many bytes of the head of the output of each start are kept: a compiler's first error is there."""
TAIL_BYTES: Final = 1 << 16
"""How many bytes of the tail are kept."""
_READ_BYTES: Final = 1 << 16
_AT_ONCE: Final = 64
"""How often the pipe is read for one look: more than it holds, but not for ever."""
_LONGEST_QUOTE: Final = 300
_JAVA: Final = re.compile(r"Exception in thread |Caused by: |Error: (Unable|Could not|LinkageError|A JNI) ?")
_ERROR: Final = re.compile(
    r"(^|\s)(fatal )?error(\[\w+\])?:|^npm (ERR!|error) (?!code|errno|A complete)|: \*\*\* ", re.IGNORECASE
)
_NODE: Final = re.compile(r"(Uncaught )?\w*Error\b.*: ")
_TRACEBACK: Final = "Traceback (most recent call last):"


class ServerOutput:
    """The output of a server, over all its starts: a pipe, and a thread that reads it until `close`.

    However much the server prints, nothing goes to a disk, and memory is bounded by the head and the tail.
    """

    def __init__(self) -> None:
        self._source, self._sink = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._source, False)
        self._closing = os.eventfd(0, os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._forget()
        self._reader = threading.Thread(target=self._read, name="server-output", daemon=True)
        self._reader.start()

    def fileno(self) -> int:
        """Return the descriptor that servers write to."""
        return self._sink

    def mark_start(self) -> None:
        """Begin the output of a new start; the tail goes on."""
        self._drain()
        with self._lock:
            self._head, self._size = b"", 0

    def end(self) -> str:
        """Return the tail of the output of all starts."""
        self._drain()
        return self._tail[-OUTPUT_BYTES:].decode("utf-8", "replace")

    def of_this_start(self) -> str:
        """Return the output of the current start, or, if that is long, its head and its tail."""
        self._drain()
        with self._lock:
            head, tail = self._head, self._tail[-min(self._size, TAIL_BYTES) :] if self._size else b""
            left_out = self._size - len(head) - len(tail)
        if left_out <= 0:
            data = head + tail[len(head) + len(tail) - self._size :]
        else:
            data = b"%b\n... %d bytes ...\n%b" % (head, left_out, tail)
        return data.decode("utf-8", "replace")

    def close(self) -> None:
        """Stop reading, and forget the output."""
        os.eventfd_write(self._closing, 1)
        self._reader.join()
        for descriptor in (self._source, self._sink, self._closing):
            os.close(descriptor)
        self._forget()

    def _forget(self) -> None:
        self._head, self._tail, self._size = b"", b"", 0

    def _read(self) -> None:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(self._closing, select.POLLIN)
        while not any(descriptor == self._closing for descriptor, _ in poll.poll()):
            self._drain()

    def _drain(self) -> None:
        """Read what is in the pipe, at most a few times what it holds."""
        with self._lock, contextlib.suppress(BlockingIOError):
            for _ in range(_AT_ONCE):
                data = os.read(self._source, _READ_BYTES)
                self._head += data[: HEAD_BYTES - len(self._head)]
                self._tail = (self._tail + data)[-TAIL_BYTES:]
                self._size += len(data)


def decisive_line(output: str) -> str:
    """Return the line of a server's output that best explains why it exited; empty if there is no output.

    That is the last line of a Python traceback, the first of a Java one, the first `error:` line of a compiler, and
    otherwise the last line.
    """
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    if _TRACEBACK in lines:
        last = len(lines) - 1 - lines[::-1].index(_TRACEBACK)
        return next((line for line in lines[last + 1 :] if not line.startswith(" ")), lines[-1])
    for pattern in (_JAVA, _ERROR, _NODE):
        find = pattern.search if pattern is _ERROR else pattern.match
        if found := next((line for line in lines if find(line)), None):
            return found.strip()
    return lines[-1].strip() if lines else ""


def quote(line: str) -> str:
    """Return a line to quote in a message: without control characters, truncated to 300."""
    return one_line(line.strip())[:_LONGEST_QUOTE]


def one_line(text: str) -> str:
    """Replace line ends and control characters with spaces."""
    return "".join(character if character.isprintable() else " " for character in text)

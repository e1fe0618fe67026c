"""Read a server's output as it comes, and keep its head and tail in bounded memory."""

import contextlib
import os
import select
import threading
from collections.abc import Callable
from time import monotonic, sleep
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
_QUIET_SECONDS: Final = 0.005
"""After a pause of this length, a server that has begun to print has printed it all."""
_MOST_QUIETS: Final = 20
"""How many such pauses are waited for a server that goes on printing."""


class ServerOutput:
    """The output of a server, over all its starts: a pipe, and a thread that reads it until `close`.

    However much the server prints, nothing goes to a disk, and memory is bounded by the head and the tail.
    """

    def __init__(self) -> None:
        self._source, self._sink = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._source, False)
        self._closing = os.eventfd(0, os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._starts: list[int] = []  # the byte at which each start begins
        self._tell: Callable[[bytes], object] = len
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
            self._starts.append(self._total)

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
        data = head + tail[-left_out:] if left_out < 0 else _joined(head, left_out, tail)
        return data.decode("utf-8", "replace")

    def listen(self) -> Callable[[float], str]:
        """Begin to listen; the function that is returned returns what the server has printed since.

        It waits up to some seconds until the server begins to print, and then until it pauses. It leaves out what
        is printed from the next start on, and the middle if that is longer than OUTPUT_BYTES.
        """
        self._drain()
        begin, starts = self._total, len(self._starts)

        def printed(seconds: float) -> str:
            self._await_pause(begin, seconds)
            with self._lock:
                end = self._starts[starts] if len(self._starts) > starts else self._total
                return self._between(begin, end).decode("utf-8", "replace")

        return printed

    def tell(self, tell: Callable[[bytes], object]) -> None:
        """Pass on whatever the server prints from now on, as it comes; `tell` is called by one thread at a time."""
        with self._lock:
            self._tell = tell

    def _await_pause(self, begin: int, seconds: float) -> None:
        until = monotonic() + seconds
        self._drain()
        while self._total == begin and monotonic() < until:
            sleep(_QUIET_SECONDS)
            self._drain()
        for _ in range(_MOST_QUIETS):
            before = self._total
            if before == begin:
                return
            sleep(_QUIET_SECONDS)
            self._drain()
            if self._total == before:
                return

    def _between(self, begin: int, end: int) -> bytes:
        """Return what was printed from one byte to another, without the middle if that is long."""
        kept_from = self._total - len(self._tail)
        kept = self._tail[max(0, begin - kept_from) : max(0, end - kept_from)]
        if end - begin <= len(kept) <= OUTPUT_BYTES:
            return kept
        head = kept[: OUTPUT_BYTES // 4] if begin >= kept_from else b""
        tail = kept[len(head) :][-(OUTPUT_BYTES - len(head)) :]
        return _joined(head, end - begin - len(head) - len(tail), tail)

    def close(self) -> None:
        """Stop reading, and forget the output."""
        os.eventfd_write(self._closing, 1)
        self._reader.join()
        for descriptor in (self._source, self._sink, self._closing):
            os.close(descriptor)
        self._forget()

    def _forget(self) -> None:
        self._head, self._tail, self._size, self._total = b"", b"", 0, 0

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
                self._total += len(data)
                self._tell(data)


def _joined(head: bytes, left_out: int, tail: bytes) -> bytes:
    return b"%b\n... %d bytes ...\n%b" % (head, left_out, tail) if left_out else head + tail


def quote(line: str) -> str:
    """Return a line to quote in a message: without control characters, truncated to 300."""
    return one_line(line.strip())[:_LONGEST_QUOTE]


def one_line(text: str) -> str:
    """Replace line ends and control characters with spaces."""
    return "".join(character if character.isprintable() else " " for character in text)

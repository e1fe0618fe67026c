"""Split received bytes into command lines, in bounded memory, however the input is fragmented."""

from greenserver.config import limits

PRINTABLE = bytes(range(0x20, 0x7F))
"""The bytes allowed in a well-formed command line."""

OVERLONG = b"\0"
"""Appended to the abridged form of a line longer than `limits.LINE_BYTES`; makes any line malformed."""


class LineBuffer:
    r"""Buffers received bytes and splits them into command lines.

    Lines are returned without CR LF. Two kinds of line end the input, since nothing after them may be
    executed: a line with a bare LF, returned up to and including that ``\n``, and a line longer than
    `line_bytes`, which ends in `OVERLONG`.

    A line longer than `limits.WHOLE_LINE_BYTES` is abridged while it arrives (see `_LongLine`).
    """

    __slots__ = ("_finished", "_limit", "_long", "_rest", "_whole", "complete", "is_at_start")

    def __init__(self, line_bytes: int = limits.LINE_BYTES) -> None:
        self.complete: list[bytes] = []  # an empty deque is ten times as large
        """Complete lines in reverse order: the next one is the last. Always the same list."""
        self.is_at_start = True
        """Whether the next byte begins a line: no partial line is buffered, and the input has not ended."""
        self._limit = line_bytes
        self._whole = min(line_bytes, limits.WHOLE_LINE_BYTES)
        self._rest = b""  # the partial line: all of it, or only a trailing CR if it is long
        self._long: _LongLine | None = None
        self._finished = False

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        text = self._rest + data
        if self._long is None and not self._finished and len(text) <= self._whole:  # so no line in it is long
            lines = text.split(b"\r\n")
            if text.count(b"\n") < len(lines):
                self._rest = lines.pop()
                self.is_at_start = not self._rest
                lines.reverse()
                self.complete[:0] = lines
                return
        self._feed_any(text)
        self.is_at_start = not self._rest and self._long is None and not self._finished

    def next_line(self) -> bytes | None:
        """Return the next line, or None if none is complete."""
        return self.complete.pop() if self.complete else None

    def _feed_any(self, text: bytes) -> None:
        """Add bytes, preceded by the partial line as far as it is kept whole."""
        if self._long is not None:
            text = self._feed_long(self._long, text)
        if self._finished or self._long is not None:
            return
        lines = text.split(b"\r\n")
        if text.count(b"\n") >= len(lines):
            self._feed_broken(lines)
            return
        self._rest = lines.pop()
        for line in lines:
            self._end_line(line)
        # A trailing CR may be half of a CR LF, and does not count towards the length of the line.
        if len(self._rest.removesuffix(b"\r")) > self._whole:
            text, self._rest = self._rest, b""
            self._long = _LongLine()
            self._feed_long(self._long, text)

    def _feed_broken(self, lines: list[bytes]) -> None:
        """Add lines up to the one with a bare LF, which is the last."""
        for line in lines:
            before, line_feed, _ = line.partition(b"\n")
            self._end_line(before, line_feed)
            if line_feed:
                break
        self._finish()

    def _feed_long(self, line: "_LongLine", text: bytes) -> bytes:
        """Add bytes to a long line, and return those after its end."""
        body, line_feed, after = text.partition(b"\n")
        if line_feed and body.endswith(b"\r"):
            line.extend(body[:-1])
            self._long = None
            self._rest = b""
            self._end_long(line)
            return after
        if line_feed:
            line.extend(body)
            self._end_long(line, line_feed)
            self._finish()
        elif body.endswith(b"\r"):
            line.extend(body[:-1])
            self._rest = b"\r"
        else:
            line.extend(body)
            self._rest = b""
        if line.length > self._limit and not self._finished:
            self._end_long(line)
        return b""

    def _end_line(self, line: bytes, line_feed: bytes = b"") -> None:
        if self._finished:
            return
        if len(line) <= self._whole:
            self.complete.insert(0, line + line_feed)
            return
        long = _LongLine()
        long.extend(line)
        self._end_long(long, line_feed)

    def _end_long(self, line: "_LongLine", line_feed: bytes = b"") -> None:
        if line.length > self._limit:
            self.complete.insert(0, line.abridged() + OVERLONG)
            self._finish()
        elif line_feed:  # with a CR before it, the bare LF would look like a CR LF
            self.complete.insert(0, line.abridged().rstrip(b"\r") + line_feed)
        else:
            self.complete.insert(0, line.abridged())

    def _finish(self) -> None:
        self._finished = True
        self._long = None
        self._rest = b""


class _LongLine:
    """The parts of a long line that decide the reply, in a few KiB.

    These are the start of each of its first elements (no name and no meaningful number is longer), and
    the first byte that makes it malformed. They do not depend on how the input was fragmented.
    """

    __slots__ = ("_alien", "_elements", "length")

    def __init__(self) -> None:
        self.length = 0  # bytes
        self._elements = [bytearray()]
        self._alien = b""

    def extend(self, data: bytes) -> None:
        """Add bytes to the line."""
        self.length += len(data)
        if not self._alien:
            self._alien = data.translate(None, PRINTABLE)[:1]
        first, *others = data.split(b" ", limits.ELEMENTS - len(self._elements))
        last = self._elements[-1]
        last += first[: limits.ELEMENT_BYTES - len(last)]
        self._elements += [bytearray(element[: limits.ELEMENT_BYTES]) for element in others]

    def abridged(self) -> bytes:
        """Return a short line that gets the same reply."""
        return b" ".join(self._elements) + self._alien

"""Turns received bytes into command lines, in bounded memory and whatever pieces they come in."""

from greenserver.config import limits

PRINTABLE = bytes(range(0x20, 0x7F))
"""The bytes that a well-formed command line is made of."""

OVERLONG = b"\0"
"""Ends what is left of a line past `limits.LINE_BYTES`: a byte that makes any line malformed."""


class LineBuffer:
    r"""Received bytes on one side, command lines on the other.

    A line comes out without its CR LF. Two kinds are the last that ever come out, for nothing after
    them may be executed: a line broken by a LF of its own, which ends in that ``\n``, and a line
    longer than `line_bytes`, which ends in `OVERLONG`.

    A line longer than `limits.WHOLE_LINE_BYTES` is abridged while it arrives (see `_LongLine`).
    """

    __slots__ = ("_finished", "_limit", "_long", "_rest", "_whole", "complete", "is_mid_line")

    def __init__(self, line_bytes: int = limits.LINE_BYTES) -> None:
        self.complete: list[bytes] = []  # an empty deque has ten times the size
        """The lines that have ended, the next one last."""
        self.is_mid_line = False
        """Whether a line has begun and not ended."""
        self._limit = line_bytes
        self._whole = min(line_bytes, limits.WHOLE_LINE_BYTES)
        self._rest = b""  # of the line under way: all of it, or a held-back CR once it is long
        self._long: _LongLine | None = None
        self._finished = False

    def feed(self, data: bytes) -> None:
        """Take the bytes that were received next."""
        text = self._rest + data
        if self._long is None and not self._finished and len(text) <= self._whole:  # and so is each line of it
            lines = text.split(b"\r\n")
            if text.count(b"\n") < len(lines):
                self._rest = lines.pop()
                self.is_mid_line = self._rest != b""
                lines.reverse()
                self.complete = lines + self.complete if self.complete else lines
                return
        self._feed_any(text)
        self.is_mid_line = self._rest != b"" or self._long is not None

    def next_line(self) -> bytes | None:
        """Return the next line, or None if none is complete."""
        return self.complete.pop() if self.complete else None

    def _feed_any(self, text: bytes) -> None:
        """Take the beginning of the line under way that is kept whole, and what came next."""
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
        # A CR at the end may be half a line end: it must not make the line longer than it will have been.
        if len(self._rest.removesuffix(b"\r")) > self._whole:
            text, self._rest = self._rest, b""
            self._long = _LongLine()
            self._feed_long(self._long, text)

    def _feed_broken(self, lines: list[bytes]) -> None:
        """Take lines of which one holds a LF of its own; that one is the last."""
        for line in lines:
            before, line_feed, _ = line.partition(b"\n")
            self._end_line(before, line_feed)
            if line_feed:
                break
        self._finish()

    def _feed_long(self, line: "_LongLine", text: bytes) -> bytes:
        """Take more of a long line, and return what follows it."""
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
        elif line_feed:  # a CR of its own before it would make the line look whole
            self.complete.insert(0, line.abridged().rstrip(b"\r") + line_feed)
        else:
            self.complete.insert(0, line.abridged())

    def _finish(self) -> None:
        self._finished = True
        self._long = None
        self._rest = b""


class _LongLine:
    """What decides the answer to a long line, in a few KiB.

    That is the start of each of its first elements (no name and no meaningful number is longer), and
    the first byte that makes it malformed. It depends on the line alone, not on the pieces it came in.
    """

    __slots__ = ("_alien", "_elements", "length")

    def __init__(self) -> None:
        self.length = 0  # bytes
        self._elements = [bytearray()]
        self._alien = b""

    def extend(self, data: bytes) -> None:
        """Take more bytes of the line."""
        self.length += len(data)
        if not self._alien:
            self._alien = data.translate(None, PRINTABLE)[:1]
        first, *others = data.split(b" ", limits.ELEMENTS - len(self._elements))
        last = self._elements[-1]
        last += first[: limits.ELEMENT_BYTES - len(last)]
        self._elements += [bytearray(element[: limits.ELEMENT_BYTES]) for element in others]

    def abridged(self) -> bytes:
        """Return a short line that deserves the same answer."""
        return b" ".join(self._elements) + self._alien

"""Show a conversation, and what the server prints meanwhile, as it happens: a line with its time for each event."""

import codecs
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, sleep
from typing import Final

from conformance.client.recording import Payload, Recording, escape
from conformance.language import Message, gettext, translated

PAUSE_SECONDS: Final = 0.3
"""How long to wait before each piece that is sent, by default."""
HEAD_LINES: Final = 80
"""How many lines of one scenario are shown as they happen."""
TAIL_LINES: Final = 20
"""How many of the last ones are shown at its end."""
_LINES_AT_ONCE: Final = 8
"""How many lines of one piece are shown."""
_LINE_BYTES: Final = 120
"""How many bytes of a line are shown."""
SLOW_SECONDS: Final = 5.0
"""For how long one scenario is delayed in all."""
SERVER: Final = "  |"
"""The mark of what the server prints."""
LEGEND: Final = Message("seconds, client; C: what it sends, S: what the server sends, |: what that prints")


_WORDS: Final = {
    "connected": Message("connected"),
    "refused": Message("refused"),
    "end": Message("the server closes"),
    "reset by server": Message("the server resets"),
    "closed": Message("the client closes"),
    "half-closed": Message("the client ends its sending half"),
    "reset": Message("the client resets"),
    "silence": Message("nothing comes"),
}


class LiveView:
    """Passes lines to `tell`, also from several threads; `seconds` is the pause before each piece that is sent."""

    def __init__(self, tell: Callable[[str], None], seconds: float) -> None:
        self.tell = tell
        self._seconds = seconds
        self._delay_left = SLOW_SECONDS
        self._lines = 0
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._started = monotonic()
        self._lock = threading.RLock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""  # a line that the server has not ended yet

    def begin(self) -> None:
        """Begin to count the seconds and lines of a scenario."""
        with self._lock:
            self._flush()
            self._started = monotonic()
            self._lines = 0
            self._delay_left = SLOW_SECONDS

    def end(self) -> None:
        """Show the last lines, if there are more than those that were shown."""
        with self._lock:
            self._flush()
            if (left_out := self._lines - HEAD_LINES - len(self._tail)) > 0:
                self.tell(gettext("        ... {count} lines more", count=left_out))
            for line in self._tail:
                self.tell(line)
            self._tail.clear()

    def recording(self) -> Recording:
        """Return a recording that shows each event."""
        return _LiveRecording(self)

    def show(self, mark: str, text: str) -> None:
        """Show a line, after what the server has printed so far."""
        with self._lock:
            if mark != SERVER:
                self._flush()
            self._lines += 1
            line = f"{monotonic() - self._started:7.3f} {mark} {text}"
            if self._lines <= HEAD_LINES:
                self.tell(line)
            else:
                self._tail.append(line)

    def show_bytes(self, mark: str, data: bytes) -> None:
        """Show bytes, line by line."""
        lines = data.split(b"\n", _LINES_AT_ONCE)
        rest = lines.pop() if len(lines) > _LINES_AT_ONCE else b""
        pieces = [line + b"\n" for line in lines[: None if rest else -1]] + ([] if rest else lines[-1:])
        with self._lock:
            for piece in filter(None, pieces):
                self.show(mark, escape(piece, most=_LINE_BYTES))
            if rest:
                self.show(mark, gettext("... ({count} bytes more)", count=len(rest)))

    def show_printed(self, data: bytes) -> None:
        """Show what the server prints, once a line is whole; never raises, for a thread that reads calls it."""
        with self._lock, contextlib.suppress(OSError):
            *lines, self._begun = (self._begun + self._decoder.decode(data)).split("\n")
            for line in lines:
                self.show(SERVER, line[:_LINE_BYTES].rstrip())
            self._begun = self._begun[:_LINE_BYTES]

    def pause(self) -> None:
        """Wait, so that each piece arrives by itself and its effects are seen before the next."""
        with self._lock:
            seconds = min(self._seconds, self._delay_left)
            self._delay_left -= seconds
        sleep(seconds)

    def _flush(self) -> None:
        """Show the beginning of a line that the server has not ended."""
        line, self._begun = self._begun, ""
        if line:
            self.show(SERVER, line)


class _LiveRecording(Recording):
    """A recording that is shown while it is made."""

    def __init__(self, view: LiveView) -> None:
        super().__init__(before_sending=view.pause)
        self._view = view

    def note(self, peer: int, what: str, note: str = "", *, payload: Payload | None = None) -> None:
        super().note(peer, what, note, payload=payload)
        if payload is not None:
            return
        said = translated(_WORDS[what]) if what in _WORDS else what
        if what == "note":
            said = translated(note)
        elif note:
            said += f" ({translated(note)})"
        self._view.show(f"{peer} -", said)

    def payload(self, peer: int, what: str, data: bytes, *, is_apart: bool = False) -> None:
        super().payload(peer, what, data, is_apart=is_apart)
        self._view.show_bytes(f"{peer} {'C' if what == 'sent' else 'S'}", data)

"""Asks a server one thing at a time, each on a connection of its own, and learns how its replies always deviate.

A question ends with `quit`, which is sent when the first line of the reply has come: so the reply is all that stands
before the reply to quit, whatever its form is, and no pause has to prove where it ends.
"""

import base64
import binascii
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from conformance.client import FATAL, UNKNOWN, Client
from conformance.content import Content
from conformance.record import shown

Connect = Callable[[], Client]
"""Gives a new client, without closing the ones before; raises Failure."""

MISSING: Final = b"hftp-conformance-no-such-file"
STATUS: Final = re.compile(rb"(0|[1-9][0-9]*)( [^\r\n]*)?\r\n")
_LINE: Final = re.compile(rb"[^\r\n]*\r?\n")
_SHORT_SECONDS: Final = 0.3
"""How long a silence has to be once the server has shown that it can be silent."""
_MOST_BYTES: Final = 1 << 18


@dataclass(frozen=True)
class Answer:
    """What came back to one command line: all of it, up to the reply to quit."""

    line: bytes
    raw: bytes
    ending: str
    """How it ended: quit (its reply came behind it), end, reset, silence or too-much."""

    @property
    def status(self) -> bytes:
        """The first line, with its end."""
        found = _LINE.match(self.raw)
        return found[0] if found else b""

    @property
    def code(self) -> int | None:
        """The code of a status line of the right form."""
        found = STATUS.fullmatch(self.status)
        return int(found[1][:9]) if found else None

    @property
    def rest(self) -> bytes:
        """What follows the first line."""
        return self.raw[len(self.status) :]


class Interviewer:
    """Asks questions; knows how the server answers quit, what it says first, and whether it echoes."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._has_been_silent = False
        self.greeting = b""
        self.echoes = False
        self.quit_reply = b""
        """What a connection ends with after quit, without the echo."""
        self.stays_open: set[str] = set()
        """`quit`, or the code of a fatal status, after which the server did not close."""
        self.answers: dict[bytes, Answer] = {}

    def begin(self) -> bool:
        """Learn how the server answers quit, greets and echoes; return whether it answers at all."""
        raw, ending = self._exchange(b"quit")
        other, _ = self._exchange(UNKNOWN, then_quit=True)
        first, second = _lines(raw), _lines(other)
        if first and second and first[0].strip() == b"quit" and second[0].strip() == UNKNOWN:
            self.echoes = True
        elif _is_greeted(first, second):
            self.greeting = first[0]
        self.quit_reply = self._without_first(b"quit", raw)
        if ending == "silence" and self.quit_reply:
            self.stays_open.add("quit")
        return bool(self.quit_reply)

    def ask(self, line: bytes) -> Answer:
        """Return what a command line is answered."""
        raw, ending = self._exchange(line, then_quit=True)
        raw = self._without_first(line, raw)
        tail = (b"quit\r\n" if self.echoes else b"") + self.quit_reply
        if self.quit_reply and raw.endswith(tail) and len(raw) > len(tail):
            raw, ending = raw[: -len(tail)], "quit"
        answer = self.answers[line] = Answer(line, raw, ending)
        if answer.code in FATAL and ending == "silence":
            self.stays_open.add(str(answer.code))
        return answer

    def ask_again(self, line: bytes, connect: Connect) -> bool:
        """Tell whether a command line is answered as it was before, by another way to connect."""
        self._connect = connect
        before = self.answers[line]
        return self.ask(line).raw == before.raw

    def _exchange(self, line: bytes, *, then_quit: bool = False) -> tuple[bytes, str]:
        """Return all that comes on one connection, and how it ended."""
        client = self._connect()
        try:
            if self._has_been_silent:
                client.patience_seconds = min(client.patience_seconds, max(_SHORT_SECONDS, client.patience_seconds / 8))
            client.say(line)
            heads = self.greeting.count(b"\n") + self.echoes
            raw, ending = client.collect(lambda data: data.count(b"\n") > heads, _MOST_BYTES)
            if ending == "enough":
                code = Answer(line, self._without_first(line, raw), "").code
                if then_quit and code not in FATAL:
                    client.say(b"quit")
                    is_enough = self._ends_with_quit if "quit" in self.stays_open else _never
                    more, ending = client.collect(is_enough, _MOST_BYTES)
                else:
                    more, ending = client.collect(_never, _MOST_BYTES)
                raw += more
            if ending == "silence":
                self._has_been_silent = True
        finally:
            client.part()
        return raw, ending

    def _ends_with_quit(self, data: bytes) -> bool:
        return data.endswith(self.quit_reply)

    def _without_first(self, line: bytes, raw: bytes) -> bytes:
        """Return what came without greeting and echo."""
        raw = raw.removeprefix(self.greeting)
        return raw.removeprefix(line + b"\r\n") if self.echoes else raw


def _never(_data: bytes) -> bool:
    return False


def _is_greeted(first: list[bytes], second: list[bytes]) -> bool:
    """Tell whether two conversations begin with the same line, which is not yet an answer."""
    is_same = len(first) > 1 and len(second) > 1 and first[0] == second[0]
    return is_same and not first[0].startswith(b"0") and STATUS.fullmatch(first[1]) is not None


def _lines(data: bytes) -> list[bytes]:
    return _LINE.findall(data)


@dataclass
class SliceSample:
    """A slice whose bytes, or at least their number, are known."""

    size: int
    data: bytes | None = None
    answer: Answer = field(default_factory=lambda: Answer(b"", b"", ""))


def slice_forms(body: bytes, sample: SliceSample) -> Mapping[str, bytes]:
    """Return the dialects in whose form a slice may have come, and what followed it in each."""
    found = {}
    line, end, after = body.partition(b"\r\n")
    with contextlib.suppress(binascii.Error):
        decoded = base64.b64decode(line, validate=True)
        if end and len(decoded) == sample.size and sample.data in {None, decoded}:
            found["2019"] = after
    plain = body[: sample.size]
    if len(plain) == sample.size and (plain == sample.data or (sample.data is None and "2019" not in found)):
        found["2018"] = body[sample.size :]
    fragments = _fragments(body)
    if fragments is not None and len(fragments[0]) == sample.size and sample.data in {None, fragments[0]}:
        found["2016"] = fragments[1]
    if sample.data is None and "2016" in found:
        found.pop("2018", None)
    return found


def _fragments(body: bytes) -> tuple[bytes, bytes] | None:
    """Return the bytes of a slice in fragments, and what follows it; None if it is none."""
    data = b""
    while found := re.match(rb"(0|[1-9][0-9]{0,8}) ", body):
        length = int(found[1])
        piece, body = body[found.end() : found.end() + length], body[found.end() + length :]
        if len(piece) < length or not body.startswith(b"\r\n"):
            return None
        body = body[2:]
        data += piece
        if not length:
            return data, body
    return None


def samples(interviewer: Interviewer, name: bytes, size: int, content: Content | None) -> list[SliceSample]:
    """Return slices of a file, each asked for on a connection of its own."""
    found = []
    for offset, length in dict.fromkeys(((0, min(size, 40)), (1, min(size - 1, 7)), (0, 1))):
        if length <= 0:
            continue
        answer = interviewer.ask(b"get_slice %b %d %d" % (name, offset, length))
        known = content.read(offset, length) if content is not None else None
        found.append(SliceSample(length, known, answer))
    return found


def likely_dialects(found: Sequence[SliceSample]) -> list[str]:
    """Return the dialects that fit the slices, the most likely one first; several if it stays open."""
    votes: dict[str, float] = {}
    for sample in found:
        if sample.answer.code == 0:
            for dialect, after in slice_forms(sample.answer.rest, sample).items():
                votes[dialect] = votes.get(dialect, 0) + (1.0 if not after else 0.6)
    return sorted(votes, key=lambda dialect: (-votes[dialect], dialect != "2019"))


def described(data: bytes) -> str:
    """Return bytes as people call them."""
    names = {b"\r\n": "an empty line", b"\n": "a bare LF", b"\r\n\r\n": "two empty lines", b" ": "a space"}
    return names.get(data, f"the bytes {shown(data)}")

"""Probe a server: send one command per connection, and keep the reply up to that of `quit`.

Each probe sends `quit` when the first line of the reply has arrived. So the reply is everything before the reply to
`quit`, in whatever form, and no timeout is needed to find its end.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from conformance.client.bodies import decode
from conformance.client.client import FATAL, Client
from conformance.client.recording import escape
from conformance.failures import Failure, Kind
from conformance.fixtures.content import Content
from conformance.fixtures.words import Words, drawn
from conformance.language import Message

Connect = Callable[[], Client]
"""Connects a new client, without closing earlier ones; raises Failure."""

STATUS: Final = re.compile(rb"(0|[1-9][0-9]*)( [^\r\n]*)?\r\n")
DIALECT_FORMS: Final = ("2019", "2018", "2016")
"""The forms of a slice that distinguish dialects."""
_CODE: Final = re.compile(rb"([0-9]{1,3})(?![0-9])")
_END: Final = re.compile(rb"(?:\A|(?<=\n))0(?: [^\r\n]*)?\r\n\Z")
"""The reply to quit of a server that varies its text."""
_SHORT_SECONDS: Final = 0.3
"""Minimum timeout once the server has left a request without a reply."""
_QUIET_SECONDS: Final = 0.1
"""How long a connection must stay open before quit, if only EOF can show that quit was read."""
_SAMPLE_BYTES: Final = range(202, 302, 3)
"""More than one line of wrapped base64 holds; the last group of base64 is padded."""
_PART_BYTES: Final = (4, 7, 10, 13)
"""The same of a part that is in one line."""
_MOST_BYTES: Final = 1 << 18


@dataclass(frozen=True)
class Answer:
    """The complete reply to one command line, up to the reply to quit."""

    line: bytes
    raw: bytes
    ending: str
    """How it ended: quit (followed by the reply to quit), end, reset, silence or too-much."""

    @property
    def status(self) -> bytes:
        """The first line, with its line end; empty if it has none."""
        return self.raw[: self.raw.find(b"\n") + 1]

    @property
    def code(self) -> int | None:
        """The code at the start of the first line, even if the line is malformed."""
        found = _CODE.match(self.status)
        return int(found[1]) if found else None

    @property
    def rest(self) -> bytes:
        """The bytes after the first line."""
        return self.raw[len(self.status) :]


class Probe:
    """Sends commands; knows the server's reply to quit, its greeting, and whether it echoes."""

    def __init__(self, connect: Connect, words: Words) -> None:
        self._connect = connect
        self.words = words
        self._has_been_silent = False
        self.refusal = b""
        """The line that the server sends to clients over its limit, if there is one."""
        self.greeting = b""
        self.echoes = False
        self._is_quit_constant = True
        self.is_quit_silent = False
        """Whether the connection closes after quit without a reply to it."""
        self.quit_reply = b""
        """The reply to quit, without the echo."""
        self.stays_open: set[str] = set()
        """Replies after which the server did not close: `quit`, or the code of a fatal status."""
        self.answers: dict[bytes, Answer] = {}

    def begin(self) -> bool:
        """Learn the reply to quit, the greeting and the echo; return whether the server replies at all."""
        raw, ending, _ = self._exchange(b"quit")
        again, _, _ = self._exchange(b"quit")
        other, _, _ = self._exchange(self.words.unknown, then_quit=True)
        first, second = _lines(raw), _lines(other)
        if first and second and first[0].strip() == b"quit" and second[0].strip() == self.words.unknown:
            self.echoes = True
        elif _is_greeted(first, second):
            self.greeting = first[0]
        self.quit_reply = self._without_first(b"quit", raw)
        self._is_quit_constant = raw == again
        if ending == "silence" and self.quit_reply:
            self.stays_open.add("quit")
        self.is_quit_silent = not raw and not again and ending in {"end", "reset"} and bool(other)
        return bool(self.quit_reply) or self.is_quit_silent

    def ask(self, line: bytes) -> Answer:
        """Return the reply to a command line; raise Failure, also if the server rejects the client as one too many."""
        raw, ending, has_quit = self._exchange(line, then_quit=True)
        if self.refusal and raw.startswith(self.refusal):
            raise Failure(Kind.REFUSED, Message("a reply"), escape(raw))
        raw = self._without_first(line, raw)
        if has_quit and self.is_quit_silent and ending in {"end", "reset"}:
            ending = "quit"
        elif has_quit and (without := self._without_quit(raw)) != raw:
            raw, ending = without, "quit"
        answer = self.answers[line] = Answer(line, raw, ending)
        if answer.code in FATAL and ending == "silence":
            self.stays_open.add(str(answer.code))
        return answer

    def connect_by(self, connect: Connect) -> None:
        """Replace the function that connects."""
        self._connect = connect

    def ask_again(self, line: bytes, connect: Connect) -> bool:
        """Return whether a command line gets the same reply as before, over connections made by `connect`."""
        self.connect_by(connect)
        before = self.answers[line]
        return self.ask(line).raw == before.raw

    def _without_quit(self, raw: bytes) -> bytes:
        """Strip the reply to quit, if it is there."""
        found = _END.search(raw) if not self._is_quit_constant else None
        end = found.start() if found else len(raw) - len(self.quit_reply)
        if not found and (not raw.endswith(self.quit_reply) or end <= 0):
            return raw
        return raw[:end].removesuffix(b"quit\r\n") if self.echoes else raw[:end]

    def _exchange(self, line: bytes, *, then_quit: bool = False) -> tuple[bytes, str, bool]:
        """Return all bytes of one connection, how it ended, and whether quit was sent in addition."""
        has_quit = False
        client = self._connect()
        try:
            if self._has_been_silent:
                client.timeout_seconds = min(client.timeout_seconds, max(_SHORT_SECONDS, client.timeout_seconds / 8))
            client.send_line(line)
            heads = self.greeting.count(b"\n") + self.echoes
            raw, ending = client.collect(lambda data: data.count(b"\n") > heads, _MOST_BYTES)
            if ending == "enough":
                code = Answer(line, self._without_first(line, raw), "").code
                has_quit = (
                    then_quit and code not in FATAL and (not self.is_quit_silent or client.is_quiet(_QUIET_SECONDS))
                )
                if has_quit:
                    client.send_line(b"quit")
                    is_enough = self._ends_with_quit if "quit" in self.stays_open else _never
                    more, ending = client.collect(is_enough, _MOST_BYTES)
                else:
                    more, ending = client.collect(_never, _MOST_BYTES)
                raw += more
            if ending == "too-much":
                raise Failure(
                    Kind.TOO_MUCH, Message("a reply"), Message("more than {most_bytes} bytes", most_bytes=_MOST_BYTES)
                )
            if ending == "silence":
                self._has_been_silent = True
        finally:
            client.quit_and_close()
        return raw, ending, has_quit

    def _ends_with_quit(self, data: bytes) -> bool:
        return data.endswith(self.quit_reply)

    def _without_first(self, line: bytes, raw: bytes) -> bytes:
        """Strip the greeting and the echo."""
        raw = raw.removeprefix(self.greeting)
        return raw.removeprefix(line + b"\r\n") if self.echoes else raw


def _never(_data: bytes) -> bool:
    return False


def _is_greeted(first: list[bytes], second: list[bytes]) -> bool:
    """Return whether two connections begin with the same line, followed by a status line: a greeting."""
    is_same = len(first) > 1 and len(second) > 1 and first[0] == second[0]
    return is_same and not first[0].startswith(b"0") and STATUS.fullmatch(first[1]) is not None


def _lines(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


@dataclass
class SliceSample:
    """A slice of known length and, if `data` is set, known bytes."""

    size: int
    data: bytes | None = None
    answer: Answer = field(default_factory=lambda: Answer(b"", b"", ""))


def slice_forms(body: bytes, sample: SliceSample, forms: Iterable[str] = DIALECT_FORMS) -> Mapping[str, bytes]:
    """Return the forms that a slice may have, each with the bytes that follow it."""
    found = {}
    for form in forms:
        decoded = decode(body, form, sample.size)
        if decoded is not None and sample.data in {None, decoded[0]}:
            found[form] = decoded[1]
    if sample.data is None and len(found) > 1:  # any bytes fit the form of 2018
        found.pop("2018", None)
    return found


def samples(probe: Probe, name: bytes, size: int, content: Content | None) -> list[SliceSample]:
    """Request slices of a file, each on its own connection."""
    found = []
    whole, part = (drawn(probe.words.seed, f"sample {row}", row) for row in (_SAMPLE_BYTES, _PART_BYTES))
    for offset, length in dict.fromkeys(((0, min(size, whole)), (1, min(size - 1, part)), (0, 1))):
        if length <= 0:
            continue
        answer = probe.ask(b"get_slice %b %d %d" % (name, offset, length))
        known = content.read(offset, length) if content is not None else None
        found.append(SliceSample(length, known, answer))
    return found

r"""Parse and run transcripts: scenarios in the C:/S: notation of protocol texts.

One step per line, in order; blank lines and lines that start with # are ignored::

    C: get_metadata {text}       send a line; CR LF is added; consecutive lines are sent together
    C| qui\nt\n                  send exactly these bytes, with Python's escapes (\r \n \x00 \\)
    S: 203 *                     require a status line with this code and any text
    S: 101|200|201 *             one of several codes
    S: {text.size}               require exactly this line; * matches any text
    S| Hello                     require exactly these bytes, with escapes
    S: <listing>                 require names, one per line, and an empty line
    S: <size text>               require the size of a file, on a line of its own
    S: <slice text 0 5>          require a slice of a file, in the form of the dialect
    S: <slice text 0 5 raw>      the same, requested with the fourth argument raw
    <bytewise>                   from here on, send one byte per packet; <whole> ends it
    <half-close>                 shut down the sending half
    <reset>                      reset the connection (RST)
    <reconnect>                  close, and open a new connection
    <close>                      require that the server closes without sending more
    <in step>                    require that the next command gets the next reply, and then quit; after a fatal
                                 status, require that the server closes instead. Must be the last step

In all of them `{text}` is the name of the fixture `text` and `{text.size}` its size; `{text.size+1}`, `{text.size-1}`
and `{text.size//2}` compute. So a transcript works with any suitable file, and declares the files that it needs.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from textwrap import dedent
from typing import Final

from conformance.client.recording import escape
from conformance.failures import Failure, Kind
from conformance.model.context import ScenarioContext

_TEMPLATE: Final = re.compile(r"\{([a-z][a-z-]*)(?:\.(size)(?:(\+|-|//)(\d+))?)?\}")
_CODES: Final = re.compile(r"(\d+(?:\|\d+)*) \*")
_BODY: Final = re.compile(r"<(listing|size|slice)(?: (\S+))?(?: (\S+) (\S+))?(?: (raw))?>")
_COMPUTE: Final[dict[str, Callable[[int, int], int]]] = {
    "+": int.__add__,
    "-": int.__sub__,
    "//": int.__floordiv__,
}


class TranscriptError(ValueError):
    """A transcript is malformed; the message is one line."""


@dataclass(frozen=True)
class Step:
    """One line of a transcript: an action (`verb`) and its text."""

    verb: str
    text: str
    line: str
    """The line as written."""


class Transcript:
    """A parsed transcript; calling it runs it."""

    def __init__(self, text: str) -> None:
        self.text = dedent(text).strip("\n")
        self.steps = tuple(_steps(self.text))
        self.fixtures = frozenset(_fixtures(self.steps))
        """The keys of the fixtures that it needs."""

    def __call__(self, context: ScenarioContext) -> None:
        """Run it on one connection at a time."""
        _Run(context, self.fixtures).run(self.steps)

    def __str__(self) -> str:
        return self.text


def _steps(text: str) -> list[Step]:
    steps = []
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        marker, rest = stripped[:2], line.lstrip()[2:].removeprefix(" ")
        if marker in _MARKERS:
            verb, text_of_step = _MARKERS[marker], rest
            if marker == "S:" and _CODES.fullmatch(rest):
                verb, text_of_step = "status", rest.removesuffix(" *")
            elif marker == "S:" and _BODY.fullmatch(rest):
                verb = "body"
            elif marker == "S:" and rest.startswith("<"):
                message = f"unknown reply: {rest}"
                raise TranscriptError(message)
            elif marker.endswith("|"):
                _exact_bytes(rest)
        elif stripped in _VERBS:
            verb, text_of_step = stripped.strip("<>"), ""
        else:
            message = f"neither C:, S:, C|, S| nor one of {' '.join(sorted(_VERBS))}: {stripped}"
            raise TranscriptError(message)
        steps.append(Step(verb, text_of_step, stripped))
    if not any(step.verb in _SENDING for step in steps):
        message = "a transcript in which the client sends nothing"
        raise TranscriptError(message)
    return steps


def _fixtures(steps: Sequence[Step]) -> set[str]:
    found = {key for step in steps for key, *_ in _TEMPLATE.findall(step.text)}
    for step in steps:
        body = _BODY.fullmatch(step.text) if step.verb == "body" else None
        if body is not None and body[2]:
            found.add(body[2])
    return found


def _exact_bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1").decode("unicode_escape").encode("latin-1")
    except UnicodeError as error:
        message = f"invalid bytes: {text}"
        raise TranscriptError(message) from error


class _Run:
    """One run of a transcript."""

    def __init__(self, context: ScenarioContext, fixtures: Iterable[str]) -> None:
        self._context = context
        self._fixtures = {key: context.fixture(key) for key in fixtures}
        self._client = context.connect()
        self._is_bytewise = False
        self._unsent = b""  # consecutive lines, to be sent together

    def run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if self._unsent and step.verb not in _SENDING:
                self._send_pending()
            text = self._filled(step.text) if "{" in step.text else step.text
            getattr(self, _METHODS[step.verb])(text)
        if self._unsent:
            self._send_pending()

    def _send_pending(self) -> None:
        """Send the pending lines in one piece."""
        data, self._unsent = self._unsent, b""
        self._client.send(data)

    def _filled(self, text: str) -> str:
        """Substitute names and sizes of fixtures."""

        def value(found: re.Match[str]) -> str:
            fixture = self._fixtures[found[1]]
            if not found[2]:
                return fixture.name.decode("latin-1")
            return str(_COMPUTE[found[3]](fixture.size, int(found[4])) if found[3] else fixture.size)

        return _TEMPLATE.sub(value, text)

    def _send_bytes(self, data: bytes) -> None:
        if self._is_bytewise:
            self._client.send_bytewise(data)
        else:
            self._unsent += data

    def send_line(self, text: str) -> None:
        self._send_bytes(text.encode("latin-1") + b"\r\n")

    def send(self, text: str) -> None:
        self._send_bytes(_exact_bytes(text))

    def status(self, text: str) -> None:
        status = self._client.status(*map(int, text.split("|")))
        if "|" in text:
            self._context.observe(f"answered {status}")

    def line(self, text: str) -> None:
        line = self._client.line(text or "an empty line")
        pattern = re.escape(text).replace(r"\*", ".*")
        if not re.fullmatch(pattern, line.decode("latin-1"), re.DOTALL):
            raise Failure(Kind.BODY, text or "an empty line", escape(line) or "an empty line")

    def exact(self, text: str) -> None:
        wanted = _exact_bytes(text)
        got = self._client.read(len(wanted), escape(wanted))
        if got != wanted:
            raise Failure(Kind.BODY, escape(wanted), escape(got))

    def body(self, text: str) -> None:
        found = _BODY.fullmatch(text)
        assert found is not None, text  # noqa: S101  (the parser checked it)
        kind, key, offset, size, form = found.groups()
        if kind == "listing":
            self._client.listing()
            return
        fixture = self._fixtures[key]
        if kind == "size":
            got = self._client.size()
            if got != fixture.size:
                raise Failure(Kind.BODY, f"the size {fixture.size}", str(got))
            return
        self._client.slice(fixture.content, int(offset), int(size), form or "")

    def bytewise(self, _text: str) -> None:
        self._is_bytewise = True

    def whole(self, _text: str) -> None:
        self._is_bytewise = False

    def half_close(self, _text: str) -> None:
        self._client.half_close()

    def reset(self, _text: str) -> None:
        self._client.reset()

    def reconnect(self, _text: str) -> None:
        self._client.close()
        self._client = self._context.connect()

    def close(self, _text: str) -> None:
        self._client.read_end("the end of the stream")

    def in_step(self, _text: str) -> None:
        self._client.in_step()


_SENDING: Final = frozenset({"send-line", "send"})
_MARKERS: Final = {"C:": "send-line", "C|": "send", "S:": "line", "S|": "exact"}
_METHODS: Final = {
    verb: verb.replace("-", "_").replace(" ", "_")
    for verb in (
        *("send-line", "send", "status", "line", "exact", "body", "bytewise", "whole"),
        *("half-close", "reset", "reconnect", "close", "in step"),
    )
}
_VERBS: Final = {f"<{verb}>" for verb in ("bytewise", "whole", "half-close", "reset", "reconnect", "close", "in step")}

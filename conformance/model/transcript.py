r"""Compile and run transcripts: scenarios in the C:/S: notation of protocol texts.

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
`{unknown}` and `{unknown-word}` are commands that no server has, and `{missing}` is the name of no file; they are drawn
from the seed of the run.

The text is compiled once, into steps; a run calls one after the other, and fills in the names and sizes. Consecutive
status lines and lines that must be exactly so are one step.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from textwrap import dedent
from typing import Final

from conformance.client.client import Client
from conformance.client.command_connection import other_line
from conformance.client.recording import escape
from conformance.failures import Failure, Kind
from conformance.language import Message
from conformance.model.context import ScenarioContext
from conformance.model.templates import REFERENCE, WORDS, References

_CODES: Final = re.compile(r"(\d+(?:\|\d+)*) \*")
_SIZE: Final = re.compile(r"<size (\S+)>")
_SLICE: Final = re.compile(r"<slice (\S+) (\S+) (\S+)(?: (raw))?>")


class TranscriptError(ValueError):
    """A transcript is malformed; the message is one line."""


class Transcript:
    """A compiled transcript; calling it runs it."""

    def __init__(self, text: str) -> None:
        self.text = dedent(text).strip("\n")
        compiler = _Compiler()
        for line in self.text.splitlines():
            compiler.add(line)
        self._steps = compiler.finish()
        self.fixtures = frozenset(compiler.fixtures)
        """The keys of the fixtures that it needs."""

    def __call__(self, context: ScenarioContext) -> None:
        """Run it on one connection at a time."""
        run = _Run(context, context.run_context.references, context.connect())
        for step in self._steps:
            step(run)

    def __str__(self) -> str:
        return self.text


# --- The steps of a run -------------------------------------------------------------------------------


@dataclass
class _Run:
    """One run of a transcript: what its steps act on."""

    context: ScenarioContext
    values: References
    """What the references stand for; the texts of steps are templates for `%`."""
    client: Client


_Step = Callable[[_Run], None]


def _send(text: str, run: _Run) -> None:
    run.client.send((text % run.values).encode("latin-1"))


def _send_bytewise(text: str, run: _Run) -> None:
    run.client.send_bytewise((text % run.values).encode("latin-1"))


def _replies(parts: tuple[int | str, ...], run: _Run) -> None:
    run.client.replies([part if isinstance(part, int) else part % run.values for part in parts])


def _one_of(codes: tuple[int, ...], run: _Run) -> None:
    run.context.observe(Message("answered {status}", status=run.client.status(*codes)))


def _line_like(text: str, run: _Run) -> None:
    wanted = text % run.values
    line = run.client.line(wanted).decode("latin-1")
    if not re.fullmatch(re.escape(wanted).replace(r"\*", ".*"), line, re.DOTALL):
        raise other_line(wanted, line)


def _exact(text: str, run: _Run) -> None:
    wanted = (text % run.values).encode("latin-1")
    got = run.client.read(len(wanted), escape(wanted))
    if got != wanted:
        raise Failure(Kind.BODY, escape(wanted), escape(got))


def _listing(run: _Run) -> None:
    run.client.listing()


def _size(key: str, run: _Run) -> None:
    size, got = run.context.fixture(key).size, run.client.size()
    if got != size:
        raise Failure(Kind.BODY, Message("the size {size}", size=size), str(got))


def _slice(key: str, offset: str, size: str, form: str, run: _Run) -> None:
    run.client.slice(run.context.fixture(key).content, int(offset % run.values), int(size % run.values), form)


def _half_close(run: _Run) -> None:
    run.client.half_close()


def _reset(run: _Run) -> None:
    run.client.reset()


def _reconnect(run: _Run) -> None:
    run.client.close()
    run.client = run.context.connect()


def _close(run: _Run) -> None:
    run.client.read_end()


def _in_step(run: _Run) -> None:
    run.client.in_step()


_VERBS: Final[Mapping[str, _Step]] = {
    "<half-close>": _half_close,
    "<reset>": _reset,
    "<reconnect>": _reconnect,
    "<close>": _close,
    "<in step>": _in_step,
}
_SENDING: Final = {"<bytewise>": True, "<whole>": False}
"""What sets whether the following bytes are sent one by one."""
_MARKERS: Final = ("C:", "S:", "C|", "S|")


# --- From the text to steps ----------------------------------------------------------------------------


class _Compiler:
    """Compiles the lines of a transcript into steps, and collects what they refer to."""

    def __init__(self) -> None:
        self.fixtures: set[str] = set()
        self._steps: list[_Step] = []
        self._unsent = ""  # consecutive lines, to be sent together
        self._expected: list[int | str] = []  # consecutive status lines and lines of replies
        self._sends = False
        self._is_bytewise = False

    def add(self, line: str) -> None:
        """Compile a line; raise TranscriptError."""
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            return
        marker, rest = stripped[:2], line.lstrip()[2:].removeprefix(" ")
        if marker == "C:":
            self._send(self._template(rest) + "\r\n")
        elif marker == "C|":
            self._send(self._template(rest, is_escaped=True))
        elif marker == "S:" and (part := self._part(rest)) is not None:
            self._send_pending()
            self._expected.append(part)
        else:
            self._send_pending()
            self._expect_pending()
            if marker == "S:":
                self._steps.append(self._reply(rest))
            elif marker == "S|":
                self._steps.append(partial(_exact, self._template(rest, is_escaped=True)))
            elif stripped in _VERBS:
                self._steps.append(_VERBS[stripped])
            elif stripped in _SENDING:
                self._is_bytewise = _SENDING[stripped]
            else:
                known = sorted((*_VERBS, *_SENDING))
                message = Message(
                    "neither {markers} nor one of {known}: {stripped}",
                    markers=", ".join(_MARKERS),
                    known=" ".join(known),
                    stripped=stripped,
                )
                raise TranscriptError(message)

    def finish(self) -> tuple[_Step, ...]:
        """Return the steps; raise TranscriptError if the client sends nothing."""
        self._send_pending()
        self._expect_pending()
        if not self._sends:
            message = Message("a transcript in which the client sends nothing")
            raise TranscriptError(message)
        return tuple(self._steps)

    def _send(self, text: str) -> None:
        self._sends = True
        self._expect_pending()
        if self._is_bytewise:
            self._steps.append(partial(_send_bytewise, text))
        else:
            self._unsent += text

    def _send_pending(self) -> None:
        """Add a step that sends the pending lines in one piece."""
        if self._unsent:
            self._steps.append(partial(_send, self._unsent))
            self._unsent = ""

    def _expect_pending(self) -> None:
        """Add a step that requires the pending parts of replies."""
        if self._expected:
            self._steps.append(partial(_replies, tuple(self._expected)))
            self._expected = []

    def _part(self, text: str) -> int | str | None:
        """Return the code of a status line, or a line that must be exactly so; None for another part of a reply."""
        if found := _CODES.fullmatch(text):
            return None if "|" in text else int(found[1])
        return None if "*" in text or text.startswith("<") else self._template(text)

    def _reply(self, text: str) -> _Step:
        """Return the step that requires another part of a reply."""
        if found := _CODES.fullmatch(text):
            return partial(_one_of, tuple(map(int, found[1].split("|"))))
        if text == "<listing>":
            return _listing
        if found := _SIZE.fullmatch(text):
            self.fixtures.add(found[1])
            return partial(_size, found[1])
        if found := _SLICE.fullmatch(text):
            key, offset, size, form = found.groups()
            self.fixtures.add(key)
            return partial(_slice, key, self._template(offset), self._template(size), form or "")
        if text.startswith("<"):
            message = Message("unknown reply: {text}", text=text)
            raise TranscriptError(message)
        return partial(_line_like, self._template(text))

    def _template(self, text: str, *, is_escaped: bool = False) -> str:
        """Return a text as a template for `%`, without its escapes; note what it refers to."""
        template, position = "", 0
        for found in REFERENCE.finditer(text):
            if found[1] not in WORDS:
                self.fixtures.add(found[1])
            template += f"{_literal(text[position : found.start()], is_escaped=is_escaped)}%({found[0][1:-1]})s"
            position = found.end()
        return template + _literal(text[position:], is_escaped=is_escaped)


def _literal(text: str, *, is_escaped: bool) -> str:
    """Return a text without references as a template, one character per byte; raise TranscriptError."""
    try:
        data = text.encode("latin-1")
        if is_escaped:
            data = data.decode("unicode_escape").encode("latin-1")
    except UnicodeError as error:
        message = Message("invalid bytes: {text}", text=text)
        raise TranscriptError(message) from error
    return data.decode("latin-1").replace("%", "%%")

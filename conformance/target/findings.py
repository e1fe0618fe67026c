"""Turn what is always different about a server's replies into a list of deviations, each listed once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from conformance.client.bodies import INSTEAD
from conformance.client.client import CODES
from conformance.client.deviations import Deviation, Form
from conformance.client.recording import escape
from conformance.language import Message, both

_REQUIREMENTS: Final[Mapping[str, str]] = {
    "quit": "HFTP-3.6",
    "help": "HFTP-3.8",
    "get_file_listing": "HFTP-4.1",
    "get_metadata": "HFTP-5.1",
    "raw": "HFTP-6.8",
}
_SLICE_REQUIREMENTS: Final = {"2018": "HFTP-6.10", "2016": "HFTP-6.11"}
_LINE_REQUIREMENTS: Final = {"status": "HFTP-2.1", "listing": "HFTP-4.1", "size": "HFTP-5.1", "slice": "HFTP-6.1"}
_CODE_REQUIREMENTS: Final = {
    100: "HFTP-1.2",
    101: "HFTP-1.7",
    200: "HFTP-3.1",
    201: "HFTP-3.3",
    202: "HFTP-3.4",
    203: "HFTP-6.4",
}
_ERRORS: Final = tuple(str(code) for code in CODES if code)
_KINDS_OF_REPLIES: Final = 4
"""Extra bytes after at least this many kinds of replies, and after all that were requested, follow every reply."""


@dataclass
class Findings:
    """Observations of the replies of one server."""

    dialect: str = ""
    greeting: bytes = b""
    echoes: bool = False
    asked: set[str] = field(default_factory=set)
    """The replies that were requested and understood, named as in `Deviation.replies`."""
    extras: dict[str, bytes] = field(default_factory=dict)
    """The extra bytes after each reply."""
    lines: dict[bytes, int] = field(default_factory=dict)
    """Malformed status lines, and the codes that they stand for."""
    is_ambiguous: bool = False
    """Whether one line stands for several codes; then none of them is known."""
    codes: dict[int, int] = field(default_factory=dict)
    """The right codes, and the codes that are sent instead."""
    bare: set[str] = field(default_factory=set)
    """Parts whose lines end in a bare LF: status, listing, size or slice."""
    closes: set[str] = field(default_factory=set)
    """Replies after which the connection closes, and must not."""
    stays_open: set[str] = field(default_factory=set)
    """Replies after which it does not close, and must: quit, or fatal codes."""
    is_quit_silent: bool = False
    """Whether the connection closes after quit without a reply to it."""
    size_form: tuple[bytes, bytes] = b"", b""
    """The bytes before and after the digits of a size."""
    slice_form: str = ""
    """The form of slices, if it is not the dialect's: a key of `bodies.INSTEAD`."""

    def add_line(self, line: bytes, code: int) -> None:
        """Add a malformed status line."""
        self.is_ambiguous |= self.lines.setdefault(line, code) != code

    def deviations(self) -> Iterator[Deviation]:
        """Yield the deviations of the server, each once."""
        if self.greeting:
            text = Message("the server sends {greeting} when a client connects", greeting=escape(self.greeting))
            yield Deviation("HFTP-2.6", text, Form.GREETING, {"connect": self.greeting})
        if self.echoes:
            yield Deviation(
                "HFTP-2.1", Message("each command line is echoed before its reply"), Form.ECHO, {"line": b""}
            )
        yield from self._status_lines()
        yield from self._extra()
        yield from self._substitutes()
        yield from self._ends()
        if self.is_quit_silent:
            text = Message("quit has no reply: the connection only closes")
            yield Deviation("HFTP-3.6", text, Form.SILENT, {"quit": b""})
        if self.bare:
            first = next(part for part in _LINE_REQUIREMENTS if part in self.bare)
            text = (
                Message("all lines of replies end in a bare LF")
                if len(self.bare) > 1
                else Message("{part} lines of replies end in a bare LF", part=first)
            )
            yield Deviation(_LINE_REQUIREMENTS[first], text, Form.BARE_LF, dict.fromkeys(self.bare, b""))
        if any(self.size_form):
            prefix, suffix = self.size_form
            text = Message(
                "a size has {what} around its digits", what=both([described(part) for part in (prefix, suffix) if part])
            )
            yield Deviation("HFTP-5.1", text, Form.SIZE, {"prefix": prefix, "suffix": suffix})
        if self.slice_form:
            requirement = _SLICE_REQUIREMENTS.get(self.dialect, "HFTP-6.1")
            if self.slice_form.startswith("lines") and self.dialect == "2019":
                requirement = "HFTP-6.7"
            text = Message("a slice comes {how}", how=INSTEAD[self.slice_form])
            yield Deviation(requirement, text, Form.SLICE, {"get_slice": self.slice_form.encode()})

    def _status_lines(self) -> Iterator[Deviation]:
        if not self.lines or self.is_ambiguous:
            return
        codes = sorted(self.lines.values())
        if len(set(codes)) != len(codes) or any(not line for line in self.lines):
            return
        lines = ", ".join(escape(line) for line in self.lines)
        text = Message("the status line is {lines}, which is not CODE SP TEXT", lines=lines)
        replies = {line.decode("latin-1"): b"%d" % code for line, code in self.lines.items()}
        yield Deviation("HFTP-2.1", text, Form.STATUS_LINE, replies)

    def _extra(self) -> Iterator[Deviation]:
        """Yield extra bytes after replies: one deviation if all have the same, otherwise one per kind."""
        extras = dict(self.extras)
        asked_errors = {reply for reply in self.asked if reply.isdigit()}
        errors = {extras.get(reply, b"") for reply in asked_errors}
        if len(errors) == 1 and len(asked_errors) > 1 and (extra := errors.pop()):  # and those not requested
            extras |= {reply: extra for reply in _ERRORS if reply not in asked_errors | self.stays_open}
        if len(set(extras.values())) == 1 and len(self.asked) >= _KINDS_OF_REPLIES and self.asked <= set(extras):
            extra = next(iter(extras.values()))
            yield Deviation(
                "HFTP-2.3", Message("{extra} follows each reply", extra=described(extra)), Form.EXTRA, extras
            )
            return
        after_errors = {reply: extra for reply, extra in extras.items() if reply.isdigit()}
        for extra in dict.fromkeys(after_errors.values()):
            replies = {reply: extra for reply, own in after_errors.items() if own == extra}
            text = Message(
                "{extra} follows the status line of {replies}",
                extra=described(extra),
                replies=both(sorted(set(replies) & self.asked)),
            )
            yield Deviation("HFTP-2.3", text, Form.EXTRA, replies)
        for reply, extra in extras.items():
            if not reply.isdigit():
                requirement = _REQUIREMENTS.get(reply) or _SLICE_REQUIREMENTS.get(self.dialect, "HFTP-6.1")
                name = "get_slice ... raw" if reply == "raw" else reply
                yield Deviation(
                    requirement,
                    Message("{extra} follows the reply to {name}", extra=described(extra), name=name),
                    Form.EXTRA,
                    {reply: extra},
                )

    def _substitutes(self) -> Iterator[Deviation]:
        sent = list(self.codes.values())
        for wanted, code in self.codes.items():
            if sent.count(code) == 1:
                text = Message(
                    "the server always answers {code} where {wanted} {name} belongs",
                    code=code,
                    wanted=wanted,
                    name=CODES[wanted],
                )
                yield Deviation(_CODE_REQUIREMENTS[wanted], text, Form.CODE, {str(wanted): b"%d" % code})

    def _ends(self) -> Iterator[Deviation]:
        open_after = self.stays_open
        if "quit" in open_after:
            yield Deviation("HFTP-3.6", Message("the connection stays open after quit"), Form.STAYS_OPEN, {"quit": b""})
        if fatal := sorted(open_after - {"quit"}):
            text = Message("the connection stays open after {replies}", replies=both(fatal))
            yield Deviation("HFTP-2.7", text, Form.STAYS_OPEN, {"fatal": b""})
        if self.closes:
            text = Message("the connection closes after {replies}", replies=both(sorted(self.closes)))
            yield Deviation("HFTP-2.8", text, Form.CLOSES, dict.fromkeys(self.closes, b""))


def described(data: bytes) -> str:
    """Return bytes for display, by name if they have one."""
    names = {
        b"\r\n": Message("an empty line"),
        b"\n": Message("a bare LF"),
        b"\r\n\r\n": Message("two empty lines"),
        b" ": Message("a space"),
    }
    return names.get(data, f'"{escape(data)}"')

"""One connection as the model sees it: what was asked, and which replies are still allowed.

A state machine without I/O: tell it what is sent and received, in order, and it says at once what is not allowed.
"""

import re
from collections import deque
from collections.abc import Generator
from typing import Final, NamedTuple

from conformance.failures import Kind
from conformance.language import Message
from conformance.oracle.answers import CODES, Answers, Rule, rule
from conformance.oracle.bodies import read_body
from conformance.oracle.choices import Choices
from conformance.oracle.commands import BAD_LINE_END, BAD_LINE_END_AT_ONCE, answers_to, is_plain
from conformance.oracle.reading import BrokenRule, NotJudgedError, Reader, Steps, Violation, shown
from conformance.oracle.served import Served
from conformance.spec.reader import specification

_STATUS: Final = re.compile(rb"(0|[1-9][0-9]{0,8})(?![0-9])(.*)", re.DOTALL)
_STATUS_LINE: Final = Message("a status line")
_END: Final = Message("the end of the stream")
_FATAL: Final = range(100, 200)
_FAILED: Final = 199
_CACHED_LINES: Final = 4096
_SHORTEST_TEXT_BYTES: Final = 2


class Request(NamedTuple):
    """A line that was sent, and the replies that it may get."""

    line: bytes
    """The line, without its end."""
    answers: Answers
    is_cut: bool = False
    """Whether the stream ended before the line did, so that it may be ignored."""


class Dialogue:
    """What has been said on one connection; `violation` is the first thing that is not allowed.

    Nothing after a violation of a MUST is judged, nor after a reply of which the model does not know how it goes on.
    """

    def __init__(self, served: Served, dialect: str, choices: Choices | None = None) -> None:
        self.served = served
        self.violation: Violation | None = None
        self.choices = choices if choices is not None else Choices()
        self.replies = 0
        """How many replies were read."""
        self.is_half_closed = False
        """Whether the client has ended what it sends."""
        self._dialect = dialect
        self._pending: deque[Request] = deque()
        self._unfinished = b""
        self._reader = Reader()
        self._ending = ""  # the requirement by which the server has to close
        self._has_bad_end = False
        self._is_over = False
        self._asked = b""
        self._known: dict[bytes, Answers] = {}
        self._known_of = served
        self._steps = self._conversation()
        self._advance()

    @property
    def is_settled(self) -> bool:
        """Whether the server owes nothing before the client goes on."""
        return self._is_over or not (self._pending or self._ending or self.is_half_closed)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is judged: the stream has ended, or it is not known how it goes on."""
        return self._is_over

    @property
    def is_ending(self) -> bool:
        """Whether the server has answered quit, or a fatal error."""
        return bool(self._ending)

    # --- What happens ----------------------------------------------------------------------------

    def sent(self, data: bytes) -> None:
        """Take what the client sends, before the server can answer it."""
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for number, line in enumerate(lines):
            if self._has_bad_end:
                return
            if line.endswith(b"\r"):
                self._pending.append(Request(line[:-1], self._answers_to(line[:-1])))
                continue
            has_crlf = any(later.endswith(b"\r") for later in lines[number + 1 :])
            self._pending.append(Request(line + b"\n", BAD_LINE_END if has_crlf else BAD_LINE_END_AT_ONCE))
            self._has_bad_end = True

    def half_closed(self) -> None:
        """Take the end of what the client sends."""
        self.is_half_closed = True
        if self._unfinished and not self._has_bad_end:
            self._pending.append(Request(self._unfinished, Answers((rule("HFTP-1.14", CODES),)), is_cut=True))
            self._unfinished = b""
        self._advance()

    def received(self, data: bytes) -> None:
        """Take what the server sends."""
        if not self._is_over:
            self._reader.buffer += data
            self._advance()

    def ended(self, *, is_reset: bool = False) -> None:
        """Take the end of what the server sends."""
        if self._is_over:
            return
        self._is_over = True
        if not self._ending and not self._may_end():
            kind, how = (Kind.RESET, Message("a connection reset")) if is_reset else (Kind.CLOSED, _END)
            requirement = "HFTP-2.9" if is_reset and self._has_fatal_request() else self._requirement_of_silence()
            self._violate(BrokenRule(kind, requirement, self._expected(), how))

    def silent(self, seconds: float) -> None:
        """Take that the server has sent nothing for as long as a client waits."""
        if self.is_settled:
            return
        got = Message("nothing within {seconds} s", seconds=seconds)
        owed = [row for row in self._pending if not row.is_cut]
        if owed and not self._ending:
            self._violate(BrokenRule(Kind.TIMEOUT, self._requirement_of_silence(), self._expected(), got))
        else:
            self._violate(BrokenRule(Kind.OPEN, self._ending or "HFTP-1.14", _END, got))
        self._is_over = True

    def _answers_to(self, line: bytes) -> Answers:
        if self._known_of is not self.served or len(self._known) > _CACHED_LINES:
            self._known, self._known_of = {}, self.served
        found = self._known.get(line)
        if found is None:
            found = self._known[line] = answers_to(line, self.served, self._dialect)
        return found

    # --- The conversation ------------------------------------------------------------------------

    def _advance(self) -> None:
        """Read on, as far as what was received goes."""
        if self._is_over:
            return
        try:
            next(self._steps)
        except BrokenRule as broken:
            self._violate(broken)
            self._is_over = True
        except NotJudgedError:
            self._is_over = True

    def _conversation(self) -> Steps:
        while not self._ending:
            while not self._reader.buffer:
                yield
            if not self._pending:
                self._take_unasked()
            request = self._pending[0]
            self._asked = request.line
            self._ending = yield from self._reply(request)
            self._pending.popleft()
            self.replies += 1
        while not self._reader.buffer:
            yield
        requirement = "HFTP-1.5" if self._asked.endswith(b"\n") else self._ending
        raise BrokenRule(Kind.EXTRA, requirement, _END, shown(bytes(self._reader.buffer)))

    def _take_unasked(self) -> None:
        """Judge bytes that come before a line is complete: one that is malformed, or long, may be refused early."""
        if not is_plain(self._unfinished):
            raise NotJudgedError
        is_first = not self.replies and not self._unfinished
        requirement = "HFTP-2.6" if is_first else "HFTP-2.3"
        raise BrokenRule(Kind.EXTRA, requirement, Message("nothing more"), shown(bytes(self._reader.buffer)))

    def _reply(self, request: Request) -> Generator[None, None, str]:
        """Read a reply; return the requirement by which the connection ends after it, or nothing if it goes on."""
        code = yield from self._status(request)
        answers = request.answers
        self.choices.observe(answers.point, code)
        if code == 0:
            yield from read_body(answers.body, self._reader, self._dialect)
            return "HFTP-3.6" if answers.closes else ""
        if code == _FAILED and self._dialect != "2026":
            raise NotJudgedError  # whether it closes then is not certain
        return "HFTP-2.7" if code in _FATAL else ""

    def _status(self, request: Request) -> Generator[None, None, int]:
        line = yield from self._reader.line("HFTP-2.1", _STATUS_LINE)
        found = _STATUS.fullmatch(line)
        if found is None:
            raise BrokenRule(Kind.MALFORMED, "HFTP-2.1", _STATUS_LINE, shown(line))
        code, text = int(found[1]), found[2]
        if code not in CODES:
            raise BrokenRule(Kind.STATUS, "HFTP-2.2", Message("a known status"), shown(line))
        if not text.startswith(b" ") or len(text) < _SHORTEST_TEXT_BYTES:
            expected = Message("a code, a space and some text")
            self._violate(BrokenRule(Kind.MALFORMED, "HFTP-2.5", expected, shown(line)))
        if (broken := request.answers.broken(code)) is not None:
            wrong = BrokenRule(Kind.STATUS, broken.requirement, _status_of(broken), shown(line))
            if self._level(broken.requirement) == "MUST":
                raise wrong
            self._violate(wrong)
        return code

    # --- Judgement -------------------------------------------------------------------------------

    def _level(self, requirement: str) -> str:
        return specification()[requirement].levels[self._dialect]

    def _violate(self, broken: BrokenRule) -> None:
        """Keep the first violation; of a MUST rather than of anything else."""
        level = self._level(broken.requirement)
        if self.violation is not None and (self.violation.level == "MUST" or level != "MUST"):
            return
        asked = self._pending[0].line if self._pending else self._asked
        self.violation = Violation(broken.requirement, level, broken.kind, broken.expected, broken.got, asked)

    def _may_end(self) -> bool:
        """Return whether the server may close now, before it has answered quit or a fatal error."""
        if self.is_half_closed:
            return all(row.is_cut for row in self._pending) and not self._reader.buffer
        return not (self.replies or self._pending or is_plain(self._unfinished) and self._unfinished)  # noqa: RUF021

    def _has_fatal_request(self) -> bool:
        return any(not row.answers.codes - {100, 101, 199} for row in self._pending)

    def _requirement_of_silence(self) -> str:
        """Return the requirement that is broken if what is pending gets no reply."""
        if self.is_half_closed:
            return "HFTP-1.14"
        if not self._pending:
            return "HFTP-2.8"
        request = self._pending[0]
        is_plain_command = self._level(request.answers.rules[0].requirement) == "MUST" and is_plain(request.line)
        return "HFTP-1.6" if self.replies and is_plain_command else request.answers.rules[0].requirement

    def _expected(self) -> Message:
        if not self._pending:
            return Message("the connection to stay open")
        return Message("the reply to {line}", line=shown(self._pending[0].line))


def _status_of(broken: Rule) -> Message:
    codes = " / ".join(str(code) for code in sorted(broken.codes))
    return Message("status {codes}", codes=codes)

"""Request each kind of reply from a server, and learn its constant deviations."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from conformance.client.bodies import INSTEAD
from conformance.client.client import CODES, FATAL
from conformance.fixtures.base import Fixture
from conformance.target.findings import Findings
from conformance.target.probe import STATUS, Answer, Probe, SliceSample, slice_forms

_LONGEST_EXTRA_BYTES: Final = 200
_TIMES: Final = 3
"""How often a deviation has to be observed before it counts as constant."""
_Found = TypeVar("_Found")
_Error = tuple[int | None, bytes | None, bool, bytes, bool]
"""The code, the status line if malformed, whether it ends in a bare LF, extra bytes, whether the connection closes."""


class DeviationLearner:
    """Learns the findings of one server."""

    def __init__(self, probe: Probe, dialect: str, text: Fixture | None) -> None:
        self.findings = Findings(dialect, probe.greeting, probe.echoes)
        self._probe = probe
        self._dialect = dialect
        self._text = text

    @property
    def fatal_codes(self) -> list[int]:
        """The fatal codes that can be provoked; they come last, because each may exhaust a server."""
        return [code for code in self._questions() if code in FATAL]

    def ask(self, samples: Sequence[SliceSample]) -> None:
        """Request every kind of reply except fatal ones and slices, and learn from `samples`, the slices."""
        for code in self._questions():
            if code not in FATAL:
                self.ask_for(code)
        self._learn_quit()
        self._learn_names("get_file_listing")
        if self._dialect == "2026":
            self._learn_names("help")
        if self._text is not None:
            self._learn_size(self._text)
            if self._dialect == "2026" and self._text.content is not None:
                self._learn_raw(self._text, self._text.content.read(0, 5))
        self._learn_slices(samples)

    def _questions(self) -> dict[int, list[bytes]]:
        """Return requests by the error that answers them; the first one of each is always sent."""
        words = self._probe.words
        questions = {
            200: [words.unknown, words.unknown_word + b" a b"],
            201: [b"get_metadata", b"get_slice", b"get_file_listing now"],
            202: [b"get_metadata " + words.missing, b"get_slice %b 0 1" % words.missing],
            100: [b"qui\nt", b"get_meta\ndata"],
        }
        if self._dialect == "2026":
            questions[101] = [b""]
        if self._text is not None:
            name, size = self._text.name, self._text.size
            questions[201].append(b"get_slice %b x y" % name)
            questions[203] = [b"get_slice %b %d 1" % (name, size), b"get_slice %b 0 %d" % (name, size + 1)]
        return questions

    # --- Errors ----------------------------------------------------------------------------------

    def ask_for(self, wanted: int) -> None:
        """Provoke an error, and again if the first reply shows a deviation."""
        lines = self._questions()[wanted]
        first = self._probe.ask(lines[0])
        if self._is_right(first, wanted):
            self.findings.asked.add(str(wanted))
            return
        again = (lines[1:] + lines * _TIMES)[: max(_TIMES, len(lines)) - 1]
        facts = {self._facts(answer, wanted) for answer in (first, *map(self._probe.ask, again))}
        self.findings.stays_open |= self._probe.stays_open
        if len(facts) == 1:
            self._learn_error(wanted, facts.pop())

    def _learn_error(self, wanted: int, facts: _Error) -> None:
        code, line, is_bare, extra, closes = facts
        if code is None or (code != wanted and (code == 0 or code not in CODES or (wanted in FATAL) > (code in FATAL))):
            return  # a non-fatal code means that the server did not detect a fatal error
        if line is not None:
            self.findings.add_line(line, wanted)
        if code != wanted:
            self.findings.codes[wanted] = code
        if is_bare:
            self.findings.bare.add("status")
        if str(code) not in self.findings.stays_open:
            self._take(str(code), extra)
        if closes and code not in FATAL:
            self.findings.closes.add(str(code))

    def _is_right(self, answer: Answer, wanted: int) -> bool:
        """Return whether an error reply is right, with nothing to learn."""
        is_over = answer.ending == ("quit" if wanted not in FATAL else "end")
        return STATUS.fullmatch(answer.status) is not None and answer.code == wanted and not answer.rest and is_over

    def _facts(self, answer: Answer, wanted: int) -> _Error:
        """Return the facts of a reply; the code is None if it was not understood."""
        line = answer.status
        is_bare = line.endswith(b"\n") and not line.endswith(b"\r\n")
        whole = line[:-1] + b"\r\n" if is_bare else line
        found = STATUS.fullmatch(whole)
        if not line or not (answer.ending in {"quit", "end", "reset"} or answer.code in FATAL):
            return None, None, False, b"", False
        code = int(found[1][:9]) if found else wanted
        return code, None if found else whole[:-2], is_bare, answer.rest, answer.ending in {"end", "reset"}

    # --- Successes -------------------------------------------------------------------------------

    def _learn_quit(self) -> None:
        """Learn from the reply to quit, which the probe has already."""
        self.findings.stays_open |= self._probe.stays_open
        self.findings.is_quit_silent = self._probe.is_quit_silent
        raw = self._probe.quit_reply
        code, line, is_bare, extra, _ = self._facts(Answer(b"quit", raw, "end"), 0)
        if code != 0:
            return
        if line is not None:
            self.findings.add_line(line, 0)
        if is_bare:
            self.findings.bare.add("status")
        self._take("quit", extra)

    def _always(self, line: bytes, reply: str, read: Callable[[bytes], _Found | None], usual: _Found) -> _Found | None:
        """Return what `read` gets from the body of a success; repeat the request unless it is `usual`.

        Returns None if it is not a success, cannot be read, or is not the same each time.
        """
        found = self._read(line, read)
        if found is None or (
            found != (usual, False) and any(self._read(line, read) != found for _ in range(_TIMES - 1))
        ):
            return None
        if found[1]:
            self.findings.closes.add(reply)
        return found[0]

    def _read(self, line: bytes, read: Callable[[bytes], _Found | None]) -> tuple[_Found, bool] | None:
        answer = self._probe.ask(line)
        code, form, is_bare, rest, closes = self._facts(answer, 0)
        if code != 0 or (form is not None and self.findings.lines.get(form) != 0):
            return None
        if is_bare and "status" not in self.findings.bare:
            return None
        found = read(rest)
        return None if found is None else (found, closes)

    def _learn_names(self, command: str) -> None:
        found = self._always(command.encode(), command, _after_names, (b"", False))
        if found is not None:
            extra, is_bare = found
            if is_bare:
                self.findings.bare.add("listing")
            self._take(command, extra)

    def _learn_size(self, text: Fixture) -> None:
        def read(rest: bytes) -> tuple[bytes, bytes, bytes, bool] | None:
            line, end, extra = rest.partition(b"\n")
            prefix, digits, suffix = line.removesuffix(b"\r").partition(b"%d" % text.size)
            if not end or not digits or any(byte in b"0123456789" for byte in prefix + suffix):
                return None
            return prefix, suffix, extra, not line.endswith(b"\r")

        found = self._always(b"get_metadata " + text.name, "get_metadata", read, (b"", b"", b"", False))
        if found is not None:
            prefix, suffix, extra, is_bare = found
            self.findings.size_form = prefix, suffix
            if is_bare:
                self.findings.bare.add("size")
            self._take("get_metadata", extra)

    def _learn_raw(self, text: Fixture, data: bytes) -> None:
        head = b"Content-Length: %d\r\n\r\n%b" % (len(data), data)

        def read(rest: bytes) -> bytes | None:
            return rest[len(head) :] if rest.startswith(head) else None

        extra = self._always(b"get_slice %b 0 %d raw" % (text.name, len(data)), "raw", read, b"")
        if extra is not None:
            self._take("raw", extra)

    def _learn_slices(self, samples: Sequence[SliceSample]) -> None:
        own = "2019" if self._dialect == "2026" else self._dialect
        for form in (own, *(form for form in INSTEAD if form != own)):
            extras = self._slices_in(form, samples)
            if len(extras) != 1 or (form != own and any(sample.data is None for sample in samples)):
                continue
            extra, closes, is_bare = extras.pop()
            if is_bare:
                self.findings.bare.add("slice")
            if form not in {own, "lines"} or (form == "lines" and self._dialect != "2026"):
                self.findings.slice_form = form
            self._take("get_slice", extra)
            if closes:
                self.findings.closes.add("get_slice")
            return

    def _slices_in(self, form: str, samples: Sequence[SliceSample]) -> set[tuple[bytes, bool, bool]]:
        """Return the extra bytes, whether the server closes, and bare LFs, if all slices have a form; else nothing."""
        extras = set()
        for sample in samples:
            code, _, _, body, closes = self._facts(sample.answer, 0)
            is_bare = form == "2019" and body.count(b"\n") == 1 and body.endswith(b"\n") and b"\r" not in body
            if is_bare:
                body = body[:-1] + b"\r\n"
            after = slice_forms(body, sample, [form]).get(form)
            if code != 0 or after is None:
                return set()
            extras.add((after, closes, is_bare))
        return extras

    def _take(self, reply: str, extra: bytes) -> None:
        """Keep the extra bytes after a reply."""
        self.findings.asked.add(reply)
        if extra and len(extra) <= _LONGEST_EXTRA_BYTES:
            self.findings.extras[reply] = extra


def _after_names(rest: bytes) -> tuple[bytes, bool] | None:
    """Return the extra bytes after the empty line that ends a listing, and whether its lines end in a bare LF."""
    for end in (b"\r\n", b"\n"):
        body = end + rest
        position = body.find(end * 2)
        if position >= 0 and (end == b"\r\n" or b"\r" not in body):
            return body[position + 2 * len(end) :], end == b"\n"
    return None

"""Turns the answers of an interview into the deviations that a server always shows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from conformance.bodies import INSTEAD
from conformance.client import CODES, FATAL, UNKNOWN
from conformance.deviations import Deviation, Form
from conformance.fixtures import Fixture
from conformance.interview import MISSING, STATUS, Answer, Interviewer, SliceSample, described, slice_forms
from conformance.record import shown

_LONGEST_EXTRA_BYTES: Final = 200
_REQUIREMENTS: Final[Mapping[str, str]] = {
    "quit": "HFTP-3.6",
    "help": "HFTP-3.8",
    "get_file_listing": "HFTP-4.1",
    "get_metadata": "HFTP-5.1",
    "raw": "HFTP-6.8",
}
_SLICE_REQUIREMENTS: Final = {"2018": "HFTP-6.10", "2016": "HFTP-6.11"}
_CODE_REQUIREMENTS: Final = {
    100: "HFTP-1.2",
    101: "HFTP-1.7",
    200: "HFTP-3.1",
    201: "HFTP-3.3",
    202: "HFTP-3.4",
    203: "HFTP-6.4",
}


class Learner:
    """What is gathered of the replies of one server; `deviations` draws the conclusions."""

    def __init__(self, interviewer: Interviewer, dialect: str, text: Fixture | None) -> None:
        self._interviewer = interviewer
        self._dialect = dialect
        self._text = text
        self._extras: dict[str, bytes] = {}
        self._lines: dict[bytes, int] = {}  # status lines of another form, and the codes that they stand for
        self._codes: dict[int, int] = {}
        self._bare: set[str] = set()
        self._closes: set[str] = set()
        self._slice_form = ""
        self._size_form: tuple[bytes, bytes] | None = None
        self._whole: set[str] = set()  # the replies that have been asked for

    # --- Asking ----------------------------------------------------------------------------------

    @property
    def fatal_codes(self) -> list[int]:
        """The fatal codes that can be asked for; a server may be used up by each, so they are asked for at last."""
        return [code for code in self._questions() if code in FATAL]

    def ask_for(self, code: int) -> None:
        """Ask for an error."""
        self._hear_error(code, self._questions()[code])

    def ask(self, samples: Sequence[SliceSample]) -> None:
        """Ask for every kind of reply but fatal ones; the slices have been asked for."""
        for code in self._questions():
            if code not in FATAL:
                self.ask_for(code)
        self._hear_quit()
        self._hear_names("get_file_listing")
        if self._dialect == "2026":
            self._hear_names("help")
        if self._text is not None:
            self._hear_size(self._text)
            if self._dialect == "2026" and self._text.content is not None:
                self._hear_raw(self._text, self._text.content.read(0, 5))
        self._hear_slices(samples)

    def _questions(self) -> dict[int, list[bytes]]:
        """Return what is to be answered by each error; the first question of each is asked in any case."""
        questions = {
            200: [UNKNOWN, b"frobnicate a b"],
            201: [b"get_metadata", b"get_slice", b"get_file_listing now"],
            202: [b"get_metadata " + MISSING, b"get_slice %b 0 1" % MISSING],
            100: [b"qui\nt", b"get_meta\ndata"],
        }
        if self._dialect == "2026":
            questions[101] = [b""]
        if self._text is not None:
            name, size = self._text.name, self._text.size
            questions[201].append(b"get_slice %b x y" % name)
            questions[203] = [b"get_slice %b %d 1" % (name, size), b"get_slice %b 0 %d" % (name, size + 1)]
        return questions

    def _hear_error(self, wanted: int, lines: Sequence[bytes]) -> None:
        """Ask what is to be answered by an error; the other questions are asked if the first shows a deviation."""
        answers = [self._interviewer.ask(lines[0])]
        if self._is_right(answers[0], wanted):
            self._whole.add(str(wanted))
            return
        answers += [self._interviewer.ask(line) for line in lines[1:]]
        facts = {self._facts(answer, wanted) for answer in answers}
        if len(facts) != 1:
            return  # not the same each time: no rule
        code, line, is_bare, extra, closes = facts.pop()
        if code is None or (code != wanted and (code == 0 or code not in CODES)):
            return
        if line is not None:
            self._lines[line] = wanted
        if code != wanted:
            self._codes[wanted] = code
        if is_bare:
            self._bare.add("status")
        self._take(str(code), extra)
        if closes and code not in FATAL:
            self._closes.add(str(code))

    def _is_right(self, answer: Answer, wanted: int) -> bool:
        """Tell whether there is nothing to learn from an error reply."""
        is_over = answer.ending == ("quit" if wanted not in FATAL else "end")
        return answer.code == wanted and not answer.rest and is_over

    def _facts(self, answer: Answer, wanted: int) -> tuple[int | None, bytes | None, bool, bytes, bool]:
        """Return the code, the status line if it has another form, if it ends in LF, what follows, and if it closes."""
        line = answer.status
        is_bare = line.endswith(b"\n") and not line.endswith(b"\r\n")
        whole = line[:-1] + b"\r\n" if is_bare else line
        found = STATUS.fullmatch(whole)
        is_known = answer.ending in {"quit", "end", "reset"} or (answer.code in FATAL)
        if not is_known or not line:
            return None, None, False, b"", False
        closes = answer.ending in {"end", "reset"}
        code = int(found[1][:9]) if found else wanted
        return code, None if found else whole[:-2], is_bare, answer.rest, closes

    def _hear_quit(self) -> None:
        """Look at the reply to quit, which is known already."""
        raw = self._interviewer.quit_reply
        code, line, is_bare, extra, _ = self._facts(Answer(b"quit", raw, "end"), 0)
        if code != 0:
            return
        if line is not None:
            self._lines[line] = 0
        if is_bare:
            self._bare.add("status")
        self._take("quit", extra)

    def _success(self, line: bytes, reply: str) -> Answer | None:
        """Ask for something that is there; return the answer if it is a success, whole, and the same way twice."""
        answer = self._interviewer.ask(line)
        code, form, is_bare, _, closes = self._facts(answer, 0)
        if code != 0 or (form is not None and self._lines.get(form) != 0):
            return None
        if is_bare:
            self._bare.add("status")
        if closes:
            self._closes.add(reply)
        return answer

    def _hear_names(self, command: str) -> None:
        answer = self._success(command.encode(), command)
        if answer is None:
            return
        for end in (b"\r\n", b"\n"):
            body = end + answer.rest
            position = body.find(end * 2)
            if position >= 0 and (end == b"\r\n" or b"\r" not in body):
                if end == b"\n":
                    self._bare.add("listing")
                self._take(command, body[position + 2 * len(end) :])
                return

    def _hear_size(self, text: Fixture) -> None:
        answer = self._success(b"get_metadata " + text.name, "get_metadata")
        if answer is None:
            return
        line, end, extra = answer.rest.partition(b"\n")
        if not end:
            return
        if not line.endswith(b"\r"):
            self._bare.add("size")
        line = line.removesuffix(b"\r")
        prefix, digits, suffix = line.partition(b"%d" % text.size)
        if not digits or any(byte in b"0123456789" for byte in prefix + suffix):
            return
        if prefix or suffix:
            self._size_form = prefix, suffix
        self._take("get_metadata", extra)

    def _hear_raw(self, text: Fixture, data: bytes) -> None:
        answer = self._success(b"get_slice %b 0 %d raw" % (text.name, len(data)), "raw")
        head = b"Content-Length: %d\r\n\r\n%b" % (len(data), data)
        if answer is not None and answer.rest.startswith(head):
            self._take("raw", answer.rest[len(head) :])

    def _hear_slices(self, samples: Sequence[SliceSample]) -> None:
        own = "2019" if self._dialect == "2026" else self._dialect
        for form in (own, *(form for form in INSTEAD if form != own)):
            extras = self._slices_in(form, samples)
            if len(extras) != 1 or (form != own and not self._are_known(samples)):
                continue
            extra, closes = extras.pop()
            if form not in {own, "lines"} or (form == "lines" and self._dialect != "2026"):
                self._slice_form = form
            self._take("get_slice", extra)
            if closes:
                self._closes.add("get_slice")
            return

    def _slices_in(self, form: str, samples: Sequence[SliceSample]) -> set[tuple[bytes, bool]]:
        """Return what follows the slices if all of them come in a form, and whether the server closes then."""
        extras = set()
        for sample in samples:
            code, _, _, _, closes = self._facts(sample.answer, 0)
            after = slice_forms(sample.answer.rest, sample, [form]).get(form)
            if code != 0 or after is None:
                return set()
            extras.add((after, closes))
        return extras

    def _are_known(self, samples: Sequence[SliceSample]) -> bool:
        """Tell whether the bytes of the slices are known, without which another form would be a guess."""
        return all(sample.data is not None for sample in samples)

    def _take(self, reply: str, extra: bytes) -> None:
        """Keep what follows a reply."""
        self._whole.add(reply)
        if extra and len(extra) <= _LONGEST_EXTRA_BYTES:
            self._extras[reply] = extra

    # --- Concluding ------------------------------------------------------------------------------

    def deviations(self) -> Iterator[Deviation]:
        """Yield what the server always does otherwise, each thing once."""
        interviewer = self._interviewer
        if interviewer.greeting:
            text = f"the server says {shown(interviewer.greeting)} when a client connects"
            yield Deviation("HFTP-2.6", text, Form.GREETING, {"connect": interviewer.greeting})
        if interviewer.echoes:
            yield Deviation(
                "HFTP-2.1", "each command line is sent back before it is answered", Form.ECHO, {"line": b""}
            )
        yield from self._status_lines()
        yield from self._extra()
        yield from self._substitutes()
        yield from self._ends()
        if self._bare:
            requirement = (
                "HFTP-2.1"
                if "status" in self._bare
                else {"listing": "HFTP-4.1", "size": "HFTP-5.1", "slice": "HFTP-6.1"}[min(self._bare)]
            )
            of_what = "all lines" if len(self._bare) > 1 else {"status": "status lines"}.get(min(self._bare), "lines")
            text = f"{of_what} of replies end in LF alone"
            yield Deviation(requirement, text, Form.BARE_LF, dict.fromkeys(self._bare, b""))
        if self._size_form is not None:
            prefix, suffix = self._size_form
            text = f"a size has {' and '.join(described(part) for part in (prefix, suffix) if part)} around its digits"
            yield Deviation("HFTP-5.1", text, Form.SIZE, {"prefix": prefix, "suffix": suffix})

        if self._slice_form:
            requirement = _SLICE_REQUIREMENTS.get(self._dialect, "HFTP-6.1")
            if self._slice_form.startswith("lines") and self._dialect == "2019":
                requirement = "HFTP-6.7"
            text = f"a slice comes {INSTEAD[self._slice_form]}"
            yield Deviation(requirement, text, Form.SLICE, {"get_slice": self._slice_form.encode()})

    def _status_lines(self) -> Iterator[Deviation]:
        if not self._lines:
            return
        codes = sorted(self._lines.values())
        if len(set(codes)) != len(codes) or any(not line for line in self._lines):
            return
        lines = ", ".join(shown(line) for line in self._lines)
        text = f"the status line is {lines}, which is not CODE SP TEXT"
        replies = {line.decode("latin-1"): b"%d" % code for line, code in self._lines.items()}
        yield Deviation("HFTP-2.1", text, Form.STATUS_LINE, replies)

    def _extra(self) -> Iterator[Deviation]:
        """Yield what follows replies: one deviation for all that are followed by the same, else one a kind."""
        extras = dict(self._extras)
        if len(set(extras.values())) == 1 and len(self._whole) > 3 and set(extras) == self._whole:  # noqa: PLR2004
            extra = next(iter(extras.values()))
            yield Deviation("HFTP-2.3", f"{described(extra)} follows each reply", Form.EXTRA, extras)
            return
        errors = {reply: extra for reply, extra in extras.items() if reply.isdigit()}
        for extra in dict.fromkeys(errors.values()):
            replies = {reply: extra for reply, own in errors.items() if own == extra}
            text = f"{described(extra)} follows the status line of {_listed(sorted(replies))}"
            yield Deviation("HFTP-2.3", text, Form.EXTRA, replies)
        for reply, extra in extras.items():
            if not reply.isdigit():
                requirement = _REQUIREMENTS.get(reply) or _SLICE_REQUIREMENTS.get(self._dialect, "HFTP-6.1")
                name = "get_slice ... raw" if reply == "raw" else reply
                yield Deviation(
                    requirement, f"{described(extra)} follows the reply to {name}", Form.EXTRA, {reply: extra}
                )

    def _substitutes(self) -> Iterator[Deviation]:
        sent = list(self._codes.values())
        for wanted, code in self._codes.items():
            if sent.count(code) == 1:
                text = f"the server always answers {code} where {wanted} {CODES[wanted]} belongs"
                yield Deviation(_CODE_REQUIREMENTS[wanted], text, Form.CODE, {str(wanted): b"%d" % code})

    def _ends(self) -> Iterator[Deviation]:
        open_after = self._interviewer.stays_open
        if "quit" in open_after:
            yield Deviation("HFTP-3.6", "the connection stays open after quit", Form.STAYS_OPEN, {"quit": b""})
        if fatal := sorted(open_after - {"quit"}):
            text = f"the connection stays open after {_listed(fatal)}"
            yield Deviation("HFTP-2.7", text, Form.STAYS_OPEN, {"fatal": b""})
        if self._closes:
            text = f"the connection closes after {_listed(sorted(self._closes))}"
            yield Deviation("HFTP-2.8", text, Form.CLOSES, dict.fromkeys(self._closes, b""))


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"

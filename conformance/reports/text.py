"""Texts that several reports share: outcomes, explanations, and the recorded traffic as lines."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from conformance.client.recording import WireEntry, escape
from conformance.client.status import CODES
from conformance.language import Message, gettext, translated
from conformance.model.events import DiagnosedCause, Diagnosis, Event, Result, RunEnd, RunStart
from conformance.model.tracebacks import error_line
from conformance.model.verdicts import Exit, Verdict
from conformance.printable import printable
from conformance.reports.wording import (
    CAUSES,
    GOT,
    GOT_INSTEAD,
    GOT_PRINTED,
    JUDGED_AS,
    ONE_CAUSE,
    ONE_WOULD_FAIL,
    WOULD_FAIL,
    counted,
)

MOMENTS: Final = 100
"""Maximum lines of recorded traffic per scenario in a report; the event stream has everything."""
SHORT_BYTES: Final = 8
PIECES: Final = 40
"""Maximum number of short pieces on one line."""
PAYLOAD_BYTES: Final = 400
"""How many bytes of one payload a report shows."""

VERDICTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        Exit.CONFORMANT: Message("conformant"),
        Exit.NOT_CONFORMANT: Message("not conformant"),
        Exit.INCOMPLETE: Message("incomplete: nothing failed, but some scenarios did not run"),
        Exit.SUITE_FAULT: Message("no verdict: the suite itself failed"),
        Exit.USAGE: Message("no verdict: the server did not start"),
    }
)
EXPLAINED: Final = (Verdict.FAIL, Verdict.ERROR, Verdict.WARN, Verdict.FLAKY)
"""The verdicts that need an explanation, the most serious first."""
_SHORTEST: Final = 20
"""How many characters of a text are left at least if it is cut."""
_LINE_END: Final = r"\r\n"
_NAMED_CODE: Final = re.compile(rf"\b(\d{{1,3}}) (?:{'|'.join(CODES.values())})\b")
GIVEN: Final = "--dialect"
"""The basis of a dialect that was not inferred."""
PRINTED: Final = Message("the server printed:")
CUT_SHORT: Final = Message("cut short: the recording has no end, and the remaining scenarios did not run")


def judged_as(start: RunStart | None, end: RunEnd | None) -> str:
    """Return a note about an inferred dialect, and what another one would say; empty if the dialect was given."""
    notes = list(notes_on_dialect(start, end))
    return f", {'; '.join(notes)}" if notes else ""


def notes_on_dialect(start: RunStart | None, end: RunEnd | None) -> Iterator[str]:
    """Yield how the dialect was inferred, and what other ones would say; nothing if it was given."""
    if start is not None and start.dialect_basis and start.dialect_basis != GIVEN:
        yield gettext(JUDGED_AS, dialect=start.dialect, basis=start.dialect_basis)
        yield from would_fail(end)


def would_fail(end: RunEnd | None) -> Iterator[str]:
    """Yield what other dialects would say of the server, at least."""
    for dialect, scenarios in (end.would_fail if end is not None else {}).items():
        yield counted(len(scenarios), ONE_WOULD_FAIL, WOULD_FAIL, dialect=dialect)


@dataclass
class Run:
    """A whole run, collected from its events."""

    start: RunStart
    results: list[Result] = field(default_factory=list)
    end: RunEnd | None = None
    diagnosis: Diagnosis | None = None

    @property
    def name(self) -> str:
        """The name of the server; earlier suites recorded its address only."""
        return self.start.name or self.start.target

    @property
    def causes(self) -> list[DiagnosedCause]:
        """The causes of the failures."""
        return self.diagnosis.causes if self.diagnosis is not None else []

    @property
    def verdict(self) -> str:
        """The verdict as a phrase."""
        if self.end is None:
            return translated(CUT_SHORT)
        return translated(VERDICTS.get(self.end.exit, Message("exit status {status}", status=int(self.end.exit))))

    @property
    def outcome(self) -> str:
        """The verdict, with the dialect if that was inferred."""
        return self.verdict + judged_as(self.start, self.end) if self.end is not None else self.verdict

    @property
    def facts(self) -> dict[str, str]:
        """The facts that identify the run, by name."""
        start = self.start
        return {
            "suite": start.suite,
            "catalogue": start.catalogue,
            "seed": str(start.seed),
            "dialect": start.dialect,
            "dialect basis": start.dialect_basis,
            "other dialects": "; ".join(would_fail(self.end)),
            "deviations": "; ".join(start.deviations),
            "target": start.target,
            "sandbox": start.sandbox,
            "fixtures": start.fixtures,
            "concurrent": gettext("yes") if start.is_concurrent else gettext("no"),
            "selected": str(start.selected),
            "deselected": " ".join(start.deselected),
            "command": start.command,
            "schema": start.schema,
        }


def gathered(events: Iterable[Event]) -> list[Run]:
    """Collect the runs of an event stream; usually there is one."""
    runs: list[Run] = []
    for event in events:
        if isinstance(event, RunStart):
            runs.append(Run(event))
        elif runs and isinstance(event, Result):
            runs[-1].results.append(event)
        elif runs and isinstance(event, Diagnosis):
            runs[-1].diagnosis = event
        elif runs and isinstance(event, RunEnd):
            runs[-1].end = event
    return runs


def failures_of(run: Run) -> list[Result]:
    """Return what went wrong, the most serious first, without known failures."""
    return [row for verdict in EXPLAINED for row in run.results if row.verdict == verdict and not row.known]


def explained(diagnosis: Diagnosis | None) -> str:
    """Return how many causes explain how many failures; empty if there is no cause."""
    if diagnosis is None or not diagnosis.causes:
        return ""
    causes, explained_, failures = len(diagnosis.causes), diagnosis.explained, diagnosis.failures
    return counted(causes, ONE_CAUSE, CAUSES, causes=causes, explained=explained_, failures=failures)


def at_a_glance(template: str, result: Result, room: int, **values: str) -> str:
    """Fill a template with the id of a scenario, and what was sent, got and expected, or printed instead of a reply.

    The text is as long as `room` at most: the names of status codes are left out first, then what was expected.
    """
    sent = printable(result.sent).removesuffix(_LINE_END).replace(f"{_LINE_END} (", " (")
    got, expected, printed_ = map(printable, (result.got, result.expected, printed_error(result)))

    def filled(sentence: str) -> str:
        what = gettext(sentence, sent=sent, got=got, expected=expected, printed=printed_) if expected else got
        return gettext(template, what=what, scenario=result.scenario, **values)

    sentence = GOT_PRINTED if printed_ and not result.output_note else GOT_INSTEAD
    if len(filled(sentence)) > room:
        got, expected = _NAMED_CODE.sub(r"\1", got), _NAMED_CODE.sub(r"\1", expected)
    if len(filled(sentence)) > room and sentence is GOT_INSTEAD:
        sentence = GOT
    printed_ = shortened(printed_, len(printed_) - (len(filled(sentence)) - room))
    got = shortened(got, len(got) - (len(filled(sentence)) - room), _SHORTEST // 2)
    sent = _without_middle(sent, len(sent) - (len(filled(sentence)) - room))
    return shortened(filled(sentence), room, least=0)


def _without_middle(text: str, most: int) -> str:
    """Return a command of so many characters at most, but of some at least: its arguments matter as its name does."""
    most = max(most, _SHORTEST)
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[: most - 3 - half]}...{text[-half:]}"


def shortened(text: str, most: int, least: int = _SHORTEST) -> str:
    """Return a text of so many characters at most, but of `least` if it has as many."""
    most = max(most, least)
    return text if len(text) <= most else text[: most - 3] + "..."


def symptoms(cause: DiagnosedCause) -> str:
    """Return what shows a cause: how many scenarios, and the best of them."""
    count = len(cause.scenarios)
    if count == 1:
        return cause.example
    return gettext("{count} scenarios, such as {scenario}", count=count, scenario=cause.example)


def in_short(diagnosis: Diagnosis) -> list[str]:
    """Return the causes in lines of plain text; none if there is no cause."""
    if not diagnosis.causes:
        return []
    lines = [explained(diagnosis)]
    for cause in diagnosis.causes:
        lines += [f"  {gettext(cause.severity):<12} {cause.title}", f"  {'':<12} {symptoms(cause)}; {advice(cause)}"]
    return lines


def advice(cause: DiagnosedCause) -> str:
    """Return where to read how to mend a cause."""
    command = f"conformance explain {cause.id}"
    return gettext("how to mend it: {command}", command=command)


def explanation(result: Result) -> Iterator[tuple[str, str]]:
    """Yield the explanation of a result as pairs of an English name and a text, from the requirement on."""
    yield result.requirement, f"{result.level}: {result.text}"
    for name, value in (
        ("sent", result.sent),
        ("expected", result.expected),
        ("got", result.got),
        ("likely", result.cause),
        ("known", result.known),
    ):
        if value:
            yield name, value
    for command in result.reproduce:
        yield "again", command


def printed(result: Result) -> list[str]:
    """Return the lines that the server printed during a scenario, and what to know about them; empty if none."""
    lines = result.output.rstrip().split("\n") if result.output.strip() else []
    return [*lines, *([f"({result.output_note})"] if result.output_note else [])] if lines else []


def printed_error(result: Result) -> str:
    """Return the error that the server printed during a scenario, and what to know about it; empty if there is none."""
    error = error_line(result.output)
    return f"{error} ({result.output_note})" if error and result.output_note else error


def full_rows(result: Result, *, with_output: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the explanation of a result, and the error that the server printed, or all that it did."""
    yield from explanation(result)
    if not with_output:
        if error := printed_error(result):
            yield "printed", error
        return
    for number, line in enumerate(printed(result)):
        yield "" if number else "printed", line


def in_full(result: Result, *, with_output: bool = True) -> str:
    """Return the explanation of a result, the recorded traffic and the server's output, in printable lines."""
    lines = [f"{gettext(name):<9} {value}" for name, value in explanation(result)]
    lines += ["", *(f"{mark} {text}" for mark, text in traffic(result.transcript))] if result.transcript else []
    lines += (
        ["", translated(PRINTED), *(f"  {line}" for line in printed(result))] if with_output and printed(result) else []
    )
    return "\n".join(map(printable, lines))


def traffic(transcript: Iterable[WireEntry]) -> Iterator[tuple[str, str]]:
    """Yield the recorded traffic as pairs of a mark and a text.

    The mark is `1 C` for what client 1 sends, `1 S` for what the server sends to it, and `1 -` for other events.
    Consecutive short pieces share a line, separated by ` | `.
    """
    pieces: list[str] = []
    speaker = 0
    lines = 0
    for entry in transcript:
        is_short = entry.what == "sent" and (entry.size or 0) <= SHORT_BYTES
        if pieces and not (is_short and entry.peer == speaker and len(pieces) < PIECES):
            yield f"{speaker} C", " | ".join(pieces)
            pieces.clear()
            lines += 1
        if lines >= MOMENTS:
            yield "0 -", gettext("truncated; the event stream has the rest")
            return
        if is_short:
            speaker = entry.peer
            pieces.append(_payload(entry))
        else:
            yield _line(entry)
            lines += 1
    if pieces:
        yield f"{speaker} C", " | ".join(pieces)


def _line(entry: WireEntry) -> tuple[str, str]:
    side = {"sent": "C", "received": "S"}.get(entry.what)
    if side is not None:
        return f"{entry.peer} {side}", _payload(entry)
    what = gettext(entry.what)
    note = f"{what} ({entry.note})" if entry.note else what
    return f"{entry.peer} -", entry.note if entry.what == "note" else note


def _payload(entry: WireEntry) -> str:
    known = entry.head if entry.data is None else entry.data
    text = escape((known or "").encode("latin-1"), entry.size, PAYLOAD_BYTES)
    return text if entry.data is not None else f"{text} SHA-256 {(entry.sha256 or '')[:16]}..."

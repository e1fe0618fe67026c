"""The event stream of a run, from which all reports are made.

The schema, version 1. Each event is a JSON object with `type` and the fields of its class below.

| type | when | fields |
|---|---|---|
| `run-start` | first, once | the server, the suite and its options, and the deselected scenarios |
| `scenario-start` | a scenario starts | `scenario` |
| `result` | a scenario ended, once for each | everything about it |
| `diagnosis` | all results are there, once | what is wrong with the server, of which the failures are symptoms |
| `run-end` | last, once; missing if the suite was killed | counts, exit status, problems |

In a file each line also has `chain`, which `conformance.reports.ndjson` describes.

Within a version, types of events and fields may be added, but none is removed or changes its meaning. Readers ignore
unknown fields, and check the types of the others.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from conformance.client.recording import WireEntry
from conformance.failures import UsageError
from conformance.language import Message, Recorded, from_record
from conformance.model.verdicts import Exit, Verdict

SCHEMA: Final = "hftp-conformance/1"
LINE_BYTES: Final = 1 << 24
"""The longest line of a recorded run that is read; the suite writes lines of less than a megabyte."""


class RunStart(msgspec.Struct, frozen=True, tag_field="type", tag="run-start"):
    """The server and the suite of a run."""

    suite: str
    """The suite's version."""
    catalogue: str
    """SHA-256 of the catalogue."""
    seed: int
    dialect: str
    target: str
    """The address of the server, as on the command line."""
    selected: int
    """The number of selected scenarios."""
    deselected: list[str] = msgspec.field(default_factory=list)
    """Ids of the scenarios that -t and --skip exclude."""
    is_concurrent: bool = True
    """Whether the server serves two clients at once."""
    round_trip_seconds: float = 0.0
    patience_seconds: float = 0.0
    fixtures: str = ""
    """local, found or discovered."""
    started: str = ""
    """Date and time, ISO 8601 with a time zone."""
    command: str = ""
    """The command line that repeats the run."""
    fail_on: str = "must"
    """The lowest level that fails the run: must or should."""
    dialect_basis: str = ""
    """What the dialect was inferred from, or that it was given."""
    deviations: list[str] = msgspec.field(default_factory=list)
    """The constant deviations: each is reported once, and expected by all other scenarios."""
    sandbox: str = ""
    """The protections that were in force while the server ran; empty if there were none."""
    name: str = ""
    """The name of the server: the one given by --name, or that of its folder."""
    schema: str = SCHEMA
    said: dict[str, Recorded] = msgspec.field(default_factory=dict)
    """How to say texts of this event in another language: by the text, its template, and the values in it by name."""


class ScenarioStart(msgspec.Struct, frozen=True, tag_field="type", tag="scenario-start"):
    """A scenario starts."""

    scenario: str


class Result(msgspec.Struct, frozen=True, tag_field="type", tag="result"):
    """The result of a scenario."""

    scenario: str
    requirement: str
    level: str
    verdict: Verdict
    title: str = ""
    chapter: str = ""
    text: str = ""
    """The text of the requirement."""
    kind: str = ""
    """How the server failed: a value of `conformance.failures.Kind`."""
    expected: str = ""
    got: str = ""
    """What the server sent instead; for `info`, what was observed; for a scenario that did not run, why."""
    sent: str = ""
    """The command that got it, or the last payload sent before it."""
    cause: str = ""
    """The likely cause."""
    reproduce: list[str] = msgspec.field(default_factory=list)
    """Command lines that show a failure again, the shortest last."""
    seconds: float = 0.0
    attempts: int = 1
    known: str = ""
    """The reason in the baseline, if this failure is known."""
    transcript: list[WireEntry] = msgspec.field(default_factory=list)
    """The recorded traffic."""
    output: str = ""
    """What the server printed meanwhile, if the scenario failed; the middle is left out if it is long."""
    output_note: str = ""
    """What to know about the output: that others ran meanwhile, or that the scenario provokes the error in it."""
    is_explored: bool = False
    """Whether exploring has found it at the end of a run: no grade counts it, since another run may not find it."""
    said: dict[str, Recorded] = msgspec.field(default_factory=dict)
    """As in RunStart."""


class DiagnosedCause(msgspec.Struct, frozen=True):
    """A mistake that the server probably has, from `conformance/diagnosis/causes.toml`."""

    id: str
    """The id of the cause."""
    title: str
    """What is wrong, in the words of somebody who looks at the code."""
    severity: str
    """security, data loss, wrong answer or style."""
    why: str = ""
    """Why the protocol cares."""
    fix: str = ""
    """How to mend it."""
    code: dict[str, str] = msgspec.field(default_factory=dict)
    """Code that mends it, by the name of the language."""
    scenarios: list[str] = msgspec.field(default_factory=list)
    """The failures that it explains."""
    example: str = ""
    """The one of them that shows it best."""


class Diagnosis(msgspec.Struct, frozen=True, tag_field="type", tag="diagnosis"):
    """The causes of the failures: the fewest that explain them; what is not certain enough is left out."""

    causes: list[DiagnosedCause]
    """The most serious first."""
    failures: int
    """The number of failures and warnings, except known ones."""
    explained: int
    """How many of them the causes explain."""
    unexplained: list[str] = msgspec.field(default_factory=list)
    """The others."""


class RunEnd(msgspec.Struct, frozen=True, tag_field="type", tag="run-end"):
    """The end of a run."""

    counts: dict[str, int]
    """Results by verdict; known failures of the baseline count as `known` instead."""
    exit: Exit
    seconds: float = 0.0
    problems: list[str] = msgspec.field(default_factory=list)
    """Problems of the run as a whole, such as unexpected passes and unused entries of the baseline."""
    output: str = ""
    """The tail of the server's output, if the suite started it."""
    would_fail: dict[str, list[str]] = msgspec.field(default_factory=dict)
    """If the dialect was inferred: by other dialects, ids of further scenarios that would fail, and maybe more do."""
    said: dict[str, Recorded] = msgspec.field(default_factory=dict)
    """As in RunStart."""


Event = RunStart | ScenarioStart | Result | Diagnosis | RunEnd
Sink = Callable[[Event], None]
"""Consumes events; never called by two threads at once."""

_RECORD: Final = Message("give a file that `conformance run --ndjson FILE` has written")
_DELETE: Final = Message("delete this line to read the others")
_UPDATE: Final = Message("read the file with the suite that wrote it, or update this one")


class EventError(UsageError, ValueError):
    """A line of a file is not an event; the one-line message says which, why, and what to do."""


def read_events(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events of a recorded run, an NDJSON file; raise EventError for the first line that is not one.

    A last line without its end was cut, as by a full disk: it is left out, unless it is the only one.
    """
    has_begun = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = _event(line, is_first=not has_begun)
        except (ValueError, RecursionError, msgspec.ValidationError) as error:
            is_cut = not line.endswith(b"\n") and isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
            if is_cut and has_begun:
                return
            message = Message(
                "line {number}: {error}", number=number, error=_explained(error, _DELETE if has_begun else _RECORD)
            )
            raise EventError(message) from error
        has_begun = True
        yield event
    if not has_begun:
        message = Message("line 1: the file is empty; {record}", record=_RECORD)
        raise EventError(message)


def _event(line: bytes, *, is_first: bool) -> Event:
    if len(line) > LINE_BYTES:
        message = Message("longer than {line_bytes} bytes", line_bytes=LINE_BYTES)
        raise ValueError(message)
    # Not msgspec's decoder, which rejects lone surrogates; recorded text may contain them.
    found = json.loads(line.decode())
    if isinstance(found, dict) and found.get("type") == "run-start" and found.get("schema") != SCHEMA:
        message = Message(
            "the schema is {get}, and this suite reads {schema}; {update}",
            get=repr(found.get("schema")),
            schema=repr(SCHEMA),
            update=_UPDATE,
        )
        raise EventError(message)
    event: Event = msgspec.convert(found, Event)
    if is_first and not isinstance(event, RunStart):
        message = Message("a recorded run begins with `run-start`")
        raise ValueError(message)
    return _with_messages(event)


def _with_messages(event: Event) -> Event:
    """Return an event with its texts as messages, as far as it records how to say them in another language."""
    if not isinstance(event, RunStart | Result | RunEnd) or not event.said:
        return event
    changed: dict[str, object] = {"said": {}}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, str):
            changed[name] = from_record(value, event.said.get(value))
        elif isinstance(value, list) and all(isinstance(text, str) for text in value):
            changed[name] = [from_record(text, event.said.get(text)) for text in value]
        elif name == "transcript":
            changed[name] = [_with_note(entry, event.said) for entry in value]
    return msgspec.structs.replace(event, **changed)


def _with_note(entry: WireEntry, said: Mapping[str, Recorded]) -> WireEntry:
    return (
        msgspec.structs.replace(entry, note=from_record(entry.note, said[entry.note])) if entry.note in said else entry
    )


def _explained(error: Exception, advice: str) -> str:
    """Return why a line is not an event, and what to do."""
    if isinstance(error, EventError):
        return str(error)
    reason = f"{str(error)[:1].lower()}{str(error)[1:]}"
    if isinstance(error, UnicodeDecodeError):
        reason = Message("not UTF-8")
    elif isinstance(error, json.JSONDecodeError):
        reason = Message("not a whole JSON object ({msg}: column {colno})", msg=error.msg, colno=error.colno)
    elif isinstance(error, RecursionError):
        reason = Message("JSON that is nested too deeply")
    return Message("{reason}; {advice}", reason=reason, advice=advice)

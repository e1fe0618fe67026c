"""What happens in a run, as a stream of events: the only thing that reports are made of.

The schema, version 1. Each event is an object with `type` and what its class below has as fields, of JSON types alone.

| type | when | fields |
|---|---|---|
| `run-start` | first, once | what is judged, by what, and what was left out |
| `scenario-start` | a scenario begins | `scenario` |
| `result` | a scenario ended, once each | everything about it |
| `run-end` | last, once; missing if the suite was killed | the counts, the exit status, and why |

A field may be added within a version; none is removed, and none changes its meaning. So a reader ignores fields that
it does not know, and checks the types of the others.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from conformance.client.recording import WireEntry
from conformance.model.verdicts import Exit, Verdict

SCHEMA: Final = "hftp-conformance/1"


class RunStart(msgspec.Struct, frozen=True, tag_field="type", tag="run-start"):
    """What is judged, and by what."""

    suite: str
    """The suite's version."""
    catalogue: str
    """SHA-256 of the catalogue."""
    seed: int
    dialect: str
    target: str
    """Where the server is, as on the command line."""
    selected: int
    """How many scenarios are to come."""
    deselected: list[str] = msgspec.field(default_factory=list)
    """Ids of the scenarios that were left out by -t and --skip."""
    is_concurrent: bool = True
    """Whether the server serves two clients at once."""
    round_trip_seconds: float = 0.0
    patience_seconds: float = 0.0
    fixtures: str = ""
    """local, found or discovered."""
    started: str = ""
    """The time of day, ISO 8601 with its zone."""
    command: str = ""
    """The command line that repeats the run."""
    fail_on: str = "must"
    """Which level decides: must or should."""
    dialect_basis: str = ""
    """What the dialect was inferred from, or that it was given."""
    deviations: list[str] = msgspec.field(default_factory=list)
    """What the server always does otherwise: reported once each, and expected by all other scenarios."""
    schema: str = SCHEMA


class ScenarioStart(msgspec.Struct, frozen=True, tag_field="type", tag="scenario-start"):
    """A scenario begins."""

    scenario: str


class Result(msgspec.Struct, frozen=True, tag_field="type", tag="result"):
    """How a scenario ended."""

    scenario: str
    requirement: str
    level: str
    verdict: Verdict
    title: str = ""
    chapter: str = ""
    text: str = ""
    """The requirement in words."""
    kind: str = ""
    """How the server failed: a value of `conformance.failures.Kind`."""
    expected: str = ""
    got: str = ""
    """What came instead; of an `info`, what was seen; of what has not run, why."""
    sent: str = ""
    """The command that got it, or what was sent last before that."""
    cause: str = ""
    """What is likely wrong."""
    reproduce: list[str] = msgspec.field(default_factory=list)
    """Command lines that show it again, the shortest last."""
    seconds: float = 0.0
    attempts: int = 1
    known: str = ""
    """The reason that the baseline gives, if it knows this failure."""
    transcript: list[WireEntry] = msgspec.field(default_factory=list)
    """What was on the wire."""


class RunEnd(msgspec.Struct, frozen=True, tag_field="type", tag="run-end"):
    """How the run ended."""

    counts: dict[str, int]
    """By verdict; those that the baseline knows are in `known` instead."""
    exit: Exit
    seconds: float = 0.0
    problems: list[str] = msgspec.field(default_factory=list)
    """What is wrong with the run as a whole: unexpected passes, entries of the baseline that match nothing."""
    output: str = ""
    """The end of what the server printed, if the suite started it."""


Event = RunStart | ScenarioStart | Result | RunEnd
Sink = Callable[[Event], None]
"""Takes events, one after the other; never called by two threads at once."""

_RECORD: Final = "give a file that `conformance run --ndjson FILE` has written"
_DELETE: Final = "delete this line to read the others"
_UPDATE: Final = "read the file with the suite that wrote it, or update this one"


class EventError(ValueError):
    """A line of a file is not an event of a recorded run: which line, why, and what to do, in one line of text."""


def read_events(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events of a recorded run, an NDJSON file; raise EventError for the first line that is not one."""
    has_begun = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = _event(line, is_first=not has_begun)
        except (ValueError, RecursionError, msgspec.ValidationError) as error:
            message = f"line {number}: {_explained(error, _DELETE if has_begun else _RECORD)}"
            raise EventError(message) from error
        has_begun = True
        yield event
    if not has_begun:
        message = f"line 1: the file is empty; {_RECORD}"
        raise EventError(message)


def _event(line: bytes, *, is_first: bool) -> Event:
    # Not msgspec's own decoder: what a server sent may hold lone surrogates, which that refuses.
    found = json.loads(line.decode())
    if isinstance(found, dict) and found.get("type") == "run-start" and found.get("schema") != SCHEMA:
        message = f"the schema is {found.get('schema')!r}, and this suite reads {SCHEMA!r}; {_UPDATE}"
        raise EventError(message)
    event: Event = msgspec.convert(found, Event)
    if is_first and not isinstance(event, RunStart):
        message = "a recorded run begins with `run-start`"
        raise ValueError(message)
    return event


def _explained(error: Exception, advice: str) -> str:
    """Return why a line is not an event, and what to do."""
    if isinstance(error, EventError):
        return str(error)
    reason = f"{str(error)[:1].lower()}{str(error)[1:]}"
    if isinstance(error, UnicodeDecodeError):
        reason = "not UTF-8"
    elif isinstance(error, json.JSONDecodeError):
        reason = f"not a whole JSON object ({error.msg}: column {error.colno})"
    elif isinstance(error, RecursionError):
        reason = "JSON that is nested too deeply"
    return f"{reason}; {advice}"

"""What happens in a run, as a stream of events: the only thing that reports are made of.

The schema, version 1. Each event is an object with `type` and what its class below has as fields, of JSON types alone.

| type | when | fields |
|---|---|---|
| `run-start` | first, once | what is judged, by what, and what was left out |
| `scenario-start` | a scenario begins | `scenario` |
| `result` | a scenario ended, once each | everything about it |
| `run-end` | last, once; missing if the suite was killed | the counts, the exit status, and why |

A field may be added within a version; none is removed, and none changes its meaning.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, ClassVar, Final

SCHEMA: Final = "hftp-conformance/1"


@dataclass(frozen=True)
class RunStart:
    """What is judged, and by what."""

    type: ClassVar[str] = "run-start"
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
    deselected: list[str] = field(default_factory=list)
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
    deviations: list[str] = field(default_factory=list)
    """What the server always does otherwise: reported once each, and expected by all other scenarios."""
    schema: str = SCHEMA


@dataclass(frozen=True)
class ScenarioStart:
    """A scenario begins."""

    type: ClassVar[str] = "scenario-start"
    scenario: str


@dataclass(frozen=True)
class Result:
    """How a scenario ended."""

    type: ClassVar[str] = "result"
    scenario: str
    requirement: str
    level: str
    verdict: str
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
    reproduce: list[str] = field(default_factory=list)
    """Command lines that show it again, the shortest last."""
    seconds: float = 0.0
    attempts: int = 1
    known: str = ""
    """The reason that the baseline gives, if it knows this failure."""
    transcript: list[dict[str, Any]] = field(default_factory=list)
    """What was on the wire: see `conformance.client.recording`."""


@dataclass(frozen=True)
class RunEnd:
    """How the run ended."""

    type: ClassVar[str] = "run-end"
    counts: dict[str, int]
    """By verdict; those that the baseline knows are in `known` instead."""
    exit: int
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    """What is wrong with the run as a whole: unexpected passes, entries of the baseline that match nothing."""
    output: str = ""
    """The end of what the server printed, if the suite started it."""


Event = RunStart | ScenarioStart | Result | RunEnd
Sink = Callable[[Event], None]
"""Takes events, one after the other; never called by two threads at once."""

_CLASSES: Final[Mapping[str, type[Event]]] = {kind.type: kind for kind in (RunStart, ScenarioStart, Result, RunEnd)}


class EventError(ValueError):
    """Why something is no event, in one line."""


def to_object(event: Event) -> dict[str, Any]:
    """Return an event as JSON has it, its type first."""
    return {"type": event.type} | asdict(event)


def from_object(found: object) -> Event:
    """Return the event that an object describes; fields of a later suite are dropped. Raises EventError."""
    kind = _CLASSES.get(str(found.get("type"))) if isinstance(found, dict) else None
    if kind is None or not isinstance(found, dict):
        message = f"no event: {str(found)[:80]}"
        raise EventError(message)
    known = {row.name: row for row in fields(kind)}
    missing = [
        name
        for name, row in known.items()
        if name not in found and row.default is MISSING and row.default_factory is MISSING
    ]
    if missing:
        message = f"a {kind.type} without {', '.join(missing)}"
        raise EventError(message)
    return kind(**{name: value for name, value in found.items() if name in known})


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events of an NDJSON file; raise EventError, with the line's number, for what is none."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = from_object(json.loads(line))
        except ValueError as error:
            message = f"line {number}: {error}"
            raise EventError(message) from error
        if isinstance(event, RunStart) and event.schema != SCHEMA:
            message = f"line {number}: the schema is {event.schema}, and this suite reads {SCHEMA}"
            raise EventError(message)
        yield event

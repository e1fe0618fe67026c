"""Read recorded runs from files, and from the folder of a class, which has one file for each target."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from conformance.diagnosis.diagnose import with_diagnosis
from conformance.language import Message
from conformance.model.events import LINE_BYTES, Event, EventError, Result, read_events
from conformance.reports.text import Run, gathered

SUFFIX: Final = ".ndjson"


def events_of(path: Path) -> Iterator[Event]:
    """Yield the events of a recorded run; raise EventError with a one-line message that names the file."""
    try:
        with path.open("rb") as file:
            yield from read_events(iter(lambda: file.readline(LINE_BYTES + 1), b""))
    except EventError as error:
        message = Message("{path}, {error}", path=path, error=error)
        raise EventError(message) from error
    except OSError as error:
        message = Message("cannot read {path}: {strerror}", path=path, strerror=error.strerror)
        raise EventError(message) from error


def run_of(path: Path) -> Run:
    """Return the last run of a file, without the recorded traffic, with its diagnosis; raise EventError."""
    return gathered(with_diagnosis(_without_traffic(events_of(path))))[-1]


def recordings_at(path: Path) -> dict[str, Path]:
    """Return the recorded runs at a path, by name: a file, or those of a folder; raise EventError for none."""
    if not path.is_dir():
        return {path.name.removesuffix(SUFFIX): path}
    found = sorted(entry for entry in path.glob(f"*{SUFFIX}") if not entry.name.startswith("."))
    if not found:
        message = Message("{path} has no recorded run: give a folder that `conformance class` has written", path=path)
        raise EventError(message)
    return {entry.name.removesuffix(SUFFIX): entry for entry in found}


def _without_traffic(events: Iterable[Event]) -> Iterator[Event]:
    """Yield events whose results hold no recorded traffic: that is most of a recording."""
    for event in events:
        yield msgspec.structs.replace(event, transcript=[]) if isinstance(event, Result) and event.transcript else event

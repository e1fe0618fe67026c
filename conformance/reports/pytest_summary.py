"""What pytest shows: a failure in full, and the causes of all failures in all processes of a session."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from conformance.diagnosis.diagnose import diagnose
from conformance.language import Message, from_record, gettext, plain, translated
from conformance.model.events import Event, Result, RunStart, read_events
from conformance.printable import printable
from conformance.reports.in_language import in_language
from conformance.reports.ndjson import line
from conformance.reports.text import in_full, in_short

if TYPE_CHECKING:
    import pytest


def with_heading(result: Result) -> str:
    """Return the explanation of a result under its id and title."""
    result = in_language(result)
    return f"{printable(f'{result.scenario}: {result.title}')}\n{textwrap.indent(in_full(result), '  ')}"


def _recorded(text: str) -> list[object]:
    """Return a text, and how to say it in another language, as JSON; execnet passes on no messages."""
    return [plain(text), text.recorded() if isinstance(text, Message) else None]


class SessionSummary:
    """A sink that keeps what the summary needs."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        """What the server has done to its directory, and what could not be removed."""
        self._starts: list[RunStart] = []
        self._results: dict[str, Result] = {}

    def __call__(self, event: Event) -> None:
        """Keep an event, without what was on the wire."""
        if isinstance(event, RunStart):
            self._starts.append(event)
        elif isinstance(event, Result):
            self._results[event.scenario] = msgspec.structs.replace(event, transcript=[])

    def recorded(self) -> dict[str, list[str]]:
        """Return what this process has kept, for the controller of pytest-xdist."""
        events: list[Event] = [*self._starts, *self._results.values()]
        return {
            "problems": [json.dumps(_recorded(text)) for text in self.problems],
            "events": [line(event) for event in events],
        }

    def take(self, recorded: Mapping[str, Sequence[str]]) -> None:
        """Keep what a worker of pytest-xdist has recorded."""
        self.problems += [from_record(*json.loads(text)) for text in recorded.get("problems", [])]
        if events := [text.encode() for text in recorded.get("events", [])]:
            for event in read_events(events):
                self(event)

    def lines(self) -> list[str]:
        """Return the causes, in lines; none if nothing is explained."""
        deviations = {text for start in self._starts for text in start.deviations}
        return in_short(in_language(diagnose(self._results.values(), deviations)))

    def show(self, reporter: "pytest.TerminalReporter") -> None:
        """Print the summary."""
        if lines := self.lines():
            reporter.section(gettext("hftp diagnosis"))
            for text in lines:
                reporter.write_line(printable(text))
        for problem in self.problems:
            reporter.write_line(printable(f"hftp: {translated(problem)}"), red=True)

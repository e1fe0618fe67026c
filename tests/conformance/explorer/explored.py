"""Explore a forked server in this process, for a number of conversations rather than for a time."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.explorer import exploration
from conformance.explorer import explore as explore_module
from conformance.explorer.conversation import Conversation
from conformance.explorer.database import Database
from conformance.explorer.exploration import Exploration, Finding
from conformance.explorer.explore import Explore
from conformance.explorer.resource_checks import Excess
from conformance.model.events import Event, Result, RunEnd
from conformance.scenarios import catalogue
from conformance.target.environment import Environment
from tests.broken_servers import forking
from tests.conformance.in_process import make_options

SECONDS = 60.0
CATALOGUE = catalogue()


@dataclass(frozen=True)
class Explored:
    """What came of an exploration."""

    events: list[Event]
    found: list[Finding | Excess]

    @property
    def results(self) -> list[Result]:
        """The results."""
        return [event for event in self.events if isinstance(event, Result)]

    @property
    def failures(self) -> list[Result]:
        """The results that show a fault of the server."""
        return [row for row in self.results if row.verdict in {"fail", "warn"}]

    @property
    def end(self) -> RunEnd:
        """The end of the run."""
        assert isinstance(self.events[-1], RunEnd)
        return self.events[-1]


def explore(  # noqa: PLR0913  (what a test can say)
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    opening: list[Conversation] | None = None,
    *,
    most: int = 12,
    dialect: str = "2026",
    file: Path | None = None,
    large_bytes: int = 1 << 16,
    most_findings: int = 1,
    database: Database | None = None,
    measures: bool = False,
) -> Explored:
    """Explore a server: hold given conversations, or those that an exploration begins with, and end at a finding.

    Of conversations that are made up there are so many at `most`. Only if it `measures`, it looks at resources, too.
    """
    if opening is not None:
        monkeypatch.setattr(exploration, "opening", lambda *_given, **_more: opening)
    monkeypatch.setattr(exploration, "MOST_FINDINGS", most_findings)
    made = 0

    def is_over(self: Exploration) -> bool:
        nonlocal made
        made += opening is None or self.conversations >= len(opening)
        return made > most or original(self)

    original = Exploration._is_over  # noqa: SLF001
    if opening is not None:
        monkeypatch.setattr(Exploration, "_is_over", is_over)
    if not measures:
        monkeypatch.setattr(explore_module, "can_measure", lambda _health: False)
    events: list[Event] = []
    options = make_options(f"{name} --dialect {dialect}", dialect=dialect, large_bytes=large_bytes, seed=3)
    with Environment(options, forking.launch) as environment:
        run = Explore(options, CATALOGUE, events.append, SECONDS, file=str(file or ""), database=database)
        run.run(environment)
    return Explored(events, run._found)  # noqa: SLF001

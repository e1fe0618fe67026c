"""Scenarios as data, each for one requirement, and the catalogue that collects them."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Final

from conformance.failures import Kind, UsageError
from conformance.language import Message
from conformance.model.context import Play, ScenarioContext
from conformance.model.likely_causes import Cause, Causes
from conformance.model.transcript import Transcript
from conformance.spec.dialects import DIALECTS
from conformance.spec.reader import LEVELS, Requirement, specification

SHARED: Final = "shared"
"""May run concurrently with others."""
EXCLUSIVE: Final = "exclusive"
"""Runs alone: it changes the directory, or measures."""
DESTRUCTIVE: Final = "destructive"
"""Runs alone and last, followed by a health check: it may end a weak server."""

ISOLATIONS: Final = (SHARED, EXCLUSIVE, DESTRUCTIVE)
CONCURRENCY: Final = "concurrency"
"""The need of a scenario that has several clients at once."""

_ID: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*")


class ScenarioError(UsageError, ValueError):
    """A scenario is invalid; the message is one line."""


@dataclass(frozen=True)
class Scenario:
    """One test of a server.

    `id` is CHAPTER.SLUG and never changes; the chapter groups scenarios, the requirement is what it tests.
    """

    id: str
    requirement: str
    play: Play
    title: str
    dialects: tuple[str, ...] = ()
    """The dialects that it applies to; empty for those of its requirement."""
    needs: frozenset[str] = frozenset()
    """CONCURRENCY, `fixtures.base.QUALITIES`, and keys of fixtures; those of a transcript are added."""
    isolation: str = SHARED
    timeouts: float = 10.0
    """Its time limit, in multiples of one timeout."""
    depends: tuple[str, ...] = ()
    """Ids of prerequisite scenarios: if one of them fails, this one is blocked."""
    causes: Causes = field(default_factory=Causes)
    """Likely causes, by kind of failure."""
    level: str = ""
    """Overrides the requirement's level; empty to keep it."""
    level_in: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Overrides the level in some dialects; takes precedence over `level`."""

    chapter: str = field(init=False)
    """The part of the id before the dot."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "chapter", self.id.partition(".")[0])
        if isinstance(self.play, Transcript):
            object.__setattr__(self, "needs", self.needs | self.play.fixtures)

    @cached_property
    def row(self) -> Requirement:
        """The requirement."""
        return specification()[self.requirement]

    @property
    def transcript(self) -> Transcript | None:
        """The transcript, if the scenario is one."""
        return self.play if isinstance(self.play, Transcript) else None

    @cached_property
    def levels(self) -> Mapping[str, str]:
        """Its level in each dialect."""
        own = dict.fromkeys(DIALECTS, self.level) if self.level else {}
        return {**self.row.levels, **own, **self.level_in}

    def applies_to(self, dialect: str) -> bool:
        """Return whether it applies to a dialect."""
        return dialect in self.row.dialects and (not self.dialects or dialect in self.dialects)


class Catalogue:
    """Scenarios by id, in the order in which they were added."""

    def __init__(self, scenarios: Iterable[Scenario] = ()) -> None:
        self._scenarios: dict[str, Scenario] = {}
        for scenario in scenarios:
            self.add(scenario)

    def add(self, scenario: Scenario) -> None:
        """Add a scenario; raise ScenarioError if it is invalid."""
        _check(scenario)
        if scenario.id in self._scenarios:
            message = Message("{id} is defined twice", id=scenario.id)
            raise ScenarioError(message)
        self._scenarios[scenario.id] = scenario

    def __iter__(self) -> Iterator[Scenario]:
        return iter(self._scenarios.values())

    def __len__(self) -> int:
        return len(self._scenarios)

    def __getitem__(self, identifier: str) -> Scenario:
        """Return a scenario by id; raise KeyError."""
        return self._scenarios[identifier]

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._scenarios

    def digest(self) -> str:
        """Return a SHA-256 over ids, requirements, titles, isolation, transcripts and the specification."""
        found = hashlib.sha256(specification().digest.encode())
        for scenario in self:
            parts = (
                scenario.id,
                scenario.requirement,
                scenario.title,
                scenario.isolation,
                str(scenario.transcript or ""),
            )
            found.update("\0".join(parts).encode())
        return found.hexdigest()


class Chapter:
    """A collection of scenarios, defined by a module in `conformance/scenarios` or by your own file."""

    def __init__(self) -> None:
        self.scenarios: list[Scenario] = []

    def __iter__(self) -> Iterator[Scenario]:
        return iter(self.scenarios)

    def transcript(self, id: str, requirement: str, title: str, text: str, **details: object) -> Scenario:  # noqa: A002
        """Add a transcript; `details` are fields of Scenario."""
        scenario = _scenario(id, requirement, Transcript(text), title, details)
        self.scenarios.append(scenario)
        return scenario

    def play(self, id: str, requirement: str, title: str, **details: object) -> Callable[[Play], Play]:  # noqa: A002
        """Return a decorator that adds a function; `details` are fields of Scenario."""

        def add(function: Play) -> Play:
            self.scenarios.append(_scenario(id, requirement, function, title, details))
            return function

        return add


def _scenario(identifier: str, requirement: str, play: Play, title: str, details: Mapping[str, object]) -> Scenario:
    fields = dict(details)
    for name in ("needs", "dialects", "depends"):
        if name in fields:
            words = fields[name]
            if isinstance(words, str) or not isinstance(words, Sequence | frozenset | set):
                message = Message("{identifier}: {name} is a list of words", identifier=identifier, name=name)
                raise ScenarioError(message)
            fields[name] = frozenset(words) if name == "needs" else tuple(words)
    causes = fields.get("causes", {})
    if not isinstance(causes, Mapping) or not set(causes) <= set(Kind):
        message = Message(
            "{identifier}: causes map kinds of failures to texts, causes or lists of them", identifier=identifier
        )
        raise ScenarioError(message)
    fields["causes"] = causes if isinstance(causes, Causes) else Causes(causes)
    try:
        return Scenario(identifier, requirement, play, title, **fields)  # type: ignore[arg-type]  # _check looks
    except TypeError as error:
        message = Message("{identifier}: {error}", identifier=identifier, error=error)
        raise ScenarioError(message) from error


def _check(scenario: Scenario) -> None:
    if (problem := next(_problems(scenario), None)) is not None:
        message = Message("{scenario}: {what}", scenario=scenario.id, what=problem)
        raise ScenarioError(message)


def _problems(scenario: Scenario) -> Iterator[Message]:
    """Yield what is wrong with a scenario."""
    if not _ID.fullmatch(scenario.id):
        yield Message("an id looks like chapter.what-it-shows")
    try:
        levels = set(scenario.levels.values())
    except KeyError:
        yield Message("there is no requirement {requirement}", requirement=scenario.requirement)
        return
    if not scenario.title.strip():
        yield Message("it has no title")
    if scenario.isolation not in ISOLATIONS:
        yield Message("the isolation is one of {isolations}", isolations=", ".join(ISOLATIONS))
    if not {*scenario.dialects, *scenario.level_in} <= set(DIALECTS):
        yield Message("a dialect is one of {dialects}", dialects=", ".join(DIALECTS))
    if not levels <= set(LEVELS):
        yield Message("the level is MUST, SHOULD, MAY or CHOICE")


__all__ = ["DESTRUCTIVE", "EXCLUSIVE", "SHARED", "Catalogue", "Cause", "Chapter", "Kind", "Scenario", "ScenarioContext"]

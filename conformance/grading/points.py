"""Read the points map: how many points each requirement is worth, and what a cause costs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from conformance.diagnosis.causes_reader import root_causes
from conformance.failures import UsageError
from conformance.language import Message, joined
from conformance.runner.selection import like
from conformance.spec.reader import Requirement, specification

JUDGED: Final = ("MUST", "SHOULD")
"""The levels that can earn points; what a server may choose cannot."""
DEFAULT_LEVELS: Final[Mapping[str, float]] = {"MUST": 3.0, "SHOULD": 1.0}
DEFAULT_REQUIREMENTS: Final[Mapping[str, float]] = {"HFTP-8.1": 10.0}
"""A server that hands out files outside its directory loses more than for other mistakes."""
DEFAULT_WHOLE: Final = ("HFTP-8.1",)

_Points = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class PointsError(UsageError, ValueError):
    """A points map is invalid; the message is one line."""


class PointsMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a grade is made of.

    The points of a requirement are its own, else its share of its chapter's, else its level's.
    """

    scale: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] = 100.0
    """The best grade."""
    partial: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """The share of the points for a requirement that is partly met."""
    whole: tuple[str, ...] = DEFAULT_WHOLE
    """Ids of requirements that are met or not: nothing for a part."""
    requirements: dict[str, _Points] = {}
    """Points by id."""
    chapters: dict[str, _Points] = {}
    """Points by slug, shared among the requirements of the chapter as the levels say."""
    levels: dict[str, _Points] = {}
    causes: dict[str, _Points] = {}
    """What is taken off the grade if the diagnosis names a cause, by id."""

    def of_dialect(self, dialect: str) -> dict[str, float]:
        """Return the points of each requirement that a dialect judges, by id, in the order of the specification."""
        rows = [row for row in specification() if dialect in row.dialects and row.levels[dialect] in JUDGED]
        weights = {row.id: self._weight(row, dialect) for row in rows}
        in_chapter: dict[str, float] = defaultdict(float)
        for row in rows:
            if row.id not in self.requirements and row.chapter in self.chapters and not row.untestable:
                in_chapter[row.chapter] += weights[row.id]
        return {row.id: self._points(row, weights[row.id], in_chapter[row.chapter]) for row in rows}

    def share_of_a_part(self, requirement: str) -> float:
        """Return the share of its points that a requirement earns if it is partly met."""
        return 0.0 if requirement in self.whole else self.partial

    def _weight(self, row: Requirement, dialect: str) -> float:
        level = row.levels[dialect]
        return self.levels.get(level, DEFAULT_LEVELS[level])

    def _points(self, row: Requirement, weight: float, in_chapter: float) -> float:
        if row.id in self.requirements:
            return self.requirements[row.id]
        if row.chapter in self.chapters:
            return self.chapters[row.chapter] * weight / in_chapter if in_chapter else 0.0
        return weight if self.levels else DEFAULT_REQUIREMENTS.get(row.id, weight)


def read_points(path: Path) -> PointsMap:
    """Read a points map from a TOML file; raise PointsError."""
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=PointsMap)
    except OSError as error:
        message = Message("--points {path}: {error}", path=path, error=error.strerror)
        raise PointsError(message) from error
    except (ValueError, msgspec.MsgspecError) as error:  # TOMLDecodeError is a ValueError
        reason = str(error)
        message = Message("--points {path}: {error}", path=path, error=reason[:1].lower() + reason[1:])
        raise PointsError(message) from error
    for what, names, known in (
        (
            Message("there is no requirement {name}"),
            (*found.requirements, *found.whole),
            [row.id for row in specification()],
        ),
        (Message("there is no chapter {name}"), found.chapters, [row.slug for row in specification().chapters]),
        (Message("there is no level {name}"), found.levels, JUDGED),
        (Message("there is no cause {name}"), found.causes, root_causes()),
    ):
        _check(path, what, names, known)
    return found


def _check(path: Path, what: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            problem = joined("", [Message(what, name=repr(name)), like(name, known)])
            message = Message("--points {path}: {error}", path=path, error=problem)
            raise PointsError(message)

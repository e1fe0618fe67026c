"""What a class has in common: outcomes, causes by how many servers have them, and choices."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from conformance.diagnosis.causes_reader import SEVERITIES
from conformance.grading.assessment import Assessment
from conformance.language import gettext, ngettext, translated
from conformance.model.events import DiagnosedCause

_SHOWN_CAUSES: Final = 5


@dataclass
class SharedCause:
    """A cause, and the servers that have it."""

    cause: DiagnosedCause
    names: list[str] = field(default_factory=list)


def shared_causes(found: Sequence[Assessment]) -> list[SharedCause]:
    """Return the causes of a class: those that most servers have come first, then the more serious ones."""
    causes: dict[str, SharedCause] = {}
    for row in found:
        for cause in row.causes:
            causes.setdefault(cause.id, SharedCause(cause)).names.append(row.name)
    return sorted(causes.values(), key=lambda one: (-len(one.names), _gravity(one.cause), one.cause.id))


def _gravity(cause: DiagnosedCause) -> int:
    return SEVERITIES.index(cause.severity) if cause.severity in SEVERITIES else len(SEVERITIES)


def choices(found: Sequence[Assessment]) -> dict[str, dict[str, list[str]]]:
    """Return what the servers did where they may do either, by scenario and what was seen, if they differ."""
    seen: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in found:
        for scenario, what in row.choices.items():
            seen[scenario][what].append(row.name)
    return {scenario: dict(ways) for scenario, ways in seen.items() if len(ways) > 1}


def overview(found: Sequence[Assessment]) -> Iterator[str]:
    """Yield the outcomes and the most frequent causes in lines of plain text."""
    outcomes = Counter(row.outcome for row in found)
    yield ", ".join(f"{count} {translated(outcome)}" for outcome, count in outcomes.most_common())
    causes = shared_causes(found)
    for one in causes[:_SHOWN_CAUSES]:
        count = gettext("{count} of {total}", count=len(one.names), total=len(found))
        yield f"  {count}: {gettext(one.cause.title)} ({gettext(one.cause.severity)})"
    if len(causes) > _SHOWN_CAUSES:
        left = ngettext("{count} more cause", "{count} more causes", len(causes) - _SHOWN_CAUSES)
        yield f"  {left}"

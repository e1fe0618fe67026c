"""Select scenarios by patterns over id, chapter, requirement and level, and read a baseline of known failures."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from conformance.failures import UsageError
from conformance.language import Message
from conformance.model.events import Result
from conformance.model.scenario import Scenario
from conformance.model.verdicts import MEANINGS, Verdict
from conformance.spec.dialects import DIALECTS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


_WILD: Final = frozenset("*?[")


class SelectionError(UsageError, ValueError):
    """A pattern or a baseline is invalid; the message is one line."""


def matches(scenario: Scenario, pattern: str, dialect: str) -> bool:
    """Return whether a pattern (with *, ? and [...]) matches a scenario's id, chapter, requirement or level."""
    return any(fnmatchcase(word, pattern) for word in _words(scenario, (dialect,)))


def select(
    scenarios: Iterable[Scenario], wanted: Sequence[str], unwanted: Sequence[str], dialect: str
) -> tuple[list[Scenario], list[Scenario]]:
    """Return the selected and the deselected scenarios.

    Raises SelectionError for a pattern that matches nothing, and if nothing is left.
    """
    scenarios = list(scenarios)
    meant = _meant((*wanted, *unwanted), scenarios, (dialect,))
    for pattern, found in meant.items():
        if not found:
            message = Message(
                "{pattern}; not in dialect {dialect}", pattern=_unmatched(pattern, scenarios), dialect=dialect
            )
            raise SelectionError(message)
    chosen: list[Scenario] = []
    left: list[Scenario] = []
    for scenario in scenarios:
        is_wanted = not wanted or any(scenario.id in meant[pattern] for pattern in wanted)
        is_unwanted = any(scenario.id in meant[pattern] for pattern in unwanted)
        (chosen if is_wanted and not is_unwanted else left).append(scenario)
    if not chosen:
        message = Message("the patterns select no scenario")
        raise SelectionError(message)
    return chosen, left


def check_patterns(scenarios: Iterable[Scenario], patterns: Iterable[str]) -> None:
    """Raise SelectionError for a pattern that matches nothing in any dialect."""
    known = list(scenarios)
    for pattern, found in _meant(tuple(patterns), known, DIALECTS).items():
        if not found:
            raise SelectionError(_unmatched(pattern, known))


def _words(scenario: Scenario, dialects: Iterable[str]) -> set[str]:
    """Return the words of a scenario that a pattern may match."""
    row = scenario.row
    return {scenario.id, scenario.chapter, row.id, row.chapter, *map(scenario.levels.__getitem__, dialects)}


def _meant(patterns: Sequence[str], scenarios: Iterable[Scenario], dialects: Sequence[str]) -> dict[str, set[str]]:
    """Return the ids of the scenarios that each pattern matches."""
    if not patterns:
        return {}
    ids: dict[str, set[str]] = defaultdict(set)
    for scenario in scenarios:
        for word in _words(scenario, dialects):
            ids[word].add(scenario.id)

    def mean(pattern: str) -> set[str]:
        if not _WILD.intersection(pattern):
            return ids.get(pattern, set())
        return set().union(*(found for word, found in ids.items() if fnmatchcase(word, pattern)))

    return {pattern: mean(pattern) for pattern in patterns}


def _unmatched(pattern: str, scenarios: Sequence[Scenario]) -> str:
    """Return a message that a pattern matches nothing, with similar ids."""
    near = like(pattern, [row.id for row in scenarios])
    return Message("{pattern} matches no scenario{near} (conformance list)", pattern=repr(pattern), near=near)


def like(word: str, known: Iterable[str]) -> str:
    """Return a phrase with similar known words, or nothing."""
    near = get_close_matches(word, list(known), n=3, cutoff=0.6)
    return Message("; similar: {near}", near=", ".join(near)) if near else ""


@dataclass
class KnownFailure:
    """A baseline entry: which scenarios fail, and why."""

    scenario: str
    reason: str
    failed: set[str] = field(default_factory=set)
    """Ids that failed, as expected."""
    passed: set[str] = field(default_factory=set)
    """Ids that ran and did not fail."""


class Baseline:
    """Known failures, each with a reason; unexpected passes and unused entries fail the run."""

    def __init__(self, entries: Iterable[KnownFailure] = ()) -> None:
        self.entries = list(entries)

    def reason(self, result: Result) -> str:
        """Return the reason of a known failure, or nothing; record the result for `problems`."""
        reason = ""
        for entry in self.entries:
            if not fnmatchcase(result.scenario, entry.scenario):
                continue
            if result.verdict in {Verdict.FAIL, Verdict.WARN}:
                entry.failed.add(result.scenario)
                reason = reason or entry.reason
            elif MEANINGS[Verdict(result.verdict)].has_run:
                entry.passed.add(result.scenario)
        return reason

    def problems(self, deselected: Iterable[str] = ()) -> list[str]:
        """Return unexpected passes, and entries that match no scenario that ran.

        An entry that matches deselected scenarios is no problem.
        """
        left = list(deselected)
        found: list[str] = []
        for entry in self.entries:
            passed = sorted(entry.passed - entry.failed)
            found += [
                Message("{scenario} passes, but the baseline says: {reason}", scenario=scenario, reason=entry.reason)
                for scenario in passed
            ]
            if not entry.failed and not passed and not any(fnmatchcase(name, entry.scenario) for name in left):
                found.append(
                    Message("{scenario} in the baseline matches no scenario that ran", scenario=entry.scenario)
                )
        return found


def read_baseline(path: Path) -> Baseline:
    """Read a baseline from a TOML file.

    Each entry is a table `[[known]]` with `scenario`, an id or a pattern, and `reason`. Raises SelectionError.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = Message("--baseline {path}: {strerror}", path=path, strerror=error.strerror)
        raise SelectionError(message) from error
    except ValueError as error:
        message = Message("--baseline {path}: {error}", path=path, error=error)
        raise SelectionError(message) from error
    rows = document.get("known", [])
    if set(document) - {"known"} or not isinstance(rows, list):
        message = Message("--baseline {path}: it must consist of [[known]] tables", path=path)
        raise SelectionError(message)
    entries = []
    for number, row in enumerate(rows, 1):
        is_right = isinstance(row, dict) and set(row) == {"scenario", "reason"}
        if not is_right or not all(isinstance(value, str) and value.strip() for value in row.values()):
            message = Message(
                "--baseline {path}: entry {number} needs a scenario and a reason, and nothing else",
                path=path,
                number=number,
            )
            raise SelectionError(message)
        entries.append(KnownFailure(row["scenario"], row["reason"]))
    return Baseline(entries)

"""Verdicts, their meaning, and the exit status of a run, in one table."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final

from conformance.failures import Kind
from conformance.language import Message


class Verdict(str, Enum):
    """The verdict on one scenario."""

    PASS = "pass"  # noqa: S105  (no password)
    FAIL = "fail"
    WARN = "warn"
    INFO = "info"
    UNSUPPORTED = "unsupported"
    BLOCKED = "blocked"
    INCOMPLETE = "incomplete"
    ERROR = "error"
    FLAKY = "flaky"

    def __str__(self) -> str:
        return self.value


class Exit(IntEnum):
    """The exit status of a run."""

    CONFORMANT = 0
    NOT_CONFORMANT = 1
    USAGE = 2
    INCOMPLETE = 3
    SUITE_FAULT = 4


@dataclass(frozen=True)
class Meaning:
    """The meaning of a verdict, its effect on the exit status, and its style in reports."""

    sentence: str
    exit: Exit = Exit.CONFORMANT
    has_run: bool = True
    style: str = "green"
    mark: str = "."


MEANINGS: Final = MappingProxyType(
    {
        Verdict.PASS: Meaning(Message("the server did what it must or should")),
        Verdict.FAIL: Meaning(
            Message("the server did not do what it must"), Exit.NOT_CONFORMANT, style="bold red", mark="F"
        ),
        Verdict.WARN: Meaning(Message("the server did not do what it should"), style="yellow", mark="w"),
        Verdict.INFO: Meaning(Message("the server may do either: this is what it did"), style="cyan", mark="i"),
        Verdict.UNSUPPORTED: Meaning(
            Message("the server does not offer it, and does not have to"), has_run=False, style="magenta", mark="u"
        ),
        Verdict.BLOCKED: Meaning(
            Message("what it depends on failed"), Exit.INCOMPLETE, has_run=False, style="bright_black", mark="b"
        ),
        Verdict.INCOMPLETE: Meaning(
            Message("it could not run here"), Exit.INCOMPLETE, has_run=False, style="blue", mark="-"
        ),
        Verdict.ERROR: Meaning(
            Message("the suite itself failed"), Exit.SUITE_FAULT, style="bold white on red", mark="E"
        ),
        Verdict.FLAKY: Meaning(
            Message("failed by a timeout or beside others, and passed alone"), style="bright_yellow", mark="~"
        ),
    }
)

_GRAVITY: Final = (Exit.SUITE_FAULT, Exit.NOT_CONFORMANT, Exit.INCOMPLETE, Exit.CONFORMANT)

VERDICT_OF_SUCCESS: Final = MappingProxyType(
    {"MUST": Verdict.PASS, "SHOULD": Verdict.PASS, "MAY": Verdict.INFO, "CHOICE": Verdict.INFO}
)
"""The verdict on a scenario that succeeded, by level."""
_VERDICT_OF_FAILURE: Final = MappingProxyType(
    {"MUST": Verdict.FAIL, "SHOULD": Verdict.WARN, "MAY": Verdict.INFO, "CHOICE": Verdict.INFO}
)


def verdict_of_failure(level: str, kind: Kind) -> Verdict:
    """Return the verdict on a failure, by level and kind; a server that is gone fails at any level."""
    return Verdict.FAIL if kind is Kind.GONE else _VERDICT_OF_FAILURE[level]


def exit_status(verdicts: Iterable[Verdict], *, fail_on: str = "must", has_problems: bool = False) -> Exit:
    """Return the exit status of a run.

    `verdicts` excludes known failures of a baseline; `has_problems`: the baseline does not fit, or the server exits.
    A run in which no scenario ran is incomplete.
    """
    found = set(verdicts)
    exits = {MEANINGS[verdict].exit for verdict in found}
    if has_problems or (fail_on == "should" and Verdict.WARN in found):
        exits.add(Exit.NOT_CONFORMANT)
    if not any(MEANINGS[verdict].has_run for verdict in found):
        exits.add(Exit.INCOMPLETE)
    return next(status for status in _GRAVITY if status in exits)

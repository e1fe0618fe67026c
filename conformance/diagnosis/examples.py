"""Choose the failure that shows a cause best: the one that is quickest to understand."""

import re
from collections.abc import Iterable
from typing import Final

from conformance.failures import Kind
from conformance.model.events import Result
from conformance.model.verdicts import Verdict

_SHORT: Final = 60
"""Up to so many characters a text is read at a glance."""
_COMMAND: Final = re.compile(r"[a-z_]{4}")
_ONE_OF_MANY: Final = " (command "
"""Stands in what was sent, if the reply is to one of several commands: see `Client.asked`."""
_LESS_TELLING: Final = frozenset({Kind.TIMEOUT.value, Kind.OPEN.value, Kind.GONE.value, Kind.REFUSED.value})


def best_example(results: Iterable[Result]) -> str:
    """Return the id of a failure: of what it must do, of one short command, with a short reply; else the first."""
    best = min(results, key=_difficulty, default=None)
    return best.scenario if best is not None else ""


def _difficulty(result: Result) -> tuple[bool, ...]:
    return (
        result.verdict is not Verdict.FAIL,
        result.kind in _LESS_TELLING,
        _COMMAND.search(result.sent) is None,
        _ONE_OF_MANY in result.sent,
        len(result.sent) > _SHORT,
        len(result.expected) > _SHORT,
        len(result.got) > _SHORT,
    )

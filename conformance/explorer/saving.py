"""Save conversations as a file of scenarios, which `--scenarios FILE.py` adds to a run."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from conformance.explorer.conversation import loads
from conformance.explorer.performance import scripted
from conformance.failures import UsageError
from conformance.language import Message
from conformance.model.context import Play
from conformance.runner.outcome import Outcome

_HEAD: Final = '''"""Conversations that `conformance explore` has found: the server broke a requirement in each."""

from conformance import Chapter
from conformance.explorer.resource_checks import measured
from conformance.explorer.saving import saved

chapter = Chapter()
'''
_SCENARIO: Final = """
chapter.play(
    {id!r},
    {requirement!r},
    {title!r},
    dialects=[{dialect!r}],
    needs={needs!r},
    isolation={isolation!r},
)(
    {source}
)
"""


class SaveError(UsageError):
    """The file cannot be written; the message is one line."""


class _Found(Protocol):
    @property
    def source(self) -> str: ...

    @property
    def outcome(self) -> Outcome: ...


def save(path: Path, found: Iterable[_Found], dialect: str) -> None:
    """Write scenarios; raise SaveError."""
    parts = [_HEAD]
    for row in found:
        scenario = row.outcome.scenario
        parts.append(
            _SCENARIO.format(
                id=scenario.id,
                requirement=scenario.requirement,
                title=f"What exploring has found: {row.outcome.failure}",
                dialect=dialect,
                needs=sorted(scenario.needs),
                isolation=scenario.isolation,
                source=row.source,
            )
        )
    try:
        path.write_text("\n".join(parts), encoding="utf-8")
    except OSError as error:
        message = Message("cannot write {path}: {strerror}", path=path, strerror=error.strerror)
        raise SaveError(message) from error


def saved(text: str) -> Play:
    """Return a conversation that was saved as the play of a scenario, which the model judges."""
    return scripted(loads(text))

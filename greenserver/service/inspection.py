"""Inspect the surroundings of a server: what is not wrong, but probably not what the operator meant."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from greenserver.config import limits
from greenserver.config.settings import Settings, unknown_variables
from greenserver.files.survey import Survey, survey
from greenserver.service import privileges

_PROC: Final = Path("/proc/self/stat")


class Finding(NamedTuple):
    """A warning, as an event of the log with its fields."""

    event: str
    facts: Mapping[str, Any]


def inspect(settings: Settings) -> list[Finding]:
    """Return what an operator should know. The directory is looked at as the user who will serve it.

    Raise OSError with a readable message if this process cannot become that user.
    """
    return [*_look_around(), *inspect_as_user(settings)]


def inspect_as_user(settings: Settings) -> list[Finding]:
    """Return what an operator should know of the directory, as the user who will serve it. Raise as `inspect` does."""
    answer = privileges.rehearse(settings, lambda: json.dumps(inspect_directory(settings)).encode("ascii"))
    return [Finding(*each) for each in json.loads(answer)]


def inspect_directory(settings: Settings) -> list[Finding]:
    """Return what an operator should know of the directory, as this user sees it."""
    path = os.path.realpath(settings.directory)
    try:
        seen = survey(path, hidden=settings.hidden)
    except OSError as error:
        return [Finding("directory cannot be read", {"directory": path, "reason": error.strerror or str(error)})]
    found = []
    if seen.inexpressible:
        facts = _count(seen.inexpressible) | {"allowed": limits.NAME_CHARACTERS}
        found.append(Finding("files not served: the protocol cannot express their names", facts))
    if seen.unreadable:
        facts = _count(seen.unreadable) | {"hint": "make them readable (chmod a+r), or serve as another user (--user)"}
        found.append(Finding("files cannot be read, so they are not listed", facts))
    if not seen.served and not seen.unreadable:
        facts = {"directory": path, "reason": _reason_for_none(seen)}
        found.append(Finding("no file to serve", facts))
    return found


def warn(findings: Iterable[Finding]) -> None:
    """Log findings."""
    import logging  # noqa: PLC0415  (the start must be fast)

    from greenserver.telemetry.log import report  # noqa: PLC0415  (imports sockets, which must be patched first)

    for finding in findings:
        report(logging.getLogger(__name__), logging.WARNING, finding.event, **finding.facts)


def _look_around() -> list[Finding]:
    found = [
        Finding("environment variable ignored", {"name": name} | ({"did_you_mean": close} if close else {}))
        for name, close in unknown_variables(os.environ).items()
    ]
    if not _PROC.exists():
        effect = "files on disk are served more slowly, and descriptors are not counted; mount it"
        found.append(Finding("/proc is not mounted", {"effect": effect}))
    return found


def _count(names: list[str]) -> dict[str, object]:
    return {"count": len(names), "example": min(names)}


def _reason_for_none(seen: Survey) -> str:
    if seen.hidden:
        return "all names begin with a dot; serve them with --hidden"
    if seen.others or seen.inexpressible:
        return "there are only directories, links, and names that the protocol cannot express"
    return "the directory is empty"

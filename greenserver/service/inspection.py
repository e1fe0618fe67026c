"""Inspect the surroundings of a server: what is not wrong, but probably not what the operator meant."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from greenserver.config.settings import Settings, unknown_variables
from greenserver.files.survey import survey
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
    answer = privileges.rehearse(settings, lambda: json.dumps(_look_at_directory(settings)).encode("ascii"))
    return [*_look_around(), *(Finding(*each) for each in json.loads(answer))]


def _look_around() -> list[Finding]:
    found = [
        Finding("environment variable ignored", {"name": name} | ({"did_you_mean": close} if close else {}))
        for name, close in unknown_variables(os.environ).items()
    ]
    if not _PROC.exists():
        effect = "files on disk are served more slowly, and descriptors are not counted; mount it"
        found.append(Finding("/proc is not mounted", {"effect": effect}))
    return found


def _look_at_directory(settings: Settings) -> list[Finding]:
    path = os.path.realpath(settings.directory)
    try:
        seen = survey(path, hidden=settings.hidden)
    except OSError as error:
        return [Finding("no file to serve", {"directory": path, "reason": error.strerror or str(error)})]
    if seen.unreadable:
        hint = "make them readable (chmod a+r), or serve as another user (--user)"
        facts = {"count": seen.unreadable, "example": seen.example, "hint": hint}
        return [Finding("files cannot be read, so they are not listed", facts)]
    if seen.served:
        return []
    reason = "the directory is empty"
    if seen.hidden:
        reason = "all names begin with a dot; serve them with --hidden"
    elif seen.others:
        reason = "there are only directories, links, and names that the protocol cannot express"
    return [Finding("no file to serve", {"directory": path, "reason": reason})]

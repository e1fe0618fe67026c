"""Validate file names."""

import re
from typing import Final

from greenserver.config.limits import NAME_CHARACTERS
from greenserver.protocol.status import CommandError, Status

_NAME: Final = re.compile(f"[{NAME_CHARACTERS}]+", re.ASCII)


def require_name(name: str) -> None:
    """Raise CommandError(INVALID_ARGUMENTS_FOR_COMMAND) if a name has a character that the protocol does not allow."""
    if not _NAME.fullmatch(name):
        raise CommandError(Status.INVALID_ARGUMENTS_FOR_COMMAND)

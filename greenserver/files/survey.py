"""Count the files of a directory that can be served, to warn an operator at start of what may have been overlooked."""

import os
import re
from itertools import islice
from typing import Final, NamedTuple

from greenserver.config import limits

_SERVABLE_NAME: Final = re.compile(f"[{limits.NAME_CHARACTERS}]+", re.ASCII)
_EFFECTIVE: Final = os.access in os.supports_effective_ids


class Survey(NamedTuple):
    """The files found in a directory, among its first `SURVEYED_ENTRIES` entries."""

    served: int
    hidden: int
    """Files that are not served because their names begin with a dot."""
    unreadable: int
    example: str
    """The name of an unreadable file, or ""."""
    others: int
    """Entries that are never served: directories, links, and names that the protocol cannot express."""


def survey(directory: str, *, hidden: bool) -> Survey:
    """Look at the entries of a directory with the rights of this process. `hidden` serves dot-files.

    Raise OSError if the directory cannot be read.
    """
    served = unseen = unreadable = others = 0
    example = ""
    with os.scandir(directory) as entries:
        for entry in islice(entries, limits.SURVEYED_ENTRIES):
            if not entry.is_file(follow_symlinks=False) or not _SERVABLE_NAME.fullmatch(entry.name):
                others += 1
            elif entry.name.startswith(".") and not hidden:
                unseen += 1
            elif os.access(entry.path, os.R_OK, effective_ids=_EFFECTIVE):
                served += 1
            else:
                unreadable += 1
                example = entry.name
    return Survey(served, unseen, unreadable, example, others)

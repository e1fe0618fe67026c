"""Count the files of a directory that can be served, to warn an operator at start of what may have been overlooked."""

import os
from itertools import islice
from typing import NamedTuple

from greenserver.config import limits
from greenserver.files.entries import is_expressible, is_readable


class Survey(NamedTuple):
    """The files found in a directory, among its first `SURVEYED_ENTRIES` entries."""

    served: int
    hidden: int
    """Files that are not served because their names begin with a dot."""
    unreadable: list[str]
    """Names of files that this process may not read."""
    inexpressible: list[str]
    """Names of files that the protocol cannot express."""
    others: int
    """Entries that are never served: directories and links, for example."""


def survey(directory: str, *, hidden: bool) -> Survey:
    """Look at the entries of a directory with the rights of this process. `hidden` serves dot-files.

    Raise OSError if the directory cannot be read.
    """
    served = unseen = others = 0
    unreadable: list[str] = []
    inexpressible: list[str] = []
    with os.scandir(directory) as entries:
        for entry in islice(entries, limits.SURVEYED_ENTRIES):
            if not entry.is_file(follow_symlinks=False):
                others += 1
            elif not is_expressible(entry.name):
                inexpressible.append(entry.name)
            elif entry.name.startswith(".") and not hidden:
                unseen += 1
            elif is_readable(entry.path):
                served += 1
            else:
                unreadable.append(entry.name)
    return Survey(served, unseen, unreadable, inexpressible, others)

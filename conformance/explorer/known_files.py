"""What the model knows of the directory that a server serves: the files of the suite, and what else it put there."""

from types import MappingProxyType
from typing import Final

from conformance.failures import Incomplete
from conformance.fixtures.base import Fixtures, extras, plan
from conformance.oracle.served import Entry, EntryKind, Served

_KINDS: Final = MappingProxyType(
    {
        "hidden": EntryKind.FILE,
        "spaced": EntryKind.FILE,
        "subdirectory": EntryKind.DIRECTORY,
        "link-inside": EntryKind.LINK_INSIDE,
        "link-outside": EntryKind.LINK_OUTSIDE,
        "unreadable": EntryKind.UNREADABLE,
    }
)


def served_by(fixtures: Fixtures, seed: int) -> Served:
    """Return the served directory of a run, as it is while no scenario changes it."""
    entries: dict[bytes, Entry] = {}
    if fixtures.knows_all:
        entries |= {extras(seed)[key]: Entry(EntryKind.UNKNOWN) for key in _KINDS}
    for key in (*plan(seed, 0), *_KINDS):
        try:
            found = fixtures.get(key)
        except Incomplete:
            continue
        entries[found.name] = Entry(_KINDS.get(key, EntryKind.FILE), found.content)
    return Served(entries, fixtures.knows_all)

"""What the name of a file allows: served, not found, invalid, or any of these where that is a choice."""

import posixpath
import re
from typing import Final, NamedTuple

from conformance.oracle.answers import CODES, Rule, rule
from conformance.oracle.served import Content, EntryKind, Served

_NAME: Final = re.compile(rb"[A-Za-z0-9._-]+")
LONGEST_NAME_BYTES: Final = 255
_LONG_NAME_BYTES: Final = 8192
"""Up to this length, the reply to a name that is too long is certain."""
_OUTSIDE: Final = (b"/etc/", b"/proc/")
"""Directories that are never served."""


class Target(NamedTuple):
    """What a name allows."""

    rules: tuple[Rule, ...]
    """As in `Answers`; code 0 means that the file is served."""
    content: Content | None = None
    """What is served then, if it is known."""
    point: str = ""
    """As in `Answers`."""

    @property
    def codes(self) -> frozenset[int]:
        """Return the codes that keep the most serious rule."""
        return self.rules[0].codes if self.rules else CODES


def is_listed(name: bytes) -> bool:
    """Return whether a readable file of this name has to be listed."""
    return bool(_NAME.fullmatch(name)) and not name.startswith(b".") and len(name) <= LONGEST_NAME_BYTES


def target(name: bytes, served: Served, dialect: str, *, is_slice: bool) -> Target:
    """Return what a name allows in a request for a size or a slice."""
    if not _NAME.fullmatch(name) or name in {b".", b".."}:
        return _of_path(name)
    if len(name) > LONGEST_NAME_BYTES:
        return _of_long_name(name)
    entry = served.get(name)
    if entry is None:
        return Target((rule("HFTP-3.4", {202, 201} if name.startswith(b".") else {202}),))
    is_file = entry.kind is EntryKind.FILE
    return _of_file(name, entry.content) if is_file else _of_entry(entry.kind, dialect, is_slice=is_slice)


def _of_file(name: bytes, content: Content | None) -> Target:
    if name.startswith(b"."):
        return Target((rule("HFTP-8.8", {0, 201, 202}),), None, f"a dot-file: {name!r}")
    return Target((rule("HFTP-9.1" if len(name) == LONGEST_NAME_BYTES else "HFTP-8.6", {0}),), content)


def _of_entry(kind: EntryKind, dialect: str, *, is_slice: bool) -> Target:
    """Return what something allows that is no readable file."""
    is_new = dialect == "2026"
    refused = {201, 202, 199} if is_slice else {201, 202}
    rules = {
        EntryKind.UNREADABLE: rule("HFTP-3.7", {199} if is_new else CODES),
        EntryKind.DIRECTORY: rule("HFTP-5.3", refused if is_new else CODES),
        EntryKind.LINK_OUTSIDE: rule("HFTP-8.3", CODES - {0}),
        EntryKind.LINK_INSIDE: rule("HFTP-8.8", {0, 201, 202}),
    }
    return Target((rules.get(kind, rule("HFTP-8.8", CODES)),))


def _of_long_name(name: bytes) -> Target:
    refused = {202, 201} if name.startswith(b".") else {202}
    if len(name) > _LONG_NAME_BYTES:
        return Target((rule("HFTP-9.3", refused | {101}),))
    return Target((rule("HFTP-9.2", refused),))


def _of_path(name: bytes) -> Target:
    """Return what a name allows that has other characters, or is a path."""
    is_outside = name in {b".", b".."} or name.startswith(_OUTSIDE)
    is_outside = is_outside or posixpath.normpath(name).split(b"/")[0] == b".."
    answered = rule("HFTP-8.8", CODES)
    return Target((rule("HFTP-8.1", CODES - {0}), answered) if is_outside else (answered,))

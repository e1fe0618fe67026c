"""Read and check the requirements in `spec.toml`."""

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from conformance.spec.dialects import DIALECTS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LEVELS: Final = ("MUST", "SHOULD", "MAY", "CHOICE")

_PATH: Final = Path(__file__).with_name("spec.toml")
_ID: Final = re.compile(r"HFTP-(\d+)\.\d+")
_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class SpecError(Exception):
    """A specification is invalid; the message is one line."""


@dataclass(frozen=True)
class Requirement:
    """A requirement: what a server must, should or may do."""

    id: str
    slug: str
    chapter: str
    """The slug of the chapter."""
    level: str
    text: str
    dialects: tuple[str, ...] = DIALECTS
    level_in: Mapping[str, str] | None = None
    untestable: str = ""
    """Why no scenario tests it; empty if some do."""

    @cached_property
    def levels(self) -> Mapping[str, str]:
        """The level in each dialect."""
        return {**dict.fromkeys(DIALECTS, self.level), **(self.level_in or {})}


@dataclass(frozen=True)
class Chapter:
    """A part of the specification, with its requirements in order."""

    number: int
    slug: str
    title: str
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True)
class Specification:
    """All chapters."""

    chapters: tuple[Chapter, ...]
    digest: str
    """SHA-256 of the text, hexadecimal."""

    def __iter__(self) -> Iterator[Requirement]:
        for chapter in self.chapters:
            yield from chapter.requirements

    def __getitem__(self, identifier: str) -> Requirement:
        """Return a requirement by id; raise KeyError."""
        return self._by_id[identifier]

    @cached_property
    def _by_id(self) -> dict[str, Requirement]:
        return {requirement.id: requirement for requirement in self}


@cache
def specification() -> Specification:
    """Return the specification of the suite."""
    return parse(_PATH.read_bytes())


def parse(text: bytes) -> Specification:
    """Parse a specification in TOML.

    Raises SpecError for invalid TOML, unknown keys, levels or dialects, and duplicate ids.
    """
    try:
        document = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"invalid TOML: {error}"
        raise SpecError(message) from error
    chapters = tuple(_chapter(row) for row in document.get("chapter", ()))
    _require_unique("chapter", [str(chapter.number) for chapter in chapters])
    _require_unique("chapter", [chapter.slug for chapter in chapters])
    _require_unique("requirement", [row.id for chapter in chapters for row in chapter.requirements])
    return Specification(chapters, hashlib.sha256(text).hexdigest())


def _chapter(row: dict[str, Any]) -> Chapter:
    try:
        number, slug, title = row["number"], row["slug"], row["title"]
    except KeyError as error:
        message = f"a chapter lacks {error}"
        raise SpecError(message) from error
    requirements = tuple(_requirement(number, slug, dict(item)) for item in row.get("requirement", ()))
    _require_unique(f"slug in {slug}", [requirement.slug for requirement in requirements])
    return Chapter(number, slug, title, requirements)


def _requirement(number: int, chapter: str, row: dict[str, Any]) -> Requirement:
    where = row.get("id", f"a requirement of {chapter}")
    row["dialects"] = tuple(row.get("dialects", DIALECTS))
    try:
        requirement = Requirement(chapter=chapter, **row)
    except TypeError as error:
        message = f"{where}: {error}"
        raise SpecError(message) from error
    found = _ID.fullmatch(requirement.id)
    levels = {requirement.level, *(requirement.level_in or {}).values()}
    dialects = {*requirement.dialects, *(requirement.level_in or {})}
    for is_wrong, what in (
        (found is None or int(found[1]) != number, f"an id of chapter {number} looks like HFTP-{number}.1"),
        (not _SLUG.fullmatch(requirement.slug), "a slug is lower-case words joined by hyphens"),
        (not requirement.text.strip(), "the text is empty"),
        (not levels <= set(LEVELS), f"a level is one of {', '.join(LEVELS)}"),
        (not dialects <= set(DIALECTS) or not requirement.dialects, f"a dialect is one of {', '.join(DIALECTS)}"),
    ):
        if is_wrong:
            message = f"{where}: {what}"
            raise SpecError(message)
    return requirement


def _require_unique(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            message = f"{what} {name} is defined twice"
            raise SpecError(message)

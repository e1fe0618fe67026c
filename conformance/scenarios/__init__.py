"""The catalogue of scenarios: the suite's own chapters, plus those from files and installed packages."""

import importlib
import runpy
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from conformance.language import Message
from conformance.model.scenario import Catalogue, Chapter, Scenario, ScenarioError
from conformance.scenarios.prerequisites import with_prerequisites
from conformance.spec.catalogues import NEWEST, frozen

CHAPTERS: Final = (
    "chapter_01_framing",
    "chapter_01_framing_lines",
    "chapter_02_replies",
    "chapter_02_replies_afterwards",
    "chapter_03_commands",
    "chapter_03_commands_quit",
    "chapter_03_commands_help",
    "chapter_04_listings",
    "chapter_04_listings_fetched",
    "chapter_05_metadata",
    "chapter_05_metadata_directories",
    "chapter_06_slices",
    "chapter_06_slices_sent",
    "chapter_06_slices_forms",
    "chapter_07_arguments",
    "chapter_08_paths",
    "chapter_08_paths_links",
    "chapter_08_paths_names",
    "chapter_08_paths_answered",
    "chapter_09_lengths",
    "chapter_10_clients",
    "chapter_10_clients_mixing",
    "chapter_10_clients_crowds",
)
"""The modules in the order of the specification; each defines `chapter`."""

ENTRY_POINTS: Final = "conformance.scenarios"
"""The entry point group; each entry point names a `Chapter`."""


def catalogue(files: Sequence[str] = (), name: str = NEWEST) -> Catalogue:
    """Return all scenarios: the suite's own, those of installed packages, and those defined in `files`.

    With the name of a frozen catalogue, the suite's own are those that it has.

    Raises ScenarioError, with a one-line message, if something cannot be loaded.
    """
    kept = None if name == NEWEST else frozen(name)
    found = Catalogue(row for row in _own() if kept is None or row.id in kept)
    for point in entry_points(group=ENTRY_POINTS):
        try:
            chapter = point.load()
        except Exception as error:
            message = Message(
                "cannot load the entry point {name} ({value}): {error}", name=point.name, value=point.value, error=error
            )
            raise ScenarioError(message) from error
        _add(found, chapter, point.value)
    for file in files:
        _add(found, load(file), file)
    return found


@cache
def _own() -> tuple[Scenario, ...]:
    """Return the suite's own scenarios."""
    modules = [importlib.import_module(f"{__name__}.{name}") for name in CHAPTERS]
    return tuple(with_prerequisites(scenario) for module in modules for scenario in module.chapter)


def load(file: str) -> Chapter:
    """Return all scenarios that a Python file defines, as one chapter; raise ScenarioError."""
    if not Path(file).is_file():
        message = Message("{file}: no such file", file=file)
        raise ScenarioError(message)
    try:
        names = runpy.run_path(file)
    except Exception as error:
        message = Message("{file}: {kind}: {error}", file=file, kind=type(error).__name__, error=error)
        raise ScenarioError(message) from error
    chapter = Chapter()
    for value in names.values():
        if isinstance(value, Chapter):
            chapter.scenarios += value.scenarios
    if not chapter.scenarios:
        message = Message(
            "{file} defines no scenarios: it needs chapter = Chapter() with at least one scenario", file=file
        )
        raise ScenarioError(message)
    return chapter


def _add(found: Catalogue, chapter: object, source: str) -> None:
    if not isinstance(chapter, Iterable):
        message = Message("{source} is not a Chapter", source=source)
        raise ScenarioError(message)
    try:
        for scenario in chapter:
            found.add(with_prerequisites(scenario))
    except (ScenarioError, AttributeError, TypeError) as error:
        message = Message("{source}: {error}", source=source, error=error)
        raise ScenarioError(message) from error

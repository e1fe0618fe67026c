"""The catalogue: one module a chapter, and whatever files and installed packages add."""

import importlib
import runpy
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from conformance.scenario import Catalogue, Chapter, ScenarioError
from conformance.scenarios.prerequisites import with_prerequisites

CHAPTERS: Final = (
    "framing",
    "framing_lines",
    "replies",
    "replies_afterwards",
    "commands",
    "commands_quit",
    "commands_help",
    "listings",
    "listings_fetched",
    "metadata",
    "metadata_directories",
    "slices",
    "slices_sent",
    "slices_forms",
    "arguments",
    "paths",
    "paths_links",
    "names",
    "lengths",
    "clients",
    "clients_mixing",
    "crowds",
)
"""The modules, in the order of the specification; each has a `chapter`."""

ENTRY_POINTS: Final = "conformance.scenarios"
"""The group of entry points: each names a `Chapter`."""


def catalogue(files: Sequence[str] = ()) -> Catalogue:
    """Return all scenarios: the suite's, those of installed packages, and those of some files.

    Raises ScenarioError, in one line, for what cannot be loaded.
    """
    found = Catalogue()
    for name in CHAPTERS:
        _add(found, importlib.import_module(f"{__name__}.{name}").chapter, name)
    for point in entry_points(group=ENTRY_POINTS):
        try:
            chapter = point.load()
        except Exception as error:
            message = f"the entry point {point.name} ({point.value}) does not load: {error}"
            raise ScenarioError(message) from error
        _add(found, chapter, point.value)
    for file in files:
        _add(found, load(file), file)
    return found


def load(file: str) -> Chapter:
    """Return the chapters that a Python file defines, as one; raise ScenarioError."""
    if not Path(file).is_file():
        message = f"{file}: no such file"
        raise ScenarioError(message)
    try:
        names = runpy.run_path(file)
    except Exception as error:
        message = f"{file}: {type(error).__name__}: {error}"
        raise ScenarioError(message) from error
    chapter = Chapter()
    for value in names.values():
        if isinstance(value, Chapter):
            chapter.scenarios += value.scenarios
    if not chapter.scenarios:
        message = f"{file} defines no scenarios: it needs chapter = Chapter() and something in it"
        raise ScenarioError(message)
    return chapter


def _add(found: Catalogue, chapter: object, source: str) -> None:
    if not isinstance(chapter, Iterable):
        message = f"{source} is no Chapter"
        raise ScenarioError(message)
    try:
        for scenario in chapter:
            found.add(with_prerequisites(scenario))
    except (ScenarioError, AttributeError, TypeError) as error:
        message = f"{source}: {error}"
        raise ScenarioError(message) from error

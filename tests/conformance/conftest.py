"""Compiles the translations where that was not done, as in a source tree that was updated after it was installed."""

from conformance.language import ENGLISH, LANGUAGES
from tests.conformance.translations import compile_catalogue, path_of


def pytest_configure() -> None:
    """Compile what is missing or older than its source."""
    for language in LANGUAGES:
        if language == ENGLISH:
            continue
        source, compiled = path_of(language), path_of(language).with_suffix(".mo")
        if not compiled.is_file() or compiled.stat().st_mtime < source.stat().st_mtime:
            compile_catalogue(language)

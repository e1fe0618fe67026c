"""Prerequisites of scenarios: if a simpler scenario fails, those that depend on it are skipped.

One bug is then reported once, by the simplest scenario. A prerequisite is something that the scenario needs but does
not test itself: slices of many sizes need short slices to work, not the other way round.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

from conformance.model.scenario import Scenario

_SIZE: Final = ("metadata.size-of-text",)
_SHORT: Final = ("slices.first-bytes", "slices.each-byte", "slices.whole-binary")
_LAST: Final = ("slices.last-byte",)
_PAST_OFFSET: Final = ("slices.past-end-by-offset",)
_PAST_SIZE: Final = ("slices.past-end-by-size",)

PREREQUISITES: Final[tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = (
    # A whole file is a slice up to the last byte.
    (("slices.whole-*", "slices.alphabet", "slices.no-padding-inside", "slices.base64-ends", "slices.raw-*"), _LAST),
    (("paths.alphabet", "paths.no-extension", "paths.odd-names", "paths.case", "lengths.longest-name"), _LAST),
    (("metadata.grown", "metadata.shrunk", "metadata.emptied", "metadata.filled"), (*_LAST, *_PAST_SIZE)),
    (("metadata.rewritten", "metadata.replaced", "metadata.agrees-with-slices"), (*_LAST, *_PAST_SIZE)),
    # Comparisons of sizes prove nothing if the simplest size is wrong or malformed.
    (("metadata.form-of-*", "metadata.size-of-[!t]*", "metadata.pipelined", "metadata.agrees-with-slices"), _SIZE),
    (("metadata.grown", "metadata.shrunk", "metadata.emptied", "metadata.filled", "metadata.removed"), _SIZE),
    (("metadata.rewritten", "metadata.replaced", "paths.alphabet", "paths.no-extension", "paths.odd-names"), _SIZE),
    (("paths.case", "lengths.longest-name", "clients.busy-commands", "slices.empty-pipelined"), _SIZE),
    (("listings.then-others", "replies.goes-on-long"), _SIZE),
    # A server that does not answer for any file that is missing says nothing about these names.
    (("paths.slash-answered", "paths.characters-answered", "paths.link-answered"), ("commands.missing-metadata",)),
    # Slices of many sizes, to many clients, or read late or slowly need short slices to be correct.
    (("slices.border-*", "slices.random", "slices.overlapping", "slices.adjacent", "slices.two-files"), _SHORT),
    (("slices.consistent", "slices.last-of-*", "slices.large*", "slices.pipelined", "slices.raw-large"), _SHORT),
    (("slices.closed-*", "slices.reset-*", "slices.padding", "slices.no-padding-inside", "slices.alphabet"), _SHORT),
    (("clients.busy-slices", "clients.same-file", "clients.slow-reader", "clients.many-files"), _SHORT),
    (("clients.not-reading-replies", "clients.errors-of-others"), _SHORT),
    (("clients.busy-slices", "clients.errors-of-others"), _PAST_OFFSET),
    (("commands.quit-behind-slice", "framing.pipelined-slices", "replies.goes-on-0"), _SHORT),
    (("slices.raw-text-one-byte", "slices.raw-pipelined", "slices.raw-binary", "slices.raw-bytes"), _SHORT),
    # Whether numbers wrap around can be seen only if the range is checked.
    (("arguments.2-*-offset", "arguments.100-digits-offset", "arguments.400-digits-offset"), _PAST_OFFSET),
    (("arguments.5000-digits-offset",), _PAST_OFFSET),
    (("arguments.2-*-size", "arguments.100-digits-size", "arguments.400-digits-size"), _PAST_SIZE),
    (("arguments.5000-digits-size", "arguments.sum-*", "arguments.exact-at-the-edge"), _PAST_SIZE),
    (("replies.alone-203", "replies.goes-on-203", "replies.goes-on-long", "replies.alone-raw"), _PAST_OFFSET),
    (("slices.raw-past-end", "slices.raw-pipelined", "framing.pipelined-slices"), _PAST_OFFSET),
    (("slices.past-end-by-two", "slices.past-end-much", "slices.past-end-of-medium"), _PAST_SIZE),
    (("slices.past-end-of-large", "slices.past-end-of-one", "slices.past-end-of-empty"), _PAST_SIZE),
    (("slices.past-end-far*", "slices.past-end-both", "slices.past-end-of-empty-by-offset"), _PAST_OFFSET),
    # A server that accepts any word as a number, or its leading digits, also accepts these words.
    (
        tuple(f"arguments.{slug}-offset" for slug in ("letter-digit", "point-alone", "true", "quotation-marks")),
        ("arguments.letters-offset",),
    ),
    (
        tuple(f"arguments.{slug}-offset" for slug in ("minus-alone", "plus-alone", "underscore-alone", "percent")),
        ("arguments.letters-offset",),
    ),
    (
        tuple(f"arguments.{slug}-size" for slug in ("letter-digit", "point-alone", "true", "quotation-marks")),
        ("arguments.letters-size",),
    ),
    (
        tuple(f"arguments.{slug}-size" for slug in ("minus-alone", "plus-alone", "underscore-alone", "percent")),
        ("arguments.letters-size",),
    ),
    (
        tuple(f"arguments.{slug}-offset" for slug in ("comma", "separators", "unit", "long", "range", "sum")),
        ("arguments.digit-letter-offset",),
    ),
    (
        tuple(f"arguments.{slug}-size" for slug in ("comma", "separators", "unit", "long", "range", "sum")),
        ("arguments.digit-letter-size",),
    ),
)
"""Patterns of ids, and the ids of their prerequisites."""


def with_prerequisites(scenario: Scenario) -> Scenario:
    """Return the scenario with its prerequisites added to `depends`."""
    more = [name for name in _of(scenario.id) if name not in scenario.depends and name != scenario.id]
    return replace(scenario, depends=(*scenario.depends, *dict.fromkeys(more))) if more else scenario


def _of(identifier: str) -> Iterable[str]:
    rows = {*_EXACT.get(identifier, ()), *(row for row, pattern in _GLOBS if fnmatchcase(identifier, pattern))}
    return (name for row in sorted(rows) for name in PREREQUISITES[row][1])


def _is_glob(pattern: str) -> bool:
    return not _MAGIC.isdisjoint(pattern)


_MAGIC: Final = frozenset("*?[")
_GLOBS: Final = tuple(
    (row, pattern) for row, (patterns, _) in enumerate(PREREQUISITES) for pattern in patterns if _is_glob(pattern)
)
"""The patterns that are not an id, each with the number of its row; the ids are looked up instead."""
_EXACT: Final[defaultdict[str, list[int]]] = defaultdict(list)
for _row, (_patterns, _) in enumerate(PREREQUISITES):
    for _pattern in _patterns:
        if not _is_glob(_pattern):
            _EXACT[_pattern].append(_row)

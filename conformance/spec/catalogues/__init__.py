"""Frozen catalogues: the scenarios that a term is judged by, whatever later versions of the suite add.

A file has a line for each scenario: its id, its requirement, and its level in each dialect. A test fails if one of
them is changed or removed; a false verdict may be mended.
"""

from functools import cache
from pathlib import Path
from typing import Final

NEWEST: Final = "newest"
FROZEN: Final = ("2026.1",)
"""The names of the files, the oldest first."""


@cache
def frozen(name: str) -> dict[str, tuple[str, ...]]:
    """Return the scenarios of a frozen catalogue by id, each with its requirement and its levels."""
    lines = Path(__file__).with_name(f"{name}.txt").read_text(encoding="ascii").splitlines()
    return {identifier: tuple(rest) for identifier, *rest in map(str.split, lines)}

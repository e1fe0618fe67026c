"""Freeze the catalogue: `python -m tests.conformance.freeze NAME` writes the scenarios of today."""

import sys
from pathlib import Path

from conformance.scenarios import catalogue
from conformance.spec import catalogues
from conformance.spec.dialects import DIALECTS


def lines() -> list[str]:
    """Return a line for each scenario: its id, its requirement, and its level in each dialect; - where it is not."""
    return [
        " ".join(
            [row.id, row.requirement, *(row.levels[name] if row.applies_to(name) else "-" for name in DIALECTS)],
        )
        for row in catalogue()
    ]


if __name__ == "__main__":
    path = Path(catalogues.__file__).with_name(f"{sys.argv[1]}.txt")
    path.write_text("".join(f"{line}\n" for line in lines()), encoding="ascii")

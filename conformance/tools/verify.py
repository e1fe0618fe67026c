"""Verify that a recorded run is whole: no line was changed, removed, added or moved since the suite wrote it.

The chain has no secret. It shows damage and edits, not who recorded what: whoever can run a program can write a new
chain over other lines.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.model.events import LINE_BYTES, EventError
from conformance.model.verdicts import Exit
from conformance.reports.ndjson import Chain

MEANING: Final = (
    "This shows that the file is as the suite wrote it, unless somebody computed the chain anew. It does not show who",
    "recorded it, or of which server: to know that, judge the server yourself. Copies with the same chain are equal.",
)


@dataclass(frozen=True)
class Verification:
    """What was found."""

    status: Exit
    sentence: str
    chain: str = ""
    """Of the last line, if the file is whole."""


def verify(path: Path) -> Verification:
    """Verify a file; raise EventError if it cannot be read or is no recorded run."""
    try:
        with path.open("rb") as file:
            return _verified(iter(lambda: file.readline(LINE_BYTES + 1), b""))
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise EventError(message) from error


def _verified(lines: Iterable[bytes]) -> Verification:
    chain = Chain()
    count = 0
    last = b""
    for count, text in enumerate(lines, 1):
        last = text
        if not text.endswith(b"\n"):
            return Verification(Exit.NOT_CONFORMANT, f"line {count} is cut")
        follows = chain.follows(text.removesuffix(b"\n"))
        if follows is None:
            if _is_event(text):
                return _without_chain(count)
            return Verification(Exit.NOT_CONFORMANT, f"line {count} is not a line that the suite writes")
        if not follows:
            return Verification(Exit.NOT_CONFORMANT, f"line {count} was changed, or one before it removed or added")
    if not count:
        message = "the file is empty; give a file that `conformance run --ndjson FILE` has written"
        raise EventError(message)
    if json.loads(last).get("type") != "run-end":
        return Verification(Exit.INCOMPLETE, f"all {count} lines are whole, but the end is missing")
    return Verification(Exit.CONFORMANT, f"whole, {count} lines", chain.last)


def _without_chain(number: int) -> Verification:
    if number == 1:
        return Verification(Exit.INCOMPLETE, "it has no chain: an older version of the suite wrote it")
    return Verification(Exit.NOT_CONFORMANT, f"line {number} has lost its chain")


def _is_event(text: bytes) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and "type" in found

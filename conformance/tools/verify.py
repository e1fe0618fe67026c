"""Verify that a recorded run is whole: no line was changed, removed, added or moved since the suite wrote it.

The chain has no secret. It shows damage and edits, not who recorded what: whoever can run a program can write a new
chain over other lines.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.language import Message
from conformance.model.events import LINE_BYTES, EventError
from conformance.model.verdicts import Exit
from conformance.reports.ndjson import Chain

MEANING: Final = Message(
    "This shows that the file is as the suite wrote it, unless somebody computed the chain anew. It does not show who\n"
    "recorded it, or of which server: to know that, judge the server yourself. Copies with the same chain are equal."
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
        message = Message("cannot read {path}: {strerror}", path=path, strerror=error.strerror)
        raise EventError(message) from error


def _verified(lines: Iterable[bytes]) -> Verification:
    chain = Chain()
    count = 0
    last = b""
    for count, text in enumerate(lines, 1):
        last = text
        if not text.endswith(b"\n"):
            return Verification(Exit.NOT_CONFORMANT, Message("line {number} is cut", number=count))
        follows = chain.follows(text.removesuffix(b"\n"))
        if follows is None:
            if _is_event(text):
                return _without_chain(count)
            reason = Message("line {number} is not a line that the suite writes", number=count)
            return Verification(Exit.NOT_CONFORMANT, reason)
        if not follows:
            reason = Message("line {number} was changed, or one before it removed or added", number=count)
            return Verification(Exit.NOT_CONFORMANT, reason)
    if not count:
        message = Message("the file is empty; give a file that `conformance run --ndjson FILE` has written")
        raise EventError(message)
    if json.loads(last).get("type") != "run-end":
        reason = Message("all {count} lines are whole, but the end is missing", count=count)
        return Verification(Exit.INCOMPLETE, reason)
    return Verification(Exit.CONFORMANT, Message("whole, {count} lines", count=count), chain.last)


def _without_chain(number: int) -> Verification:
    if number == 1:
        return Verification(Exit.INCOMPLETE, Message("it has no chain: an older version of the suite wrote it"))
    return Verification(Exit.NOT_CONFORMANT, Message("line {number} has lost its chain", number=number))


def _is_event(text: bytes) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and "type" in found

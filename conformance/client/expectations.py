"""What a client expects of a reply, in words."""

import functools
from typing import Final

from conformance.client.recording import escape
from conformance.client.status import CODES
from conformance.failures import Failure, Kind
from conformance.language import Message, either

ANY_STATUS: Final = Message("a status line")
"""What is expected where any code will do."""
AFTER_QUIT: Final = Message("the end of the stream after quit")
AFTER_FATAL: Final = Message("the end of the stream after a fatal status")
OUT_OF_STEP: Final = Message(
    "the next command got a reply that is not its own: more or less than one reply was sent before"
)
NAMED: Final = {code: f"{code} {name}" for code, name in CODES.items()}
"""Codes with their names."""


@functools.cache
def one_of(codes: tuple[int, ...]) -> str:
    """Return what a status line with one of some codes is."""
    return either(NAMED.get(code, str(code)) for code in codes) or ANY_STATUS


def malformed(line: bytes, expected: str) -> Failure:
    """Return the failure of a line that is no status line."""
    wanted = expected if expected == ANY_STATUS else Message("{expected} in a status line", expected=expected)
    return Failure(Kind.MALFORMED, Message("{wanted} (CODE SP TEXT CR LF)", wanted=wanted), escape(line))

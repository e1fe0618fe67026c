"""The NDJSON report: one event per line, written at once, so that a killed run leaves what it has.

In a file each line ends in a field `chain`: the SHA-256 of the chain of the line before, a line feed, and the line
without that field. So `conformance verify` notices a line that was changed, removed, added or moved. Readers ignore it.
"""

import hashlib
import json
import re
from typing import Final

import msgspec

from conformance.language import Message, Recorded, plain
from conformance.model.events import Event

_LINKED: Final = re.compile(rb'(.*), "chain": "([0-9a-f]{64})"\}')


def line(event: Event) -> str:
    """Encode an event as one line of JSON, in printable ASCII.

    Texts are English, whatever the reader's language; `said` has what is needed to say them in another.
    """
    said: dict[str, Recorded] = {}

    def text(message: object) -> str:
        if not isinstance(message, Message):
            raise NotImplementedError  # as msgspec asks
        english = plain(message)
        said[english] = message.recorded()
        return english

    found = msgspec.to_builtins(event, enc_hook=text)
    if said:
        found["said"] = said
    return json.dumps(found, ensure_ascii=True).replace("\x7f", r"\u007f")


class Chain:
    """Links the lines of a file: the field `chain` of each depends on all lines before it."""

    def __init__(self, last: str = "") -> None:
        self.last = last
        """The chain of the last line; empty before the first."""

    def link(self, text: str) -> str:
        """Return a line with its chain."""
        self.last = self._next(text.encode())
        return f'{text[:-1]}, "chain": "{self.last}"}}'

    def follows(self, text: bytes) -> bool | None:
        """Return whether a line is the next of the chain, and go on with it; None if it has no chain."""
        found = _LINKED.fullmatch(text)
        if found is None:
            return None
        expected = self._next(found[1] + b"}")
        self.last = found[2].decode()
        return self.last == expected

    def _next(self, text: bytes) -> str:
        return hashlib.sha256(self.last.encode() + b"\n" + text).hexdigest()

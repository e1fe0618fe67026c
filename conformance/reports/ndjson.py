"""The NDJSON report: one event per line, written at once, so that a killed run leaves what it has."""

import json

import msgspec

from conformance.language import Message, Recorded, plain
from conformance.model.events import Event


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

"""The NDJSON report: one event per line, written at once, so that a killed run leaves what it has."""

import json

import msgspec

from conformance.model.events import Event


def line(event: Event) -> str:
    """Encode an event as one line of JSON, in printable ASCII."""
    return json.dumps(msgspec.to_builtins(event), ensure_ascii=True).replace("\x7f", r"\u007f")

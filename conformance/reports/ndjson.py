"""The NDJSON report: one event per line, flushed at once, so that a killed run leaves what it has."""

import json
from typing import TextIO

import msgspec

from conformance.model.events import Event


class NdjsonReport:
    """A sink that writes each event to an open file."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __call__(self, event: Event) -> None:
        """Write an event."""
        self._file.write(line(event) + "\n")
        self._file.flush()


def line(event: Event) -> str:
    """Encode an event as one line of JSON."""
    return json.dumps(msgspec.to_builtins(event), ensure_ascii=True)

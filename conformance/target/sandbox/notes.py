"""What the guard of a sandbox tells of a server, in the words of a report."""

from collections.abc import Mapping
from typing import Final

from conformance.language import Message

_NOTES: Final[Mapping[str, Message]] = {
    "too-many-processes": Message("the server had more than {most} processes and threads, and was ended"),
    "most-processes": Message("the server had {most} processes and threads, which is all that it may"),
    "most-written": Message("the server wrote {most} MiB of files, which is all that it may"),
    "too-much-memory": Message("the server used more than {most} MiB of memory, and was ended"),
    "too-much-time": Message("the server used {most} s of processor time, and was ended"),
    "too-large-file": Message("the server was ended when a file of it reached {most} MiB"),
}
"""By what the guard says; `most` is the limit that was reached."""


def note(what: str, most: int) -> Message:
    """Return the sentence about a limit that was reached."""
    return Message(_NOTES[what].template, most=most)

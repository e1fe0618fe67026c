"""The served directory, as the model knows it: what each name is, and the contents of files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol


class Content(Protocol):
    """The content of a file."""

    @property
    def size(self) -> int:
        """Return the size in bytes."""

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at an offset; fewer at the end."""


class EntryKind(Enum):
    """What a name in the served directory is."""

    FILE = "a readable file"
    UNREADABLE = "a file that the server cannot read"
    DIRECTORY = "a directory"
    LINK_INSIDE = "a symbolic link to a file in the directory"
    LINK_OUTSIDE = "a symbolic link that leads out"
    UNKNOWN = "something that the model knows nothing of"


class Entry(NamedTuple):
    """An entry of the directory; `content` is that of a file, if it is known."""

    kind: EntryKind
    content: Content | None = None


@dataclass(frozen=True)
class Served:
    """The served directory at one time."""

    entries: Mapping[bytes, Entry] = field(default_factory=dict)
    is_whole: bool = True
    """Whether there are no other entries; otherwise, nothing is known of other names."""

    def get(self, name: bytes) -> Entry | None:
        """Return what a name is; None if there is no such entry."""
        found = self.entries.get(name)
        return found if found is not None or self.is_whole else Entry(EntryKind.UNKNOWN)

    def with_file(self, name: bytes, content: Content) -> "Served":
        """Return the directory with another file, or with another content of a file."""
        return Served({**self.entries, name: Entry(EntryKind.FILE, content)}, self.is_whole)

    def without(self, name: bytes) -> "Served":
        """Return the directory without an entry."""
        return Served({key: value for key, value in self.entries.items() if key != name}, self.is_whole)

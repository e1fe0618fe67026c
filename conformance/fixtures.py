"""The files that a server should hold: their names and contents, and what scenarios can count on."""

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from conformance.content import Content, Known, Seeded
from conformance.failure import Incomplete

MARKER: Final = ".hftp-conformance"
"""Begins the name of the file that marks a directory as the suite's own; see `fixtures_marker`."""
LARGE_BYTES: Final = 32 << 20
SERVABLE: Final = re.compile(rb"[A-Za-z0-9._-]{1,255}")

TEXT: Final = b"To be served, or not to be served: ask.\r\n"
BINARY: Final = b"\r\n\0\n\r\r\n\x1a\xff\xfe=\n\n" + bytes(range(255, -1, -1)) + b"\r\n.\r\n\r\n0 OK\r\n"


@dataclass(frozen=True)
class Fixture:
    """A file that the server holds; content is None if it is too large to be learnt."""

    key: str
    name: bytes
    size: int
    content: Content | None = None


def plan(seed: int, large_bytes: int = LARGE_BYTES) -> Mapping[str, Fixture]:
    """Return the files that are served, by key; their names and contents depend on nothing else."""
    rows: tuple[tuple[str, bytes, Content], ...] = (
        ("text", b"text.txt", Known(TEXT)),
        ("one", b"one", Known(b"!")),
        ("empty", b"empty", Known(b"")),
        ("binary", b"binary.dat", Known(BINARY)),
        ("bytes", b"all-256_bytes.bin", Known(bytes(range(256)))),
        ("long-name", b"n" * 251 + b".txt", Known(b"My name has 255 bytes.\n")),
        ("names", b"A-Z.a_z-0.9__..b--C", Known(b"Every character that a name may have.\n")),
        ("no-extension", b"README", Known(b"A name without a dot.\n")),
        ("medium", b"medium.bin", Seeded(300_007, seed)),
        ("large", b"large.bin", Seeded(large_bytes, seed + 1)),
    )
    return MappingProxyType({key: Fixture(key, name, content.size, content) for key, name, content in rows})


EXTRAS: Final = MappingProxyType(
    {
        "hidden": b".hidden",
        "spaced": b"with space.txt",
        "subdirectory": b"subdirectory",
        "inner": b"subdirectory/inner.txt",
        "link-inside": b"link-inside",
        "link-outside": b"link-outside",
        "unreadable": b"unreadable",
    }
)
"""What else there is in a directory that the suite wrote, and need not be served."""
INNER: Final = b"Inside of a subdirectory.\n"
SECRET: Final = b"hftp-secret-%d: this must never be served.\n"


class Fixtures(ABC):
    """The files that scenarios can count on, whoever made them."""

    is_local = False
    """Whether the directory can be changed while the server runs."""
    kind = "discovered"
    """How they came to be known: local, found or discovered."""
    knows_all = False
    """Whether every file in the directory is known."""
    secret: Fixture | None = None
    """A file outside the served directory, directly above it."""

    @abstractmethod
    def get(self, key: str) -> Fixture:
        """Return a file; raise Incomplete if there is none such."""

    def has(self, key: str) -> bool:
        """Tell whether there is such a file."""
        with contextlib.suppress(Incomplete):
            return bool(self.get(key))
        return False

    @property
    def directory(self) -> Path:
        """The served directory, if it can be changed; raises Incomplete."""
        message = "needs a local directory (--fixtures DIR or --serve)"
        raise Incomplete(message)

    def emptied(self) -> contextlib.AbstractContextManager[None]:
        """Leave the directory empty for a while; raise Incomplete if it cannot be changed."""
        message = f"needs a local directory that can be emptied: {self.directory}"
        raise Incomplete(message)

    def added(self, files: Mapping[bytes, bytes]) -> contextlib.AbstractContextManager[None]:
        """Have more files, name to contents, for a while; raise Incomplete if the directory cannot be changed."""
        del files
        message = f"needs a local directory that can be added to: {self.directory}"
        raise Incomplete(message)

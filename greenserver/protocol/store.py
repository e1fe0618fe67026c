"""Define the interfaces of a file store, which `greenserver.files` implements; no paths or files here."""

from typing import Protocol


class Source(Protocol):
    """The bytes of a slice."""

    size: int

    def read(self, position: int, count: int, *, may_block: bool = True) -> bytearray:
        """Return `count` bytes from a position in the slice, or all that are left."""

    def read_into(self, buffer: memoryview, position: int, *, may_block: bool = True) -> memoryview:
        """Fill a buffer from a position in the slice, or with all that is left; return the filled part.

        Raise OSError if the bytes cannot be read. Unless `may_block`, raise instead of waiting for a disk.
        """

    def close(self) -> None:
        """Release the source."""


class Text(Protocol):
    """Lines of text, each with its CR LF."""

    size: int

    def whole(self) -> bytes:
        """Return all of it."""

    def read(self, position: int, count: int, /) -> bytes:
        """Return at most `count` bytes from a position, and none at the end only. Raise if it is no longer kept."""


class Files(Protocol):
    """A file store, as commands use it. Names consist of `limits.NAME_CHARACTERS`."""

    stale_at: float
    """When to call `refresh`: a time of `time.monotonic`, in seconds."""

    def refresh(self, now: float, /) -> None:
        """Forget what was true for a while: the clock has reached `stale_at`."""

    def listing(self) -> Text:
        """Return the names of the files that can be fetched now, each with CR LF, in no particular order."""

    def size(self, name: str, /) -> int:
        """Return a file's length in bytes. Raise FileNotFoundError if no such file is served."""

    def read(self, name: str, offset: int, size: int, /) -> bytearray:
        """Read a part of a file. Raise as `slice` does."""

    def slice(self, name: str, offset: int, size: int, /) -> Source:
        """Open a part of a file; the caller closes it.

        Raise FileNotFoundError if no such file is served, EOFError if the part extends past the end of the file.
        """

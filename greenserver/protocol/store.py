"""What the protocol asks of a file store: interfaces that `greenserver.files` meets, without a path or a file here."""

from typing import Protocol


class Source(Protocol):
    """The bytes of a slice."""

    size: int

    def read(self, position: int, count: int, *, patient: bool = True) -> bytearray:
        """Return the bytes from a position in the slice on: `count`, or all that are left."""

    def read_into(self, buffer: memoryview, position: int, *, patient: bool = True) -> memoryview:
        """Fill a buffer from a position in the slice on, or with all that is left; return what is filled.

        Raises OSError if the bytes cannot be read. Unless `patient`, raises instead of waiting for a disk.
        """

    def close(self) -> None:
        """Release what the slice holds."""


class Files(Protocol):
    """What commands ask of a store."""

    def listing(self) -> bytes:
        """Return the names of the files that can be fetched now, each with a line end, in no order."""

    def size(self, name: str) -> int:
        """Return a file's length in bytes; raise FileNotFoundError if no such file is served."""

    def slice(self, name: str, offset: int, size: int) -> Source:
        """Open a part of a file; the caller closes it.

        Raises FileNotFoundError if no such file is served, EOFError if the part ends past the end of the file.
        """


class FilesAtHand(Protocol):
    """What can be asked of a store without waiting for a disk."""

    def size_at_hand(self, name: str, now: float) -> int:
        """Return a file's length in bytes, at a time of `time.monotonic`; raise if it is not at hand."""

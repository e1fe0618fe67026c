"""The served files: created for each run, and kept in memory during it."""

import base64
import ctypes
import mmap
import os
import random
import resource
from pathlib import Path

SMALL_FILES = 100
SMALL_BYTES = 100
LISTED_FILES = 100_000
PIECE_BYTES = 3 << 20
"""A multiple of 3, so that pieces of base64 concatenate."""

SEED = 19500


class Files:
    """A directory with one large file, raw and encoded, and small ones; and a directory of many files."""

    def __init__(self, scratch: Path, large_bytes: int) -> None:
        self.large_bytes = large_bytes
        self.directory = scratch / "data"
        self.many_files = scratch / "many-files"
        self.raw = self.directory / "large.bin"
        self.encoded = self.directory / "large.b64"
        self.small = [f"small-{number:03}" for number in range(SMALL_FILES)]
        self.directory.mkdir()
        source = random.Random(SEED)  # the same files in each run
        with self.raw.open("wb") as raw, self.encoded.open("wb") as encoded:
            for start in range(0, large_bytes, PIECE_BYTES):
                piece = source.randbytes(min(PIECE_BYTES, large_bytes - start))
                raw.write(piece)
                encoded.write(base64.b64encode(piece))
        for name in self.small:
            (self.directory / name).write_bytes(source.randbytes(SMALL_BYTES))

    def make_many_files(self, count: int) -> None:
        """Create the directory of many files."""
        self.many_files.mkdir(exist_ok=True)
        for number in range(count):
            os.close(os.open(self.many_files / f"file-{number:06}", os.O_CREAT | os.O_WRONLY, 0o644))

    def keep_in_memory(self) -> str:
        """Lock the large files in memory where that is allowed, else touch them; return which."""
        locked = [lock(path) for path in (self.raw, self.encoded)]
        self.touch()
        return "locked in memory" if all(locked) else "touched before each round"

    def touch(self) -> None:
        """Read all of the large files, so that they are in the page cache."""
        buffer = bytearray(1 << 20)
        for path in (self.raw, self.encoded):
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass


def lock(path: Path) -> bool:
    """Lock a file's pages in memory until this process ends; return whether that is allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    length = path.stat().st_size
    with path.open("rb") as file:
        address = libc.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    return address not in (None, ctypes.c_void_p(-1).value) and libc.mlock(address, length) == 0


def raise_descriptor_limit() -> int:
    """Raise the descriptor limit of this process and its children to the hard limit, and return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most

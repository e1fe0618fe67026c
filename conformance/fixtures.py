"""The files that a server must hold: what they are, and how they get there or are found there."""

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from conformance.client import Client, Slice, fetch
from conformance.content import Content, Known, Seeded
from conformance.failure import Failure, Incomplete

MARKER: Final = ".hftp-conformance"
"""Marks a directory as the suite's own; begins with a dot, so that few servers list it."""
LARGE_BYTES: Final = 32 << 20
LEARNT_BYTES: Final = 1 << 16
"""A found file up to this size is fetched once, whole, to know what its slices must be."""
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


class LocalFixtures(Fixtures):
    """Files written into a local directory, which is marked, and removed from it in the end.

    `reads_everything`: the server may read what nobody may, for it is root's.
    """

    is_local = True
    knows_all = True

    def __init__(
        self, directory: Path, seed: int, large_bytes: int = LARGE_BYTES, *, reads_everything: bool = False
    ) -> None:
        self._directory = directory
        self._reads_everything = reads_everything
        self._files = plan(seed, large_bytes)
        self._extras: dict[str, Fixture] = {}
        self._made: list[Path] = []  # everything that is ours, the newest last
        self._is_made_directory = False

    @property
    def directory(self) -> Path:
        """The served directory."""
        return self._directory

    def get(self, key: str) -> Fixture:
        """Return a file; raise Incomplete if there is none such."""
        found = self._files.get(key) or self._extras.get(key)
        if found is None:
            message = f"there is no file for {key!r} here"
            raise Incomplete(message)
        if key == "unreadable" and self._reads_everything:
            message = "to root every file is readable; --serve takes that from the server"
            raise Incomplete(message)
        return found

    def write(self) -> None:
        """Write the files.

        Raises FixturesError if the directory is not empty and not marked, or cannot be written.
        """
        try:
            self._claim()
            for fixture in self._files.values():
                self._write(self._directory / os.fsdecode(fixture.name), fixture.content or Known(b""))
            self._write_extras()
            self._write_secret()
        except OSError as error:
            self.remove()
            message = f"cannot write the fixtures: {error.strerror}: {error.filename}"
            raise FixturesError(message) from error

    def remove(self) -> None:
        """Remove what was written, and nothing else."""
        for path in reversed(self._made):
            with contextlib.suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()
                else:
                    path.unlink(missing_ok=True)
        self._made.clear()

    def _claim(self) -> None:
        """Mark the directory, or make it; what an earlier run left in a marked one is removed."""
        if not self._directory.exists():
            self._directory.mkdir(parents=True)
            self._made.append(self._directory)
        marker = self._directory / MARKER
        left = sorted(path.name for path in self._directory.iterdir())
        if left and MARKER not in left:
            message = f"{self._directory} is not empty and was not marked by the suite: nothing was touched"
            raise FixturesError(message)
        if left:
            for line in marker.read_text(encoding="utf-8").splitlines():
                _remove_named(self._directory, line)
            left = sorted(path.name for path in self._directory.iterdir() if path.name != MARKER)
            if left:
                message = f"{self._directory} holds {left[0]}, which the suite did not make: nothing was written"
                raise FixturesError(message)
        names = [os.fsdecode(name) for name in (*EXTRAS.values(), *(f.name for f in self._files.values()))]
        marker.write_text("\n".join(names) + "\n", encoding="utf-8")
        self._made.append(marker)

    def _write(self, path: Path, content: Content) -> None:
        self._made.append(path)
        with path.open("xb") as file:
            for piece in content.pieces():
                file.write(piece)

    def _write_extras(self) -> None:
        def place(key: str) -> Path:
            return self._directory / os.fsdecode(EXTRAS[key])

        def extra(key: str, content: Content) -> None:
            self._extras[key] = Fixture(key, EXTRAS[key], content.size, content)

        place("subdirectory").mkdir()
        self._made.append(place("subdirectory"))
        extra("subdirectory", Known(b""))
        for key, text in (("hidden", b"hidden\n"), ("spaced", b"A space.\n"), ("inner", INNER)):
            self._write(place(key), Known(text))
            extra(key, Known(text))
        self._write(place("unreadable"), Known(b"Nobody reads this.\n"))
        place("unreadable").chmod(0)
        extra("unreadable", Known(b"Nobody reads this.\n"))
        place("link-inside").symlink_to(os.fsdecode(self._files["text"].name))
        self._made.append(place("link-inside"))
        extra("link-inside", self._files["text"].content or Known(b""))

    def _write_secret(self) -> None:
        """Put a file above the directory, if that can be written, and a link to it inside."""
        text = Known(SECRET % secrets.randbits(32))
        path = self._directory.resolve().parent / f"hftp-secret-{secrets.token_hex(4)}.txt"
        try:
            self._write(path, text)
        except OSError:
            return
        self.secret = Fixture("secret", os.fsencode(path.name), text.size, text)
        link = self._directory / os.fsdecode(EXTRAS["link-outside"])
        link.symlink_to(path)
        self._made.append(link)
        self._extras["link-outside"] = Fixture("link-outside", EXTRAS["link-outside"], text.size, text)

    @contextlib.contextmanager
    def emptied(self) -> Iterator[None]:
        """Leave the directory empty, except for the marker, for a while."""
        with tempfile.TemporaryDirectory(prefix=".hftp-aside-", dir=self._directory.resolve().parent) as aside:
            names = [path.name for path in self._directory.iterdir() if path.name != MARKER]
            try:
                for name in names:
                    (self._directory / name).rename(Path(aside, name))
                yield
            finally:
                for path in list(Path(aside).iterdir()):
                    path.rename(self._directory / path.name)

    @contextlib.contextmanager
    def added(self, files: Mapping[bytes, bytes]) -> Iterator[None]:
        """Have more files for a while; a name that exists is replaced, and put back afterwards."""
        paths = {self._directory / os.fsdecode(name): data for name, data in files.items()}
        before = {path: path.read_bytes() for path in paths if path.exists()}
        try:
            for path, data in paths.items():
                path.write_bytes(data)
            yield
        finally:
            for path in paths:
                if path in before:
                    path.write_bytes(before[path])
                else:
                    path.unlink(missing_ok=True)


class FoundFixtures(Fixtures):
    """Files that the server lists: the suite's own, known by name and content, or whatever else there is."""

    def __init__(self, files: Mapping[str, Fixture], *, knows_all: bool) -> None:
        self._files = files
        self.knows_all = knows_all

    def get(self, key: str) -> Fixture:
        """Return a file; raise Incomplete if there is none such."""
        if key not in self._files:
            message = f"the server holds no file that could be {key!r} (conformance fixtures write DIR makes them)"
            raise Incomplete(message)
        return self._files[key]


def find(connect: Callable[[], Client], seed: int, large_bytes: int = LARGE_BYTES) -> FoundFixtures:
    """Ask a server what it holds, and choose from that.

    Files that `conformance fixtures write` made are known by their names, sizes and a look into one of them; from
    other files the ones that can play a part are chosen, and judged by whether what the server says of them agrees.
    """
    sizes = _sizes(connect)
    written = {key: row for key, row in plan(seed, large_bytes).items() if sizes.get(row.name) == row.size}
    if {"text", "one", "binary"} <= set(written) and _holds(connect, written["binary"]):
        if (large := plan(seed)["large"]).name in sizes and "large" not in written:
            size = sizes[large.name]
            written["large"] = Fixture("large", large.name, size, Seeded(size, seed + 1))
        return FoundFixtures(written, knows_all=True)
    return FoundFixtures(_chosen(connect, sizes), knows_all=False)


_LOOKED_AT: Final = 64
"""How many names of a foreign listing are asked for their size."""


def _sizes(connect: Callable[[], Client]) -> dict[bytes, int]:
    """Return the sizes of what is listed; nothing if the server does not answer as it should."""
    sizes: dict[bytes, int] = {}
    with contextlib.suppress(Failure), contextlib.closing(connect()) as client:
        client.say("get_file_listing")
        client.status(0)
        names = [name for name in client.listing() if SERVABLE.fullmatch(name)]
        ours = {row.name for row in plan(0).values()}
        for name in sorted(names, key=lambda name: (name not in ours, name))[:_LOOKED_AT]:
            client.say(b"get_metadata " + name)
            if client.status().code == 0:
                sizes[name] = client.size()
    return sizes


def _holds(connect: Callable[[], Client], fixture: Fixture) -> bool:
    with contextlib.suppress(Failure), contextlib.closing(connect()) as client:
        fetch(client, fixture.name, 0, fixture.size, fixture.content)
        return True
    return False


def _chosen(connect: Callable[[], Client], sizes: Mapping[bytes, int]) -> dict[str, Fixture]:
    """Return files for the parts that foreign files can play."""
    filled = sorted((name for name, size in sizes.items() if size > 1), key=lambda name: sizes[name])
    parts: dict[str, bytes] = {}
    for key, names in (
        ("text", filled[:1]),
        ("one", [name for name, size in sizes.items() if size == 1]),
        ("empty", [name for name, size in sizes.items() if size == 0]),
        ("large", [name for name in filled[-1:] if sizes[name] >= 1 << 20]),
    ):
        if names:
            parts[key] = names[0]
    found = {}
    for key, name in parts.items():
        content: Content | None = None
        if sizes[name] <= LEARNT_BYTES:
            with contextlib.suppress(Failure), contextlib.closing(connect()) as client:
                learnt: Slice = fetch(client, name, 0, sizes[name])
                content = Known(learnt.data)
        found[key] = Fixture(key, name, sizes[name], content)
    return found


class FixturesError(Exception):
    """Why the fixtures cannot be written, in one line."""


def write_for_others(directory: Path, seed: int, large_bytes: int = LARGE_BYTES) -> list[str]:
    """Write the files for somebody who serves them elsewhere, and return their names.

    Raises FixturesError, as `LocalFixtures.write`.
    """
    local = LocalFixtures(directory, seed, large_bytes)
    local.write()
    if local.secret is not None:  # it would only lie about there
        (directory.resolve().parent / os.fsdecode(local.secret.name)).unlink()
        (directory / os.fsdecode(EXTRAS["link-outside"])).unlink()
    return sorted(os.fsdecode(row.name) for row in plan(seed, large_bytes).values())


def _remove_named(directory: Path, line: str) -> None:
    """Remove a thing that a marker names, if its name leads nowhere else."""
    parts = Path(line).parts
    if not parts or ".." in parts or Path(line).is_absolute():
        return
    path = directory / line
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir() and path.name == os.fsdecode(EXTRAS["subdirectory"]):
        shutil.rmtree(path)

"""Writes the files into a local directory, changes them for a while, and removes what it wrote and nothing else."""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from conformance.content import Content, Known
from conformance.failure import Incomplete
from conformance.fixtures import EXTRAS, INNER, LARGE_BYTES, MARKER, SECRET, Fixture, Fixtures, plan


class LocalFixtures(Fixtures):
    """Files written into a local directory, which is marked, and removed from it in the end.

    `reads_everything`: the server may read what nobody may, for it is root's.
    """

    is_local = True
    kind = "local"
    knows_all = True

    def __init__(
        self, directory: Path, seed: int, large_bytes: int = LARGE_BYTES, *, reads_everything: bool = False
    ) -> None:
        self._directory = directory
        self._reads_everything = reads_everything
        self._files = plan(seed, large_bytes)
        self._extras: dict[str, Fixture] = {}
        self._made: list[Path] = []  # everything that is ours, the newest last

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

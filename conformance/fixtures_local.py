"""Writes the files into a local directory, changes them for a while, and removes what it wrote and nothing else."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from conformance.content import Content, Known
from conformance.failure import Incomplete
from conformance.fixtures import EXTRAS, INNER, LARGE_BYTES, SECRET, Fixture, Fixtures, plan
from conformance.fixtures_marker import Marker


class LocalFixtures(Fixtures):
    """Files written into a local directory, which is marked beside it, and removed from it in the end.

    `reads_everything`: the server may read what nobody may, for it is root's.
    """

    is_local = True
    kind = "local"
    knows_all = True

    def __init__(
        self, directory: Path, seed: int, large_bytes: int = LARGE_BYTES, *, reads_everything: bool = False
    ) -> None:
        self._directory = directory
        self._marker = Marker(directory)
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
        left = sorted(path.name for path in self._directory.iterdir())
        if left and not self._marker.is_there():
            message = f"{self._directory} is not empty and was not marked by the suite: nothing was touched"
            raise FixturesError(message)
        if left:
            self._marker.remove_files()
            left = sorted(path.name for path in self._directory.iterdir())
            if left:
                message = f"{self._directory} holds {left[0]}, which the suite did not make: nothing was written"
                raise FixturesError(message)
        self._made.append(self._marker.make())

    def _write(self, path: Path, content: Content) -> None:
        self._made.append(path)
        with path.open("xb") as file:
            self._marker.add(path, is_whole=False)
            for piece in content.pieces():
                file.write(piece)
        self._marker.add(path)

    def _link(self, path: Path, target: str | Path) -> None:
        self._made.append(path)
        path.symlink_to(target)
        self._marker.add(path)

    def _write_extras(self) -> None:
        def place(key: str) -> Path:
            return self._directory / os.fsdecode(EXTRAS[key])

        def extra(key: str, content: Content) -> None:
            self._extras[key] = Fixture(key, EXTRAS[key], content.size, content)

        place("subdirectory").mkdir()
        self._made.append(place("subdirectory"))
        self._marker.add(place("subdirectory"))
        extra("subdirectory", Known(b""))
        for key, text in (("hidden", b"hidden\n"), ("spaced", b"A space.\n"), ("inner", INNER)):
            self._write(place(key), Known(text))
            extra(key, Known(text))
        self._write(place("unreadable"), Known(b"Nobody reads this.\n"))
        place("unreadable").chmod(0)
        extra("unreadable", Known(b"Nobody reads this.\n"))
        self._link(place("link-inside"), os.fsdecode(self._files["text"].name))
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
        self._link(self._directory / os.fsdecode(EXTRAS["link-outside"]), path)
        self._extras["link-outside"] = Fixture("link-outside", EXTRAS["link-outside"], text.size, text)

    @contextlib.contextmanager
    def emptied(self) -> Iterator[None]:
        """Leave the directory empty for a while; raise Incomplete if there is no place for what is in it."""
        with contextlib.ExitStack() as stack:
            parent = self._directory.resolve().parent
            try:
                aside = stack.enter_context(tempfile.TemporaryDirectory(prefix=".hftp-aside-", dir=parent))
            except OSError as error:
                message = f"needs a directory that can be emptied, and {parent} cannot be written: {error.strerror}"
                raise Incomplete(message) from error
            names = [path.name for path in self._directory.iterdir()]
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

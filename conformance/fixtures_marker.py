"""The marker of a directory that holds the suite's files: it lies beside the directory, which so can be empty.

It names each file that the suite wrote, with its inode, size and time of change: a later run removes only what is still
the same. Earlier versions put a marker with names alone into the directory; that one is recognised and removed, too.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from conformance.fixtures import EXTRAS, MARKER

_FIELDS: Final = 4
"""A name, and the inode, size and time of change of a file that was written to its end."""


class Marker:
    """The marker of one directory; the directory need not exist."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._path: Path | None = None

    @property
    def path(self) -> Path | None:
        """Where the marker lies; None before it was made."""
        return self._path

    def is_there(self) -> bool:
        """Tell whether the directory is marked."""
        return any(path.is_file() for path in (*self._places(), self._inside))

    def remove_files(self) -> None:
        """Remove what the markers name and the suite wrote, and a marker inside of the directory."""
        for path in self._places():
            if path.is_file():
                lines = path.read_text(encoding="utf-8").splitlines()
                for name, identity in reversed(list(_entries(lines))):
                    self._remove(name, identity)
        if self._inside.is_file():
            for line in [*self._inside.read_text(encoding="utf-8").splitlines(), MARKER]:
                self._remove(line, None)

    def make(self) -> Path:
        """Make an empty marker in the first place that can be written, and return its path; raise OSError."""
        beside, in_state = self._places()
        for path in (beside, in_state):
            with contextlib.suppress(OSError):
                path.unlink()
        try:
            beside.touch()
            self._path = beside
        except OSError:
            in_state.parent.mkdir(parents=True, exist_ok=True)
            in_state.touch()
            self._path = in_state
        return self._path

    def add(self, path: Path, *, is_whole: bool = True) -> None:
        """Write down a thing in the directory that was made; one that is not whole is known by its inode alone."""
        if self._path is None or not path.absolute().is_relative_to(self._directory):
            return
        facts = path.lstat()
        name = os.fspath(path.absolute().relative_to(self._directory))
        fields = [name, *map(str, _identity(facts)[: _FIELDS - 1 if is_whole else 1])]
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\t".join(fields) + "\n")

    @property
    def _inside(self) -> Path:
        """Where earlier versions put the marker."""
        return self._directory / MARKER

    def _places(self) -> tuple[Path, Path]:
        """Return where the marker may lie: beside the directory, or in the user's state directory."""
        beside = self._directory.parent / f"{MARKER}-{self._directory.name}"
        name = hashlib.sha256(os.fsencode(self._directory)).hexdigest()[:32]
        return beside, _state_directory() / "hftp-conformance" / name

    def _remove(self, name: str, identity: Sequence[int] | None) -> None:
        """Remove a thing, if its name leads nowhere else, and it is the one that was written."""
        parts = Path(name).parts
        if not parts or ".." in parts or Path(name).is_absolute():
            return
        path = self._directory / name
        try:
            found = _identity(path.lstat())
        except OSError:  # it is gone, or a file stands where its directory was
            return
        is_directory = path.is_dir() and not path.is_symlink()
        if identity is not None:
            known = 1 if is_directory else len(identity)  # a directory changes with what is in it
            if tuple(identity[:known]) != found[:known]:
                return
        if not is_directory:
            path.unlink()
        elif name == os.fsdecode(EXTRAS["subdirectory"]):
            if identity is None:
                self._remove(os.fsdecode(EXTRAS["inner"]), None)
            if not any(path.iterdir()):
                path.rmdir()


def _state_directory() -> Path:
    """Return where a user's state belongs (XDG Base Directory Specification)."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if state.is_absolute():
        return state
    try:
        return Path.home() / ".local" / "state"
    except RuntimeError:  # the user has no home
        return Path(tempfile.gettempdir())


def _identity(facts: os.stat_result) -> tuple[int, int, int]:
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _entries(lines: Sequence[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names with what is known of each; of two lines about a name the last one counts."""
    found: dict[str, tuple[int, ...]] = {}
    for line in lines:
        name, *numbers = line.split("\t")
        if 1 < len(numbers) + 1 <= _FIELDS and all(number.isdecimal() for number in numbers):
            found[name] = tuple(map(int, numbers))
    yield from found.items()

"""Servers that answer rightly, and at some moment replace their directory, or an entry of it, by something dear.

What is dear is the directory that the environment variable HFTP_VICTIM names: the home of somebody, in the tests a
directory with files of the same names as the suite's.
"""

import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from conformance.config import FIXED_SEED
from conformance.fixtures.words import Words
from tests.broken_servers.commands import Commands, Parts

Attack = Callable[[Path, Path], None]
ATTACKS: dict[str, Attack] = {}
_WORDS = Words(FIXED_SEED)
PLANTED = (
    *map(_WORDS.name, ("alone", "fresh")),
    *(_WORDS.name("files-1000", f"-000{number}.txt") for number in (0, 1)),
)
"""Names that scenarios add, at the seed with which these servers are judged."""


def attack(function: Attack) -> Attack:
    """Register what is done to the directory, given also what is dear; the docstring says what it is."""
    ATTACKS[function.__name__.replace("_", "-")] = function
    return function


@attack
def link_directory(directory: Path, victim: Path) -> None:
    """Replace the directory by a link."""
    directory.rename(directory.with_name("moved"))
    directory.symlink_to(victim)


@attack
def link_parent(directory: Path, victim: Path) -> None:
    """Replace the directory above, which is the suite's own, by a link to where all is laid out alike."""
    above = directory.parent
    above.rename(above.with_name(f"{above.name}-moved"))
    above.symlink_to(victim.parent)


@attack
def move_in(directory: Path, victim: Path) -> None:
    """Put what is dear into the place of the directory."""
    directory.rename(directory.with_name("moved"))
    victim.rename(directory)


@attack
def link_subdirectory(directory: Path, victim: Path) -> None:
    """Replace the subdirectory by a link, if there is one."""
    subdirectory = next((path for path in directory.iterdir() if path.is_dir()), None)
    if subdirectory is None:
        return
    subdirectory.rename(directory.parent / "moved")
    subdirectory.symlink_to(victim)


@attack
def link_entries(directory: Path, victim: Path) -> None:
    """Replace each file by a link to one of the same name, and put links where the suite adds files."""
    for name in {*os.listdir(os.fsencode(directory)), *PLANTED}:
        path = directory / os.fsdecode(name)
        if path.is_dir() and not path.is_symlink():
            continue
        path.unlink(missing_ok=True)
        path.symlink_to(victim / os.fsdecode(name))


@attack
def hard_link_entries(directory: Path, victim: Path) -> None:
    """Replace each file by a second name of a dear one."""
    for path in victim.iterdir():
        if path.is_file():
            (directory / path.name).unlink(missing_ok=True)
            (directory / path.name).hardlink_to(path)


@attack
def remove_all(directory: Path, _victim: Path) -> None:
    """Remove the directory with all that is in it."""
    shutil.rmtree(directory)


@attack
def take_permissions(directory: Path, _victim: Path) -> None:
    """Remove some files, and all permissions of the directory."""
    next(directory.glob("*.txt")).unlink()
    directory.chmod(0)


class Attacker(Commands):
    """Attacks once: at the start, at a listing, of an empty directory, of one with a new file, or at SIGTERM."""

    def __init__(self, directory: Path, dialect: str, attack: Attack, moment: str) -> None:
        super().__init__(directory, dialect)
        self._attack = attack
        self._moment = moment
        self._is_done = False
        self._usual = set(os.listdir(directory)) | {"moved"}

    def begin(self) -> None:
        """Attack at the start, or wait for SIGTERM."""
        if self._moment == "at-end":
            signal.signal(signal.SIGTERM, self._end)
        self._reach("at-start")

    def get_file_listing(self, arguments: list[bytes]) -> Parts:
        with contextlib.suppress(OSError):
            found = set(os.listdir(self.directory))
            self._reach("at-listing")
            if not found - {os.fsdecode(_WORDS.name("alone"))}:
                self._reach("at-empty")
            elif found - self._usual:
                self._reach("at-added")
        return super().get_file_listing(arguments)

    def _reach(self, moment: str) -> None:
        if moment == self._moment and not self._is_done:
            self._is_done = True
            self._attack(self.directory, Path(os.environ["HFTP_VICTIM"]))

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._reach("at-end")
        os._exit(0)


MOMENTS = ("at-start", "at-listing", "at-empty", "at-added", "at-end")
SWAPPING = {f"{name}-{moment}": (function, moment) for name, function in ATTACKS.items() for moment in MOMENTS}

"""What a planted bug is, and the register of them all."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from tests.broken_servers.commands import DIALECTS, Commands
from tests.broken_servers.style import Style
from tests.broken_servers.style_files import Lines
from tests.broken_servers.style_forks import Forks
from tests.broken_servers.style_loop import Loop
from tests.broken_servers.style_sequential import Sequential
from tests.broken_servers.style_streams import Streams
from tests.broken_servers.style_threads import Threads

STYLES: dict[str, type[Style]] = {
    "threads": Threads,
    "lines": Lines,
    "loop": Loop,
    "streams": Streams,
    "sequential": Sequential,
    "forks": Forks,
}
"""The servers without a bug, by name."""

Replacement = TypeVar("Replacement", bound=type[Commands] | type[Style])


class Bug(NamedTuple):
    """One mistake, and the server that makes it."""

    name: str
    sentence: str
    """The mistake, as its author would describe it."""
    style: type[Style]
    commands: type[Commands]
    dialects: tuple[str, ...]
    """Where the mistake shows; the first is what the server speaks unless told otherwise."""
    requirement: str
    """The requirement that it breaks: a scenario of this one has to find it."""

    @property
    def module(self) -> str:
        """Return the name of the module that plants it."""
        planted = self.style if self.commands is Commands else self.commands
        return planted.__module__.rpartition(".")[2]

    def server(self, directory: Path, dialect: str) -> Style:
        """Return the server."""
        return self.style(self.commands(directory, dialect))


BUGS: dict[str, Bug] = {}


def plant(
    name: str,
    requirement: str,
    *,
    style: type[Style] = Threads,
    dialects: tuple[str, ...] = DIALECTS,
) -> Callable[[Replacement], Replacement]:
    """Register the class that follows as a bug; its docstring is the sentence.

    A class of commands is served by `style`; a class that is a style serves the correct commands.
    """

    def register(replacement: Replacement) -> Replacement:
        assert name not in BUGS, name
        assert replacement.__doc__, name
        planted: type[Style | Commands] = replacement
        BUGS[name] = Bug(
            name,
            replacement.__doc__.partition("\n")[0],
            planted if issubclass(planted, Style) else style,
            planted if issubclass(planted, Commands) else Commands,
            dialects,
            requirement,
        )
        return replacement

    return register

"""The protocol's dialects: each a named table of commands and of ways to send a slice."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final, TypeAlias

from greenserver.config.limits import KNOWN_COMMANDS
from greenserver.protocol.commands import (
    GET_FILE_LISTING,
    GET_METADATA,
    GET_SLICE,
    HELP,
    QUIT,
    Command,
    Language,
    ShortRequest,
    SliceForms,
    split,
)
from greenserver.protocol.responses import EOL, Base64Slice, FragmentedSlice, MeasuredSlice, PlainSlice, Response
from greenserver.protocol.status import CommandError, Status
from greenserver.protocol.store import Files

Request: TypeAlias = Callable[[Files], Response]
"""A command with its arguments: ask a store and return the reply; raise CommandError if the reply is only a status."""


class Dialect:
    """What a server of certain years understands."""

    def __init__(self, name: str, commands: Sequence[Command], slice_forms: SliceForms) -> None:
        self.name = name
        self._language = Language({command.name: command for command in commands}, slice_forms)
        self.short = ShortRequests(self)

    def known_name(self, command: str) -> str:
        """Return the name with which a command begins; an empty one if it is none of this dialect."""
        name = command.partition(" ")[0]
        return name if name in self._language.commands else ""

    def find(self, name: str, arguments: Sequence[str]) -> Request:
        """Return what a command of a name asks for, if it takes so many arguments.

        Raises CommandError: NO_SUCH_COMMAND or INVALID_ARGUMENTS_FOR_COMMAND.
        """
        return partial(self._find(name, arguments).run, self._language, arguments)

    def find_short(self, name: str, arguments: Sequence[str]) -> ShortRequest | None:
        """Return what answers a command of a name at once, if something does; raises CommandError as `find`."""
        short = self._find(name, arguments).short
        return None if short is None else short(arguments)

    def _find(self, name: str, arguments: Sequence[str]) -> Command:
        command = self._language.commands.get(name)
        if command is None:
            raise CommandError(Status.NO_SUCH_COMMAND)
        if len(arguments) not in command.arguments:
            raise CommandError(Status.INVALID_ARGUMENTS_FOR_COMMAND)
        return command


class ShortRequests(dict[bytes, ShortRequest]):
    """What answers a command line at once: found when it is asked for, and kept, since clients repeat themselves.

    Raises CommandError or KeyError for a line that is not answered at once.
    """

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self._dialect = dialect
        self.with_end: dict[bytes, ShortRequest] = {}
        """Those that are kept, by the line with its line end."""

    def __missing__(self, line: bytes) -> ShortRequest:
        request = self._dialect.find_short(*split(line.decode("latin-1")))
        if request is None:
            raise KeyError(line)
        if len(self) >= KNOWN_COMMANDS:
            self.clear()
            self.with_end.clear()
        self[line] = self.with_end[line + EOL] = request
        return request


@lru_cache(KNOWN_COMMANDS)
def understand(dialect: Dialect, command: str) -> Request:
    """Return what a command asks for: that depends on its text alone, and clients repeat themselves.

    Raises CommandError: BAD_EOL for a line broken by a LF of its own, or as `split` and `Dialect.find`.
    """
    line = command.removesuffix("\r\n")
    if "\n" in line:
        raise CommandError(Status.BAD_EOL)
    name, arguments = split(line)
    return dialect.find(name, arguments)


_COMMON: Final = (GET_FILE_LISTING, GET_METADATA, GET_SLICE, QUIT)

DIALECTS: Final = {
    dialect.name: dialect
    for dialect in (
        Dialect("2026", (*_COMMON, HELP), {"": Base64Slice, "raw": MeasuredSlice}),
        Dialect("2019", _COMMON, {"": Base64Slice}),
        Dialect("2018", _COMMON, {"": PlainSlice}),
        Dialect("2016", _COMMON, {"": FragmentedSlice}),
    )
}
"""By name, the default first."""

DEFAULT_DIALECT: Final = next(iter(DIALECTS))

"""Define the protocol's dialects: named tables of commands and of slice encodings."""

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
"""A command with its arguments: call it with a store for the reply. It raises CommandError for an error status."""


class Dialect:
    """The commands and slice encodings of one version of the protocol, named by its year."""

    def __init__(self, name: str, commands: Sequence[Command], slice_forms: SliceForms) -> None:
        self.name = name
        self._language = Language({command.name: command for command in commands}, slice_forms)
        self.short = ShortRequests(self)

    def known_name(self, command: str) -> str:
        """Return a command's name if this dialect has it, else ""."""
        name = command.partition(" ")[0]
        return name if name in self._language.commands else ""

    def find(self, name: str, arguments: Sequence[str]) -> Request:
        """Return the request for a command.

        Raise CommandError: NO_SUCH_COMMAND, or INVALID_ARGUMENTS_FOR_COMMAND for the wrong number of arguments.
        """
        return partial(self._find(name, arguments).run, self._language, arguments)

    def find_short(self, name: str, arguments: Sequence[str]) -> ShortRequest | None:
        """Return the fast-path request for a command, or None if it has none. Raise CommandError as `find` does."""
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
    """A bounded cache of fast-path requests by command line, filled on first use: clients repeat requests.

    Raise CommandError or KeyError for a line without such a request.
    """

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self._dialect = dialect
        self.with_end: dict[bytes, ShortRequest] = {}
        """The same requests, by the line with its CR LF."""

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
    """Parse a command into a request; cached, since the result depends on the text alone and clients repeat requests.

    Raise CommandError: BAD_EOL for a line with a bare LF, or as `split` and `Dialect.find` do.
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

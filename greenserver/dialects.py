"""The protocol's dialects: each a named table of commands and of ways to send a slice."""

from collections.abc import Sequence
from typing import Final

from greenserver.commands import GET_FILE_LISTING, GET_METADATA, GET_SLICE, HELP, QUIT, Command, Language, SliceForms
from greenserver.responses import Base64Slice, FragmentedSlice, MeasuredSlice, PlainSlice, Response
from greenserver.status import Refusal, Status
from greenserver.store import Files


class Dialect:
    """What a server of certain years understands."""

    def __init__(self, name: str, commands: Sequence[Command], slice_forms: SliceForms) -> None:
        self.name = name
        self._language = Language({command.name: command for command in commands}, slice_forms)

    def known_name(self, command: str) -> str:
        """Return the name with which a command begins; an empty one if it is none of this dialect."""
        name = command.partition(" ")[0]
        return name if name in self._language.commands else ""

    def answer(self, store: Files, name: str, arguments: Sequence[str]) -> Response:
        """Run a command.

        Raises Refusal: NO_SUCH_COMMAND, INVALID_ARGUMENTS_FOR_COMMAND, or what the command refuses.
        """
        command = self._language.commands.get(name)
        if command is None:
            raise Refusal(Status.NO_SUCH_COMMAND)
        if len(arguments) not in command.arguments:
            raise Refusal(Status.INVALID_ARGUMENTS_FOR_COMMAND)
        return command.run(store, self._language, arguments)


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
